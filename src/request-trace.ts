// The trace of one request, or of one message of a WebSocket. If it is sampled, the parts of the service note in it when
// each part of the work began and ended; tracing/ makes spans of them when the request has ended. So nothing is wrapped,
// and a request that is not sampled pays for nothing.
//
// It stands in the RequestRecord, which all that works for a request is passed.
import type { TraceContext } from './trace-context.ts';

/** A part of a request's work. Times are of performance.now(). One that never ends was refused before it did anything. */
export interface TracedPart {
  readonly name: string;
  readonly startMs: number;
  /** Undefined as long as it goes on. */
  endMs: number | undefined;
  /** The part during which it began. */
  readonly within: TracedPart | undefined;
  /** The span of the transaction that has committed it, with other requests. */
  link: TraceContext | undefined;
}

/** A stream of many chunks has many parts; those after these have no spans. */
export const PARTS_MAX = 128;

export class RequestTrace {
  /** Of the request's own span. If no spans are made, of the caller's: it is passed on as it came. */
  readonly context: TraceContext;
  /** Of the caller's span; undefined if the trace begins here. */
  readonly parent: TraceContext | undefined;
  /** The header of this name as it came with the parent. */
  readonly tracestate: string | undefined;
  /** In the order in which they began; undefined unless the request is sampled. */
  readonly parts: TracedPart[] | undefined;
  /** When the request arrived, by performance.now(). */
  readonly startMs: number;
  /** How many parts have no place in `parts`. */
  droppedParts = 0;
  #open: TracedPart | undefined;

  /** @param isSampled whether spans are made */
  constructor(context: TraceContext, isSampled: boolean, parent?: TraceContext, tracestate?: string) {
    this.context = context;
    this.parent = parent;
    this.tracestate = tracestate;
    this.parts = isSampled ? [] : undefined;
    this.startMs = isSampled ? performance.now() : 0;
  }

  /** A part begins; undefined if it is not noted. Parts end in the reverse order of their beginnings. */
  begin(name: string, nowMs: number): TracedPart | undefined {
    const part = this.#note(name, nowMs);
    if (part) this.#open = part;
    return part;
  }

  end(part: TracedPart | undefined, nowMs: number): void {
    if (!part) return;
    part.endMs = nowMs;
    this.#open = part.within;
  }

  /** Notes a part that ends now, and during which others may have begun. */
  add(name: string, startMs: number): void {
    const part = this.#note(name, startMs);
    if (part) part.endMs = performance.now();
  }

  /** Names the transaction that has done the part which goes on. */
  linkTo(context: TraceContext): void {
    if (this.#open) this.#open.link = context;
  }

  #note(name: string, startMs: number): TracedPart | undefined {
    if (!this.parts) return undefined;
    if (this.parts.length === PARTS_MAX) {
      this.droppedParts++;
      return undefined;
    }
    const part = { name, startMs, endMs: undefined, within: this.#open, link: undefined };
    this.parts.push(part);
    return part;
  }
}
