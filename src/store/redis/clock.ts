// The clock of the Redis server, which all replicas go by: their own clocks may differ. It is asked again and
// again, and in between the time that passes here is counted, so that a wall clock that is set changes
// nothing. If the server's own clock is set, that is believed only when it stays so.

/** A server and a computer drift apart by less than this in a second, even when NTP corrects one of them. */
const DRIFT_MS_MAX = 250;
/** An answer that took longer says too little. */
const ROUND_TRIP_MS_MAX = 500;
/** Another time than expected is believed when it has been told for so long. */
export const JUMP_SETTLES_MS = 30_000;

export class ServerClock {
  /** What to add to performance.now(). Until the server was asked: the wall clock as it was at the start. */
  #offsetMs = Date.now() - performance.now();
  #isKnown = false;
  /** Since when the server tells another time. */
  #strangeSinceMs: number | undefined;

  /** Whether the server has told its time. */
  get isKnown(): boolean {
    return this.#isKnown;
  }

  /**
   * @param serverMs what the server said, ms since 1970
   * @param askedAtMs and
   * @param answeredAtMs when, by performance.now()
   */
  observe(serverMs: number, askedAtMs: number, answeredAtMs: number): void {
    if (this.#isKnown && answeredAtMs - askedAtMs > ROUND_TRIP_MS_MAX) return;
    const offsetMs = serverMs - (askedAtMs + answeredAtMs) / 2;
    const isStrange = this.#isKnown && Math.abs(offsetMs - this.#offsetMs) > DRIFT_MS_MAX;
    if (isStrange) {
      this.#strangeSinceMs ??= answeredAtMs;
      if (answeredAtMs - this.#strangeSinceMs < JUMP_SETTLES_MS) return;
    }
    this.#strangeSinceMs = undefined;
    this.#offsetMs = offsetMs;
    this.#isKnown = true;
  }

  /** @param atMs by performance.now() */
  now(atMs = performance.now()): number {
    return Math.round(atMs + this.#offsetMs);
  }
}
