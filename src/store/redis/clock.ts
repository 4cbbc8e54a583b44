// The clock of the Redis server, which all replicas of the service go by, as their own clocks may differ. The
// server is asked again and again. Between two answers the time is that of performance.now(), so a wall
// clock that is set has no effect. A jump of the server's own clock is followed only if it lasts.

/** The drift between server and computer in a second stays below this, also while NTP slews one of them. */
const DRIFT_MS_MAX = 250;
/** An answer that took longer is too inaccurate. */
const ROUND_TRIP_MS_MAX = 500;
/** A time that deviates from the expected one is followed once the server has given it for this time. */
export const JUMP_SETTLES_MS = 30_000;

export class ServerClock {
  /** Added to performance.now(). Until the server was asked: the wall clock at the start of the process. */
  #offsetMs = Date.now() - performance.now();
  #isKnown = false;
  /** Since when the server has given a time that deviates. */
  #deviatesSinceMs: number | undefined;

  /** Whether the server has given its time. */
  get isKnown(): boolean {
    return this.#isKnown;
  }

  /**
   * Takes an answer of the server into account.
   *
   * @param serverMs the time of the server, in ms since 1970
   * @param sentAtMs when it was asked, by performance.now()
   * @param receivedAtMs when the answer came, by performance.now()
   */
  observe(serverMs: number, sentAtMs: number, receivedAtMs: number): void {
    if (this.#isKnown && receivedAtMs - sentAtMs > ROUND_TRIP_MS_MAX) return;
    const offsetMs = serverMs - (sentAtMs + receivedAtMs) / 2;
    const deviates = this.#isKnown && Math.abs(offsetMs - this.#offsetMs) > DRIFT_MS_MAX;
    if (deviates) {
      this.#deviatesSinceMs ??= receivedAtMs;
      if (receivedAtMs - this.#deviatesSinceMs < JUMP_SETTLES_MS) return;
    }
    this.#deviatesSinceMs = undefined;
    this.#offsetMs = offsetMs;
    this.#isKnown = true;
  }

  /** @param atMs by performance.now() @returns ms since 1970 */
  now(atMs = performance.now()): number {
    return Math.round(atMs + this.#offsetMs);
  }
}
