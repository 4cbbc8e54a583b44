// When those that were refused had best come again: not all at once, but at a rate at which most of them find
// a place. Told only when the queue will have room, a hundred callers come for each place, and refusing
// them takes the processor that the workers need.

/** So many come for each place: some give up, and no worker must run out of work for that. */
const RETRIES_PER_PLACE = 3;
/** Nobody is sent away for longer because of the others: load may end at any time. */
const SPREAD_MS_MAX = 10_000;

export class RetryTimes {
  /** When the one that was refused last should come, in ms of performance.now(). */
  #latestMs = 0;

  /**
   * @param soonestMs from now until there can be room
   * @param workMs for how long its work takes all workers together
   * @returns ms from now
   */
  next(soonestMs: number, workMs: number): number {
    const nowMs = performance.now();
    const soonestAtMs = nowMs + soonestMs;
    const spreadAtMs = Math.min(this.#latestMs + workMs / RETRIES_PER_PLACE, nowMs + SPREAD_MS_MAX);
    this.#latestMs = Math.max(soonestAtMs, spreadAtMs);
    return this.#latestMs - nowMs;
  }
}
