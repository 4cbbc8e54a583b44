// What is known of one request, or of one message of a WebSocket, while it is served: how long its parts take, and what
// it computes. Each part of the service writes its own; Server-Timing, the access log and the metrics read it.
//
// It belongs to the Lifetime, which everything that works for a request is passed.
import type { ErrorCode } from './error-kinds.ts';
import type { RequestTrace, TracedPart } from './request-trace.ts';

/** The parts of a request that are measured, in their order. */
export const REQUEST_PARTS = ['read', 'queue', 'compute', 'commit', 'print'] as const;

type MeasuredPart = 'readMs' | 'computeMs' | 'commitMs' | 'printMs';

/** How the parts are named in traces. */
const SPAN_NAMES: Record<MeasuredPart, string> = { readMs: 'read', computeMs: 'compute', commitMs: 'commit', printMs: 'print' };

export class RequestRecord {
  /** Waiting for a worker, in ms; of work in several parts the mean of its parts. */
  queueMs = 0;
  /** From the bytes of the body to values, in ms; waiting for a worker is not included, here and in the others. */
  readMs = 0;
  /** From values to a checked result in linear memory, in ms; of a stream, of all chunks so far. */
  computeMs = 0;
  /** Until the store has confirmed the change of a session, in ms. */
  commitMs = 0;
  /** From the result to the bytes of the answer, in ms. */
  printMs = 0;
  /** Rows of the mini-batch; 0 as long as nothing is computed. */
  N = 0;
  /** Steps. */
  T = 0;
  /** The id of the model that computes, also of inline weights. */
  modelId: string | undefined = undefined;
  /** The session that is changed. */
  sessionId: string | undefined = undefined;
  /** Of the error that was answered, or that ended a stream. */
  errorCode: ErrorCode | undefined = undefined;
  /** The trace that it is part of; undefined if there is none. */
  trace: RequestTrace | undefined = undefined;

  /**
   * A clock in ms that stands still while the request waits for a worker: the parts are measured by it.
   *
   * @param nowMs by performance.now(), which is read once for this clock and for the trace: reading it takes 0.05 µs
   */
  clockMs(nowMs: number): number {
    return nowMs - this.queueMs;
  }

  /** Adds to a part what `run` takes, and if it returns a promise, until that has settled. */
  measure<Result>(part: MeasuredPart, run: () => Result): Result {
    const begunMs = performance.now();
    const traced = this.trace?.begin(SPAN_NAMES[part], begunMs);
    const startMs = this.clockMs(begunMs);
    let result: Result;
    try {
      result = run();
    } catch (error) {
      this.#end(part, startMs, traced);
      throw error;
    }
    if (result instanceof Promise) {
      const end = () => this.#end(part, startMs, traced);
      // Before the caller goes on, who is given the same promise.
      void result.then(end, end);
      return result;
    }
    this.#end(part, startMs, traced);
    return result;
  }

  #end(part: MeasuredPart, startMs: number, traced: TracedPart | undefined): void {
    const endedMs = performance.now();
    this[part] += this.clockMs(endedMs) - startMs;
    this.trace?.end(traced, endedMs);
  }
}
