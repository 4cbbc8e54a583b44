// Traces on their way from the main thread to the one that makes spans of them (export-thread/): numbers and texts in the order
// in which TraceBatch puts them and TraceReader takes them. If the main thread made the spans, it would take four objects a
// request, which live as long as they wait to be sent, through several garbage collections, and are encoded then.

/** What a trace in a batch is of. */
export const REQUEST = 0;
export const MESSAGE = 1;
export const GROUP_COMMIT = 2;

/** Stands for `undefined`. No text that is kept here is empty, and no number is negative. */
export const NO_TEXT = '';
export const NO_NUMBER = -1;

/** What is sent to the thread. */
export interface PackedTraces {
  /** Of the spans that can be made of it. */
  readonly spans: number;
  /** What to add to its times, to have them in ms since 1970. */
  readonly epochOffsetMs: number;
  readonly numbers: Float64Array<ArrayBuffer>;
  readonly texts: readonly string[];
}
