// When a call is sent again, and after which time.
import { type Signals, sleep, throwIfAborted } from './abort.ts';
import { CLIENT_CODES, type CarryoverError } from './problem.ts';
import { randomShare } from './random.ts';

export interface RetryOptions {
  /** From the first time that a call is sent until the client gives up. 60,000 if absent; 0 sends each call once. */
  readonly giveUpMs?: number;
  /** After which an attempt without an answer counts as lost. 30,000 if absent. */
  readonly attemptMs?: number;
  /** The wait before the second attempt, at most; it doubles with each attempt, up to `delayMsMax`. 100 if absent. */
  readonly delayMs?: number;
  /** 5,000 if absent. */
  readonly delayMsMax?: number;
}

export type RetryPolicy = Required<RetryOptions>;

const DEFAULTS: RetryPolicy = { giveUpMs: 60_000, attemptMs: 30_000, delayMs: 100, delayMsMax: 5_000 };
/** How often a call is sent that the service itself fails at: a fault in it does not pass by waiting. */
const FAILED_ATTEMPTS_MAX = 4;
/** Refusals that pass: the request took too long to arrive, too many requests, a gateway or the service is not there. */
const PASSING_STATUSES = [408, 425, 429, 502, 503, 504];

export function retryPolicy(options: RetryOptions | false = {}): RetryPolicy {
  return { ...DEFAULTS, ...(options === false ? { giveUpMs: 0 } : options) };
}

/** Waits between the attempts of one call, until its time is over. */
export class Patience {
  readonly #policy: RetryPolicy;
  readonly #signals: Signals;
  readonly #endMs: number;
  #attempts = 0;

  constructor(policy: RetryPolicy, signals: Signals) {
    this.#policy = policy;
    this.#signals = signals;
    this.#endMs = performance.now() + policy.giveUpMs;
  }

  /**
   * Waits after an attempt has failed: for a random time, so that clients that failed together do not return together,
   * and not less than the service asks for.
   *
   * @throws the error if the same call will fail again or the time is over · the reason of a signal that aborts
   */
  async waitAfter(error: CarryoverError): Promise<void> {
    throwIfAborted(this.#signals);
    const { delayMs, delayMsMax } = this.#policy;
    this.#attempts++;
    if (!isPassing(error, this.#attempts)) throw error;
    const mostMs = Math.min(delayMsMax, delayMs * 2 ** (this.#attempts - 1));
    const waitMs = (error.retryAfterMs ?? 0) + mostMs * randomShare();
    if (performance.now() + waitMs >= this.#endMs) throw error;
    await sleep(waitMs, this.#signals);
  }
}

/** Whether the same call may succeed if it is sent again, after so many attempts. */
export function isPassing({ code, status = 0, applied }: CarryoverError, attempts: number): boolean {
  if (code === CLIENT_CODES.noAnswer || code === 'idempotency_key_in_use' || PASSING_STATUSES.includes(status)) return true;
  const isFailure = code === 'worker_failed' || (status >= 500 && applied === 'unknown');
  return isFailure && attempts < FAILED_ATTEMPTS_MAX;
}
