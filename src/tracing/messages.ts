// What the main thread and the thread that exports spans send each other.
import type { PackedTraces } from './packed-traces.ts';

export interface ThreadOptions {
  readonly endpoint: string;
  readonly version: string;
  readonly delayMs: number;
  /** Of spans; see SpanExport. */
  readonly queueMax: number;
}

/** Traces that have ended, or the order to send what waits and to end. */
export type ToThread = { readonly traces: PackedTraces } | { readonly isLast: true };

/** Spans that do not wait any more. */
export interface FromThread {
  readonly spans: number;
  /** Why they were lost; undefined if the collector has them. */
  readonly error: string | undefined;
}
