// A rate as a token bucket: `perS` tokens come in each second, up to what comes in a second, or one. Tokens are requests,
// or operations of computations.
//
// Whoever comes is admitted when there is a token, and takes all that it needs then: a request one, a computation all its
// operations, whose number is known only when its shapes are, and which may be a debt. So in any time t the requests are at
// most perS · t + burst, and the operations at most that and one computation more (WORK_FLOPS_MAX).

/** Rounding of tokens must not keep out who has waited as long as it was told. */
const ROUNDING = 1e-6;

/** One rate of a tenant or a key: of this process alone (LocalRate), or shared (shared-rate.ts). */
export interface Rate {
  readonly perS: number;
  /** The most tokens that there can be. */
  readonly burst: number;
  /** Resolves when another process has been asked whether there are more; undefined if that is not needed. */
  refill(): Promise<void> | undefined;
  /** Until there is a token, in ms; 0 if there is. */
  waitMs(): number;
  take(tokens: number): void;
  /** What there is, without a debt. */
  readonly available: number;
}

/** How many tokens come together when a tenant has not used any for a while. */
export function burstOf(perS: number): number {
  return Math.max(1, perS);
}

export class LocalRate implements Rate {
  readonly perS: number;
  readonly burst: number;
  readonly #now: () => number;
  #tokens: number;
  #atMs: number;

  /** Begins with all that there can be. @param now in ms */
  constructor(perS: number, now: () => number = () => performance.now()) {
    this.perS = perS;
    this.burst = burstOf(perS);
    this.#now = now;
    this.#tokens = this.burst;
    this.#atMs = now();
  }

  get available(): number {
    return Math.max(0, Math.floor(this.#current() + ROUNDING));
  }

  refill(): undefined {}

  waitMs(): number {
    const lacking = 1 - this.#current();
    return lacking <= ROUNDING ? 0 : (lacking / this.perS) * 1_000;
  }

  take(tokens: number): void {
    this.#tokens = this.#current() - tokens;
  }

  #current(): number {
    const nowMs = this.#now();
    this.#tokens = Math.min(this.burst, this.#tokens + ((nowMs - this.#atMs) / 1_000) * this.perS);
    this.#atMs = nowMs;
    return this.#tokens;
  }
}
