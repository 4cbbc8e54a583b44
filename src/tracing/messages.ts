// What the main thread and the thread that exports spans send each other.
import type { EncodedSpans } from './span-batch.ts';

export interface ThreadOptions {
  readonly endpoint: string;
  readonly version: string;
}

/** Spans to export, or the order to send what waits and to end. */
export type ToThread = { readonly spans: EncodedSpans } | { readonly isLast: true };

/** Spans that do not wait any more. */
export interface FromThread {
  readonly spans: number;
  /** Why they were lost; undefined if the collector has them. */
  readonly error: string | undefined;
}
