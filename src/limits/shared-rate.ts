// A rate that several processes share through their store. A process takes tokens from it in lots of a tenth of a second,
// and gives them out by itself: so a request waits for the store only when the lot is used up, and at most some ten times
// a second in each process. When the store does not answer, the process limits by itself for a while.
//
// Beyond the rate the processes can give out one lot each, which they took before and had not given out.
import { LocalRate, type Rate, burstOf } from './rate.ts';

export interface LotRequest {
  readonly perS: number;
  /** The most tokens that there can be in the store. */
  readonly burst: number;
  /** Tokens that were given out in this process and not taken from the store yet: they are taken in any case. */
  readonly debt: number;
  /** How many are asked for besides; as many as there are are granted. */
  readonly amount: number;
}

export interface Lot {
  readonly granted: number;
  /** Until there is a token in the store; 0 if some were granted. */
  readonly waitMs: number;
  /** What is left in the store; negative for a debt. */
  readonly left: number;
}

/** Takes tokens of the rate with this name from the store. */
export type TakeLot = (name: string, request: LotRequest) => Promise<Lot>;

const LOT_S = 0.1;
/** Where there is less than a lot, the store is asked again after this: not once for each token. */
const SHORT_MS = 50;
/** Tokens that were taken and not given out for this time are not used any more. */
const LOT_LASTS_MS = 1_000;
/** How long a process limits by itself when the store has failed. */
const ALONE_MS = 1_000;

export class SharedRate implements Rate {
  readonly perS: number;
  readonly burst: number;
  readonly #name: string;
  readonly #takeLot: TakeLot;
  readonly #now: () => number;
  readonly #lot: number;
  readonly #alone: LocalRate;
  #aloneUntilMs = 0;
  #tokens = 0;
  #takenAtMs = 0;
  #waitUntilMs = 0;
  #left = 0;
  #pending: Promise<void> | undefined;

  constructor(perS: number, name: string, takeLot: TakeLot, now: () => number = () => performance.now()) {
    this.perS = perS;
    this.burst = burstOf(perS);
    this.#name = name;
    this.#takeLot = takeLot;
    this.#now = now;
    this.#lot = Math.max(1, Math.floor(perS * LOT_S));
    this.#alone = new LocalRate(perS, now);
  }

  get available(): number {
    if (this.#isAlone) return this.#alone.available;
    return Math.min(this.burst, Math.max(0, Math.floor(this.#tokens + this.#left)));
  }

  refill(): Promise<void> | undefined {
    const nowMs = this.#now();
    if (nowMs < this.#waitUntilMs || this.#isAlone) return undefined;
    if (this.#tokens > 0 && nowMs - this.#takenAtMs > LOT_LASTS_MS) this.#tokens = 0;
    const isEnough = this.#tokens >= 1;
    // Before it is used up, so that nobody waits for it.
    if (this.#tokens < this.#lot / 2) this.#pending ??= this.#take();
    return isEnough ? undefined : this.#pending;
  }

  waitMs(): number {
    if (this.#isAlone) return this.#alone.waitMs();
    if (this.#tokens >= 1) return 0;
    return Math.max(1, this.#waitUntilMs - this.#now());
  }

  take(tokens: number): void {
    if (this.#isAlone) return this.#alone.take(tokens);
    this.#tokens -= tokens;
    // The others are to know of a debt at once.
    if (this.#tokens < 0) this.#pending ??= this.#take();
    return undefined;
  }

  get #isAlone(): boolean {
    return this.#now() < this.#aloneUntilMs;
  }

  async #take(): Promise<void> {
    const { perS, burst } = this;
    const debt = Math.max(0, -this.#tokens);
    try {
      const { granted, waitMs, left } = await this.#takeLot(this.#name, { perS, burst, debt, amount: this.#lot });
      const nowMs = this.#now();
      this.#tokens += debt + granted;
      this.#left = left;
      this.#takenAtMs = nowMs;
      this.#waitUntilMs = nowMs + (granted < this.#lot ? Math.max(waitMs, SHORT_MS) : 0);
    } catch {
      this.#aloneUntilMs = this.#now() + ALONE_MS;
    } finally {
      this.#pending = undefined;
    }
  }
}
