// How long the slices of long work are. Each costs a dispatch, so they are long; but short work that comes finds up to two of them
// before it at each worker, so while there is such work they are short.

/** Short beside the time a request may wait, and long beside a dispatch (tens of microseconds). */
export const TIME_SLICE_MS = 10;
/** Some twenty times a dispatch. */
export const SLICE_MS_MIN = 2;
/** For so long after short work more of it is expected. */
const EXPECTED_MS = 1_000;

export class SliceLength {
  #shortUntilMs = -Infinity;

  /** Of the next slice, in ms. */
  get ms(): number {
    return performance.now() < this.#shortUntilMs ? SLICE_MS_MIN : TIME_SLICE_MS;
  }

  /** To be called when work arrives that is computed in one piece, of `ms`. */
  noteWhole(ms: number): void {
    if (ms <= TIME_SLICE_MS) this.#shortUntilMs = performance.now() + EXPECTED_MS;
  }
}
