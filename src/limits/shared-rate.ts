// A rate that several processes share through their store. A process takes tokens from it in lots of a tenth of a second,
// and gives them out by itself: so a request waits for the store only when the lot is used up, and at most some ten times
// a second in each process. When the store does not answer, the process limits by itself for a while.
//
// Beyond the rate the processes can give out one lot each, which they took before and had not given out.
import { LocalRate, type Rate, type RateOptions, burstOf } from './rate.ts';

export interface LotRequest extends RateOptions {
  /** Of the tokens in the store. */
  readonly burst: number;
  /** How many are asked for; with `needed` 1 fewer may be granted. */
  readonly amount: number;
}

export interface Lot {
  readonly granted: number;
  /** Until there are as many in the store as are needed, after this; 0 if there are. */
  readonly waitMs: number;
  /** What is left in the store; negative for a debt. */
  readonly left: number;
}

/** Takes tokens of the rate with this name from the store. */
export type TakeLot = (name: string, request: LotRequest) => Promise<Lot>;

const LOT_S = 0.1;
/** Tokens that were taken and not given out for this time are not used any more. */
const LOT_LASTS_MS = 1_000;
/** How long a process limits by itself when the store has failed. */
const ALONE_MS = 1_000;

export class SharedRate implements Rate {
  readonly perS: number;
  readonly burst: number;
  readonly #options: RateOptions;
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

  constructor(options: RateOptions, name: string, takeLot: TakeLot, now: () => number = () => performance.now()) {
    this.#options = options;
    this.perS = options.perS;
    this.burst = burstOf(options);
    this.#name = name;
    this.#takeLot = takeLot;
    this.#now = now;
    this.#lot = Math.max(1, Math.floor(options.perS * LOT_S));
    this.#alone = new LocalRate(options, now);
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
    const leftMs = this.#waitUntilMs - this.#now();
    if (this.#tokens >= 1 && this.#options.needed === 1) return 0;
    return leftMs > 0 ? leftMs : this.#tokens >= 1 ? 0 : 1;
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
    const amount = this.#lot - Math.min(0, this.#tokens);
    try {
      const { granted, waitMs, left } = await this.#takeLot(this.#name, { ...this.#options, burst: this.burst, amount });
      const nowMs = this.#now();
      this.#tokens += granted;
      this.#left = left;
      if (granted > 0) this.#takenAtMs = nowMs;
      this.#waitUntilMs = nowMs + waitMs;
    } catch {
      this.#aloneUntilMs = this.#now() + ALONE_MS;
    } finally {
      this.#pending = undefined;
    }
  }
}
