// The responses that are streams: how many there may be, and their end when the server closes.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { FRAMINGS } from '../../codec/json/step-events.ts';
import type { JsonCodec } from '../../engine/json-codec.ts';
import type { RecurrenceStream } from '../../engine/stream.ts';
import { CarryoverError } from '../../errors.ts';
import { releaseBody } from '../request.ts';
import { type StepSegments, StreamResponse } from './stream-response.ts';

export type { StepSegments };

export interface StreamResponsesOptions {
  /** One more is refused with queue_full. */
  readonly streamsMax: number;
  /** How far a reader may fall behind the least rate before its connection is terminated; see connection.ts. */
  readonly streamStallMs: number;
  /**
   * How long streams go on when the server begins to close. After it they end with an error, and after half
   * as long again their connections are terminated.
   */
  readonly streamGraceMs: number;
}

/** The part of STREAMS_MAX that one connection may use, by requests that it sends without waiting. */
const CONNECTION_PART = 1 / 16;

/**
 * At STREAMS_MAX a new stream replaces the one with the slowest reader, if that lags by this part of STREAM_STALL_MS.
 */
const REPLACED_LAG_PART = 1 / 5;

/** Whether a response type is one of a stream. */
export function isStreamType(type: string): boolean {
  return Object.hasOwn(FRAMINGS, type);
}

export class StreamResponses {
  readonly #jsonCodec: JsonCodec;
  readonly #options: StreamResponsesOptions;
  readonly #running = new Set<StreamResponse>();

  constructor(app: FastifyInstance, jsonCodec: JsonCodec, options: StreamResponsesOptions) {
    this.#jsonCodec = jsonCodec;
    this.#options = options;
    const timers: NodeJS.Timeout[] = [];
    app.addHook('preClose', async () => {
      const { streamGraceMs } = options;
      timers.push(
        setTimeout(() => this.#running.forEach((response) => response.stop()), streamGraceMs),
        setTimeout(() => this.#running.forEach((response) => response.terminate()), 1.5 * streamGraceMs),
      );
    });
    app.addHook('onClose', async () => timers.forEach(clearTimeout));
  }

  /** How many are in progress. */
  get count(): number {
    return this.#running.size;
  }

  /**
   * Sends `stream` as a response of `type`, and closes it. The request's body is released: the stream has
   * copied what it needs.
   *
   * @throws queue_full, and all that the first steps throw
   */
  async send(
    request: FastifyRequest,
    reply: FastifyReply,
    type: string,
    stream: RecurrenceStream,
    segmentsOf: StepSegments,
  ): Promise<void> {
    using response = new StreamResponse(request, reply, type, this.#jsonCodec, stream, segmentsOf);
    // Checked again: other streams may have begun since the caller called it.
    this.expectCapacity(request);
    releaseBody(request);
    const { connection, usage } = request;
    this.#running.add(response);
    if (connection) connection.streams++;
    if (usage) usage.counts.streams++;
    try {
      await response.run();
    } finally {
      if (connection) connection.streams--;
      if (usage) usage.counts.streams--;
      this.#running.delete(response);
    }
  }

  /**
   * Checks that one more stream of this request's connection may begin. At STREAMS_MAX it terminates the stream with
   * the slowest reader, if there is one that lags.
   *
   * @throws queue_full · rate_limited
   */
  expectCapacity({ connection, usage }: FastifyRequest): void {
    usage?.expectStream();
    const { streamsMax, streamStallMs } = this.#options;
    if (connection && connection.streams >= Math.ceil(streamsMax * CONNECTION_PART)) {
      throw new CarryoverError('queue_full', {
        detail: `${connection.streams} streams of this connection are in progress, its share of STREAMS_MAX.`,
      });
    }
    if (this.#running.size < streamsMax) return;
    const [slowest] = Array.from(this.#running).toSorted((a, b) => b.readerLagMs - a.readerLagMs);
    if (slowest && slowest.readerLagMs > REPLACED_LAG_PART * streamStallMs) {
      this.#running.delete(slowest);
      return slowest.terminate();
    }
    throw new CarryoverError('queue_full', {
      detail: `${streamsMax} streams are in progress (STREAMS_MAX); this one was not started.`,
    });
  }
}
