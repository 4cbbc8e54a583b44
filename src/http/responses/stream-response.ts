// ResponseWriter that are sent while they are computed. The next chunk is computed only when the reader has
// taken the last one, so what a stream holds is its input, one state and the text of one chunk,
// however long it is and however slow its reader.
//
// Until the first chunk is computed an error is an ordinary problem with its status; afterwards it is
// the stream's last line.
import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { JsonSegment } from '../../codec/json/segments.ts';
import { FRAMINGS, type Framing, errorEvent } from '../../codec/json/step-events.ts';
import type { RecurrenceStream, StreamedSteps } from '../../engine/stream.ts';
import { type JsonCodec, takeText } from '../../engine/json-codec.ts';
import { CarryoverError } from '../../errors.ts';
import { releaseBody } from '../plugins/admission.ts';
import { problemJson } from '../plugins/errors.ts';

export interface StreamsOptions {
  /** One more is refused with queue_full. */
  readonly streamsMax: number;
  /** How far behind its least rate a reader may be; connections.ts cuts it off then. */
  readonly streamStallMs: number;
  /** Streams go on so long after closing began; then they are told, and after half as long again cut. */
  readonly streamGraceMs: number;
}

/** The events of some steps, with their tensors to be printed. */
export type StepSegments = (steps: StreamedSteps, framing: Framing) => readonly JsonSegment[];

/** What is written at a time; more when the reader has taken it. */
const WRITE_BYTES = 16 * 1024;

/** The part of STREAMS_MAX that one connection may use, by requests that it sends ahead. */
const CONNECTION_PART = 1 / 16;

/** When there are STREAMS_MAX, the slowest reader makes room if it is behind by this part of STREAM_STALL_MS. */
const PATIENCE_PART = 1 / 5;

/** From one look for room to the next. */
const RETRY_MS = 20;

/** Whether a chunk was refused, unstarted, because of what others are doing. */
function isCrowd(error: unknown): boolean {
  return error instanceof CarryoverError && ['queue_full', 'memory_full'].includes(error.code);
}

export function isStreamType(type: string): boolean {
  return Object.hasOwn(FRAMINGS, type);
}

export class Streams {
  readonly #jsonCodec: JsonCodec;
  readonly #options: StreamsOptions;
  readonly #running = new Set<StreamAnswer>();

