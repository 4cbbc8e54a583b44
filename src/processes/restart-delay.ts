// How long a process that ended is waited for until it is replaced: not at all if that is rare, longer and longer if not.

/** Ends of this time count. */
const WINDOW_MS = 60_000;
const FIRST_MS = 100;
const LONGEST_MS = 10_000;

export class RestartDelay {
  #ends: number[] = [];

  /** In ms. @param nowMs when a process has ended, in ms of performance.now() */
  next(nowMs: number): number {
    this.#ends = this.#ends.filter((ms) => nowMs - ms < WINDOW_MS);
    const before = this.#ends.length;
    this.#ends.push(nowMs);
    return before === 0 ? 0 : Math.min(LONGEST_MS, FIRST_MS * 2 ** (before - 1));
  }
}
