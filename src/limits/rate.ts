// A rate as a token bucket: `perS` tokens come in each second, up to what comes in a second, or one. Tokens are requests,
// or operations of computations.
//
// A request takes one token, and is admitted when there is one. How many operations a computation has is known only when its
// shapes are: it is admitted when the bucket is not in debt, and all of it is taken then. So in any time t the requests are
// at most perS · t + burst, the operations at most that and one computation more (WORK_FLOPS_MAX).

/** Rounding of tokens must not keep out who has waited as long as it was told. */
const ROUNDING = 1e-6;

export interface RateOptions {
  readonly perS: number;
  /** How many tokens must be there: 1 of requests, 0 where a debt may be made. */
  readonly needed: 0 | 1;
}

/** One rate of a tenant or a key: of this process alone (LocalRate), or shared (shared-rate.ts). */
export interface Rate {
  readonly perS: number;
  /** The most tokens that there can be. */
  readonly burst: number;
  /** Resolves when another process has been asked whether there are more; undefined if that is not needed. */
  refill(): Promise<void> | undefined;
  /** Until there are as many tokens as are needed, in ms; 0 if there are. */
  waitMs(): number;
  take(tokens: number): void;
  /** What there is, without a debt. */
  readonly available: number;
}

/** How many tokens come together when a tenant has not used any for a while. */
export function burstOf({ perS }: Pick<RateOptions, 'perS'>): number {
  return Math.max(1, perS);
}

export class LocalRate implements Rate {
  readonly perS: number;
  readonly burst: number;
  readonly #needed: number;
  readonly #now: () => number;
  #tokens: number;
  #atMs: number;

  /** Begins with all that there can be. @param now in ms */
  constructor({ perS, needed }: RateOptions, now: () => number = () => performance.now()) {
    this.perS = perS;
    this.burst = burstOf({ perS });
    this.#needed = needed;
    this.#now = now;
    this.#tokens = this.burst;
    this.#atMs = now();
  }

  get available(): number {
    return Math.max(0, Math.floor(this.#current() + ROUNDING));
  }

  refill(): undefined {}

  waitMs(): number {
    const lacking = this.#needed - this.#current();
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
