// One response that is sent while it is computed. The next chunk is computed only when the client has read
// the last one, so a stream holds its input, one state and the JSON of one chunk, however long it is and
// however slow its reader.
//
// Until the first chunk is computed an error is an ordinary problem with its status. Afterwards it is the
// last line of the stream.
import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { setImmediate as nextIteration, setTimeout as sleep } from 'node:timers/promises';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { JsonSegment } from '../../codec/json/segments.ts';
import { FRAMINGS, type Framing, errorEvent } from '../../codec/json/step-events.ts';
import type { JsonCodec } from '../../engine/json-codec.ts';
import type { RecurrenceStream, StepTensors } from '../../engine/stream.ts';
import { CarryoverError } from '../../errors.ts';
import { varyBy } from '../vary.ts';
import { problemJson } from './problem.ts';
import { serverTiming } from './server-timing.ts';

/** The events of some steps, with their tensors to be printed. */
export type StepSegments = (steps: StepTensors, framing: Framing) => readonly JsonSegment[];

/** What is written at a time; more when the system has accepted it. */
const WRITE_BYTES = 16 * 1024;

/** Between two attempts to compute a chunk that was refused because the server is busy. */
const RETRY_MS = 20;

const STOPPED = 'The stream was ended early. Send the steps that are missing to another instance.';

export class StreamResponse implements Disposable {
  readonly #request: FastifyRequest;
  readonly #reply: FastifyReply;
  readonly #type: string;
  readonly #framing: Framing;
  readonly #jsonCodec: JsonCodec;
  readonly #stream: RecurrenceStream;
  readonly #segmentsOf: StepSegments;
  #isStopping = false;

  /** It owns the stream from then on. It keeps `segmentsOf`, which must not refer to the request's body. */
  constructor(
    request: FastifyRequest,
    reply: FastifyReply,
    type: string,
    jsonCodec: JsonCodec,
    stream: RecurrenceStream,
    segmentsOf: StepSegments,
  ) {
    this.#request = request;
    this.#reply = reply;
    this.#type = type;
    this.#framing = FRAMINGS[type]!;
    this.#jsonCodec = jsonCodec;
    this.#stream = stream;
    this.#segmentsOf = segmentsOf;
  }

  [Symbol.dispose](): void {
    this.#stream[Symbol.dispose]();
  }

  /** Ends with an error after the steps that are being written. */
  stop(): void {
    this.#isStopping = true;
  }

  /** How far its reader is behind the least rate. */
  get readerLagMs(): number {
    return this.#request.connection?.readerLagMs ?? 0;
  }

  /** Closes the connection at once. */
  terminate(): void {
    this.#reply.raw.destroy();
  }

  /** Resolves when the response has ended, complete or not. @throws what the first steps throw */
  async run(): Promise<void> {
    const first = await this.#nextChunk();
    this.#begin();
    if (await this.#writeAll(first)) return;
    const { stepsTaken, T } = this.#stream;
    this.#request.log.info({ stepsTaken, T }, 'stream terminated: the client disconnected or reads nothing');
    this.terminate();
  }

  /** Computes and prints the next steps. */
  async #nextChunk(): Promise<Buffer> {
    const chunk = await this.#printNext();
    // The last chunk may wait for its reader for long; the tensors are not needed any more.
    if (this.#stream.isDone) this.#stream[Symbol.dispose]();
    return chunk;
  }

  async #printNext(): Promise<Buffer> {
    using steps = await this.#stream.next();
    const segments = this.#segmentsOf(steps, this.#framing);
    const chunk = await this.#jsonCodec.stringifyToBuffer(segments, this.#request.lifetime);
    this.#stream.accept(steps);
    return chunk;
  }

  /** Until the deadline the chunk of a stream that has begun is tried again while the server is busy. */
  async #nextChunkWhenPossible(): Promise<Buffer> {
    const { lifetime } = this.#request;
    lifetime.renew();
    for (;;) {
      try {
        return await this.#nextChunk();
      } catch (error) {
        if (this.#isStopping || lifetime.isOver || !isBusy(error)) throw error;
        await sleep(RETRY_MS);
      }
    }
  }

  /** Writes the headers. From here on the response is not Fastify's. */
  #begin(): void {
    const reply = this.#reply.headers({
      'content-type': this.#type,
      'cache-control': 'no-store',
      // Without it nginx collects the response before it passes it on.
      'x-accel-buffering': 'no',
      // Of the first steps: the others are computed when it is sent.
      'server-timing': serverTiming(this.#request.lifetime.record),
    });
    varyBy(reply, 'accept-encoding');
    reply.hijack();
    reply.raw.writeHead(200, reply.getHeaders() as OutgoingHttpHeaders);
    reply.raw.flushHeaders();
  }

  /** Whether the client has read all. */
  async #writeAll(first: Buffer): Promise<boolean> {
    const { raw } = this.#reply;
    const stream = this.#stream;
    try {
      if (!(await write(raw, first))) return false;
      while (!stream.isDone) {
        // Small chunks are computed on this thread: other requests are served in between.
        await nextIteration();
        if (this.#isStopping) throw new CarryoverError('shutting_down', { detail: STOPPED });
        const chunk = await this.#nextChunkWhenPossible();
        if (!(await write(raw, chunk))) return false;
      }
    } catch (error) {
      const problem = problemJson(error as Error, this.#request);
      const event = errorEvent(stream.stepsTaken, problem, this.#framing);
      if (!(await write(raw, event))) return false;
    }
    return isAccepted(raw, (done) => raw.end(done));
  }
}

/** Whether steps were refused, before they were started, because of what other requests do. */
function isBusy(error: unknown): boolean {
  return error instanceof CarryoverError && ['queue_full', 'memory_full'].includes(error.code);
}

/**
 * Resolves with true when the system has accepted all bytes, which may be overwritten then. With false if the
 * connection is lost, as it is to a reader that is too slow (connection.ts).
 */
export async function write(response: ServerResponse, bytes: Buffer): Promise<boolean> {
  for (let at = 0; at < bytes.length; at += WRITE_BYTES) {
    const part = bytes.subarray(at, at + WRITE_BYTES);
    if (!(await isAccepted(response, (done) => response.write(part, done)))) return false;
  }
  return !response.destroyed;
}

/** Whether the system accepts what `send` sends before the connection is lost. */
function isAccepted(
  response: ServerResponse,
  send: (done: (error?: Error | null) => void) => void,
): Promise<boolean> {
  if (response.destroyed) return Promise.resolve(false);
  return new Promise((resolve) => {
    const settle = (wasTaken: boolean) => {
      response.off('close', onClose);
      resolve(wasTaken);
    };
    const onClose = () => settle(false);
    response.once('close', onClose);
    send((error) => settle(!error));
  });
}
