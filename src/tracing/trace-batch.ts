// Packs traces that have ended, to be sent to the thread that makes spans of them.
import type { EndedRequest } from '../http/request-end.ts';
import type { RequestRecord } from '../request-record.ts';
import type { RequestTrace } from '../request-trace.ts';
import type { CommittedGroup } from '../store/store.ts';
import type { TraceContext } from '../trace-context.ts';
import { epochOffsetMs } from './epoch.ts';
import { GROUP_COMMIT, MESSAGE, NO_NUMBER, NO_TEXT, type PackedTraces, REQUEST } from './packed-traces.ts';

const NUMBERS_MIN = 4_096;

export class TraceBatch {
  #numbers = new Float64Array(NUMBERS_MIN);
  #count = 0;
  #texts: string[] = [];
  #spans = 0;

  get spans(): number {
    return this.#spans;
  }

  /** @param trace that is sampled, and ends now */
  addRequest(trace: RequestTrace, { method, route, statusCode, unanswered, errorCode, record, sessionId, tenant }: EndedRequest): void {
    this.#number(REQUEST);
    this.#text(method);
    this.#text(route);
    this.#number(statusCode);
    this.#text(unanswered);
    this.#text(tenant);
    this.#addCommon(trace, record, errorCode, sessionId);
  }

  /** @param trace that is sampled, and ends now */
  addMessage(trace: RequestTrace, record: RequestRecord): void {
    this.#number(MESSAGE);
    this.#addCommon(trace, record, record.errorCode, record.sessionId);
  }

  addGroupCommit(context: TraceContext, { startMs, endMs, calls, traces }: CommittedGroup): void {
    this.#number(GROUP_COMMIT);
    this.#context(context);
    this.#number(startMs);
    this.#number(endMs);
    this.#number(calls);
    this.#number(traces.length);
    for (const trace of traces) this.#context(trace.context);
    this.#spans++;
  }

  /** Everything so far; the batch is empty then. */
  take(): PackedTraces {
    const packed = {
      spans: this.#spans,
      epochOffsetMs: epochOffsetMs(),
      numbers: this.#numbers.slice(0, this.#count),
      texts: this.#texts,
    };
    this.#count = 0;
    this.#texts = [];
    this.#spans = 0;
    return packed;
  }

  #addCommon(
    { context, parent, tracestate, startMs, parts = [], droppedParts }: RequestTrace,
    record: RequestRecord | undefined,
    errorCode: string | undefined,
    sessionId: string | undefined,
  ): void {
    this.#context(context);
    this.#text(parent?.spanId);
    this.#text(tracestate);
    this.#number(startMs);
    this.#number(performance.now());
    this.#text(errorCode);
    this.#text(sessionId);
    this.#text(record?.modelId);
    this.#number(record?.N);
    this.#number(record?.T);
    this.#number(droppedParts);
    this.#number(parts.length);
    for (const { name, startMs: partStartMs, endMs, within, link } of parts) {
      this.#text(name);
      this.#number(partStartMs);
      this.#number(endMs);
      this.#number(within && parts.indexOf(within));
      this.#number(link ? 1 : 0);
      if (link) this.#context(link);
      if (endMs !== undefined) this.#spans++;
    }
    this.#spans++;
  }

  #context({ traceId, spanId, flags }: TraceContext): void {
    this.#text(traceId);
    this.#text(spanId);
    this.#number(flags);
  }

  #number(value: number | undefined): void {
    if (this.#count === this.#numbers.length) {
      const longer = new Float64Array(2 * this.#count);
      longer.set(this.#numbers);
      this.#numbers = longer;
    }
    this.#numbers[this.#count++] = value ?? NO_NUMBER;
  }

  #text(value: string | undefined): void {
    this.#texts.push(value ?? NO_TEXT);
  }
}
