// When refused requests should be sent again (Retry-After): spread over time, at a rate at which most of them are then
// accepted. If all were answered with the time at which the queue has capacity again, a hundred would arrive for each
// free place, and refusing them takes the processor time that the workers need.

/** Retries for each free place: some clients do not retry, and that must not leave workers idle. */
const RETRIES_PER_PLACE = 3;
/** The longest delay for the sake of spreading: the load may end at any time. */
const SPREAD_MS_MAX = 10_000;

/** Assigns times to retries, one after the other. */
export class RetryTimes {
  /**
   * Until when retries are spread, in ms of performance.now(). It does not depend on when there is capacity for them:
   * a client that has a long backlog of its own would make all others wait for it.
   */
  #spreadUntilMs = 0;

  /**
   * @param soonestMs in how many ms there can be capacity
   * @param workMs how long the request's work takes all workers together, in ms
   * @returns in how many ms the request should be sent again
   */
  next(soonestMs: number, workMs: number): number {
    const nowMs = performance.now();
    const nextMs = Math.max(this.#spreadUntilMs, nowMs) + workMs / RETRIES_PER_PLACE;
    this.#spreadUntilMs = Math.min(nextMs, nowMs + SPREAD_MS_MAX);
    return Math.max(soonestMs, this.#spreadUntilMs - nowMs);
  }
}