  constructor(app: FastifyInstance, jsonCodec: JsonCodec, options: StreamsOptions) {
    this.#jsonCodec = jsonCodec;
    this.#options = options;
    const timers: NodeJS.Timeout[] = [];
    app.addHook('preClose', async () => {
      const { streamGraceMs } = options;
      timers.push(
        setTimeout(() => this.#running.forEach((answer) => answer.stop()), streamGraceMs),
        setTimeout(() => this.#running.forEach((answer) => answer.cut()), 1.5 * streamGraceMs),
      );
    });
    app.addHook('onClose', async () => timers.forEach(clearTimeout));
  }

  /**
   * Sends what `open` computes as a stream of `type`. The body is let go of: what is needed of it has
   * been copied. `open` holds the body, so it is not kept.
   *
   * @throws queue_full, and all that `open` and the first steps throw
   */
  send(
    request: FastifyRequest,
    reply: FastifyReply,
    type: string,
    toSegments: StepSegments,
    open: () => Promise<RecurrenceStream>,
  ): Promise<void> {
    this.#makeRoom(request);
    // No async function: it would hold `open` until it has returned.
    return open().then((stream) => this.#start(request, reply, type, toSegments, stream));
  }

  #start(
    request: FastifyRequest,
    reply: FastifyReply,
    type: string,
    toSegments: StepSegments,
    stream: RecurrenceStream,
  ): Promise<void> {
    try {
      // Others may have begun meanwhile.
      this.#makeRoom(request);
    } catch (error) {
      stream.close();
      throw error;
    }
    const framing = FRAMINGS[type]!;
    const { lifetime } = request;
    const print = async (steps: StreamedSteps) =>
      takeText(await this.#jsonCodec.printSegments(toSegments(steps, framing), lifetime));
    const answer = new StreamAnswer(request, reply, type, print, stream);
    releaseBody(request);
    this.#running.add(answer);
    const { client } = request;
    if (client) client.streams++;
    return answer.run().finally(() => {
      if (client) client.streams--;
      this.#running.delete(answer);
    });
  }

  /** @throws queue_full */
  #makeRoom({ client }: FastifyRequest): void {
    const { streamsMax, streamStallMs } = this.#options;
    if (client && client.streams >= Math.ceil(streamsMax * CONNECTION_PART)) {
      throw new CarryoverError('queue_full', {
        detail: `${client.streams} streams of this connection are in progress, its share of STREAMS_MAX.`,
      });
    }
    if (this.#running.size < streamsMax) return;
    const [slowest] = Array.from(this.#running).toSorted((a, b) => b.readerLagMs - a.readerLagMs);
    if (slowest && slowest.readerLagMs > PATIENCE_PART * streamStallMs) {
      this.#running.delete(slowest);
      return slowest.cut();
    }
    throw new CarryoverError('queue_full', {
      detail: `${streamsMax} streams are in progress (STREAMS_MAX); this one was not started.`,
    });
  }
}

class StreamAnswer {
  readonly #request: FastifyRequest;
  readonly #reply: FastifyReply;
  readonly #type: string;
  readonly #framing: Framing;
  readonly #print: (steps: StreamedSteps) => Promise<Buffer>;
  readonly #stream: RecurrenceStream;
  #isStopping = false;

  constructor(
    request: FastifyRequest,
    reply: FastifyReply,
    type: string,
    print: (steps: StreamedSteps) => Promise<Buffer>,
    stream: RecurrenceStream,
  ) {
    this.#request = request;
    this.#reply = reply;
    this.#type = type;
    this.#framing = FRAMINGS[type]!;
    this.#print = print;
    this.#stream = stream;
  }

  /** Ends with an error after the steps that are being written. */
  stop(): void {
    this.#isStopping = true;
  }

  /** How far its reader is behind the least rate. */
  get readerLagMs(): number {
    return this.#request.client?.readerLagMs ?? 0;
  }

  cut(): void {
    this.#reply.raw.destroy();
  }

  /** Resolves when the answer has ended, in whatever way. @throws what the first steps throw */
  async run(): Promise<void> {
    try {
      const first = await this.#nextText();
      this.#begin();
      if (await this.#writeAll(first)) return;
      const { stepsTaken, T } = this.#stream;
      this.#request.log.info({ stepsTaken, T }, 'stream cut: its reader is gone or takes nothing');
      this.cut();
    } finally {
      this.#stream.close();
    }
  }

  /** A stream that has begun is not given up for a crowd that passes before its deadline. */
  async #nextTextWhenRoom(): Promise<Buffer> {
    const { lifetime } = this.#request;
    lifetime.renew();
    for (;;) {
      try {
        return await this.#nextText();
      } catch (error) {
        if (this.#isStopping || lifetime.isOver || !isCrowd(error)) throw error;
        await sleep(RETRY_MS);
      }
    }
  }

  async #nextText(): Promise<Buffer> {
    const text = await this.#stream.next(this.#print);
    // The last text may wait for its reader without the tensors.
    if (this.#stream.isDone) this.#stream.close();
    return text;
  }

  /** Writes the headers. From here on the reply is not Fastify's. */
  #begin(): void {
    const reply = this.#reply.headers({
      'content-type': this.#type,
      vary: 'accept, accept-encoding',
      'cache-control': 'no-store',
      // nginx would collect the answer before it passes it on.
      'x-accel-buffering': 'no',
    });
    reply.hijack();
    reply.raw.writeHead(200, reply.getHeaders() as OutgoingHttpHeaders);
    reply.raw.flushHeaders();
  }

  /** Whether the reader has taken all. */
  async #writeAll(first: Buffer): Promise<boolean> {
    const { raw } = this.#reply;
    const stream = this.#stream;
    try {
      if (!(await write(raw, first))) return false;
      while (!stream.isDone) {
        // Small chunks are computed on this thread: others get their turn in between.
        await nextTurn();
        if (this.#isStopping) throw new CarryoverError('shutting_down', { detail: STOPPED });
        const text = await this.#nextTextWhenRoom();
        if (!(await write(raw, text))) return false;
      }
    } catch (error) {
      const problem = problemJson(error as Error, this.#request);
      const event = errorEvent(stream.stepsTaken, problem, this.#framing);
      if (!(await write(raw, event))) return false;
    }
    return taken(raw, (done) => raw.end(done));
  }
}

const STOPPED = 'The stream was ended early. Send the steps that are missing to another instance.';

/**
 * Resolves with true when the reader has taken all, as far as this process can see: the bytes may be
 * overwritten then. With false if the connection is lost, as it is to a reader that is too slow
 * (connection.ts).
 */
export async function write(response: ServerResponse, bytes: Buffer): Promise<boolean> {
  for (let at = 0; at < bytes.length; at += WRITE_BYTES) {
    const part = bytes.subarray(at, at + WRITE_BYTES);
    if (!(await taken(response, (done) => response.write(part, done)))) return false;
  }
  return !response.destroyed;
}

/** Whether what `send` sends is taken before the connection is lost. */
function taken(
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
