// What one tenant uses at this moment, and what a caller of it may use: the rates of the tenant, and those of the key.
import type { TenantLimits as FileLimits } from '../access/keys-file.ts';
import { CarryoverError } from '../errors.ts';
import type { Usage } from '../usage.ts';
import type { Rate } from './rate.ts';

/** The most that a tenant may use, as the file of the keys says it; undefined is no limit. */
export type TenantLimits = { readonly [Kind in keyof FileLimits]?: FileLimits[Kind] | undefined };

export type LimitKind = keyof TenantLimits;

export const LIMIT_KINDS = [
  'requests_per_s',
  'flops_per_s',
  'sessions',
  'state_bytes',
  'models',
  'streams',
  'body_bytes',
] as const satisfies readonly LimitKind[];

/** Called when a request or a message was refused because of a limit. */
export type LimitedListener = (kind: LimitKind) => void;

export interface Rates {
  readonly requests: Rate | undefined;
  readonly flops: Rate | undefined;
}

/** So many requests of a tenant are refused at once in a second; the more come, the later the others are. */
const PROMPT_REFUSALS = 20;
const REFUSAL_DELAY_MS = 10;
const REFUSAL_DELAY_MS_MAX = 500;

/** Of all callers of a tenant in this process. */
export class TenantCounts {
  streams = 0;
  /** As that of a connection (http/bodies/body-budget.ts). */
  bodyBytes = 0;
  #refusals = 0;
  #secondEndsMs = 0;

  /**
   * How long a refusal that is made now is held back. A connection sends its next request when it has the answer: so
   * a client that does not wait is kept from using the main thread of all for refusals. 0 for any other client.
   */
  refusalDelayMs(): number {
    const nowMs = performance.now();
    if (nowMs >= this.#secondEndsMs) {
      this.#secondEndsMs = nowMs + 1_000;
      // Half of those before, so that each second does not begin with prompt ones again.
      this.#refusals = Math.min(this.#refusals, REFUSAL_DELAY_MS_MAX) / 2;
    }
    this.#refusals++;
    return Math.max(0, Math.min(REFUSAL_DELAY_MS_MAX, (this.#refusals - PROMPT_REFUSALS) * REFUSAL_DELAY_MS));
  }
}

/** Headers of draft-ietf-httpapi-ratelimit-headers. */
export type RateHeaders = Record<'ratelimit' | 'ratelimit-policy', string>;

export class TenantUsage implements Usage {
  readonly limits: TenantLimits;
  readonly counts: TenantCounts;
  readonly #requests: readonly Rate[];
  readonly #flops: readonly Rate[];
  readonly #all: readonly Rate[];
  readonly #onLimited: LimitedListener | undefined;
  readonly #policy: string | undefined;

  /** @param rates of the tenant, and of the key */
  constructor(
    limits: TenantLimits,
    counts: TenantCounts,
    rates: readonly Rates[],
    onLimited: LimitedListener | undefined,
  ) {
    this.limits = limits;
    this.counts = counts;
    this.#requests = rates.flatMap(({ requests }) => requests ?? []);
    this.#flops = rates.flatMap(({ flops }) => flops ?? []);
    this.#all = [...this.#requests, ...this.#flops];
    this.#onLimited = onLimited;
    const policies = [...policiesOf('requests', this.#requests), ...policiesOf('operations', this.#flops)];
    this.#policy = policies.length === 0 ? undefined : policies.join(', ');
  }

  get group(): object {
    return this.counts;
  }

  /**
   * Takes one request or message, unless it is one too many, or operations are in debt.
   *
   * @throws rate_limited, after a while if many are refused
   */
  takeRequest(): Promise<void> | undefined {
    if (this.#all.length === 0) return undefined;
    const waiting = refill(this.#all);
    return waiting ? waiting.then(() => this.#takeRequestNow()) : this.#takeRequestNow();
  }

  #takeRequestNow(): Promise<void> | undefined {
    try {
      this.#expectNoWait('requests_per_s', this.#requests);
      this.#expectNoWait('flops_per_s', this.#flops);
    } catch (error) {
      const delayMs = this.counts.refusalDelayMs();
      if (delayMs === 0) throw error;
      return new Promise((_, reject) => setTimeout(reject, delayMs, error));
    }
    for (const rate of this.#requests) rate.take(1);
    return undefined;
  }

  chargeFlops(flops: number): Promise<void> | undefined {
    if (this.#flops.length === 0) return undefined;
    const waiting = refill(this.#flops);
    if (waiting) return waiting.then(() => this.#chargeNow(flops));
    this.#chargeNow(flops);
    return undefined;
  }

  #chargeNow(flops: number): void {
    this.#expectNoWait('flops_per_s', this.#flops);
    for (const rate of this.#flops) rate.take(flops);
  }

  expectModel(count: number): void {
    const { models } = this.limits;
    if (models === undefined || count < models) return;
    this.#onLimited?.('models');
    throw limited('models', `This tenant has registered ${count} models, at most ${models} are allowed: delete one`);
  }

  expectName(count: number): void {
    const { models } = this.limits;
    if (models === undefined || count < models) return;
    this.#onLimited?.('models');
    throw limited('models', `This tenant has ${count} names of models, at most ${models} are allowed: move one, or delete its model`);
  }

  /** @throws rate_limited if there are as many streams and WebSockets as may be */
  expectStream(): void {
    const { streams } = this.limits;
    if (streams === undefined || this.counts.streams < streams) return;
    this.#onLimited?.('streams');
    throw limited('streams', `${this.counts.streams} of ${streams} streams and WebSockets of this tenant are open`);
  }

  /** @param bytes that are to be held in addition · @throws rate_limited */
  expectBodyBytes(bytes: number): void {
    const { body_bytes: max } = this.limits;
    const { bodyBytes } = this.counts;
    if (max === undefined || bodyBytes + bytes <= max) return;
    this.#onLimited?.('body_bytes');
    throw limited('body_bytes', `Bodies of ${bodyBytes} bytes of this tenant are being served, at most ${max} may be`);
  }

  /** Undefined if no rate is limited. */
  headers(): RateHeaders | undefined {
    if (this.#policy === undefined) return undefined;
    const states = [...statesOf('requests', this.#requests), ...statesOf('operations', this.#flops)];
    return { ratelimit: states.join(', '), 'ratelimit-policy': this.#policy };
  }

  /** @throws rate_limited */
  #expectNoWait(kind: 'requests_per_s' | 'flops_per_s', rates: readonly Rate[]): void {
    const waitMs = Math.max(0, ...rates.map((rate) => rate.waitMs()));
    if (waitMs === 0) return;
    this.#onLimited?.(kind);
    const what = kind === 'requests_per_s' ? 'requests' : 'operations of computations';
    const perS = Math.min(...rates.filter((rate) => rate.waitMs() > 0).map((rate) => rate.perS));
    throw limited(kind, `This tenant or key may make ${perS} ${what} a second, and has made them`, waitMs);
  }
}

function refill(rates: readonly Rate[]): Promise<unknown> | undefined {
  const waiting = rates.map((rate) => rate.refill()).filter((promise) => promise !== undefined);
  return waiting.length === 0 ? undefined : Promise.all(waiting);
}

function limited(kind: LimitKind, what: string, retryAfterMs?: number): CarryoverError {
  return new CarryoverError('rate_limited', { detail: `${what} (${kind}).`, retryAfterMs });
}

/** The most that a structured field can have (RFC 9651, section 3.3.1). */
const FIELD_INTEGER_MAX = 999_999_999_999_999;

const integer = (value: number) => Math.max(0, Math.min(FIELD_INTEGER_MAX, Math.floor(value)));

/** The name of the rate of the tenant, and of the key if it has one. */
const nameOf = (what: string, k: number) => (k === 0 ? what : `key-${what}`);

function policiesOf(what: 'requests' | 'operations', rates: readonly Rate[]): string[] {
  const unit = what === 'operations' ? ';qu="operations"' : '';
  return rates.map(({ perS, burst }, k) => {
    // A quota of less than one a second is one in a longer window.
    const window = Math.max(1, Math.ceil(burst / perS));
    return `"${nameOf(what, k)}";q=${integer(burst)}${unit};w=${window}`;
  });
}

function statesOf(what: string, rates: readonly Rate[]): string[] {
  return rates.map((rate, k) => {
    const { available } = rate;
    const waitMs = rate.waitMs();
    const nextMs = waitMs > 0 ? waitMs : available >= rate.burst ? 0 : 1_000 / rate.perS;
    return `"${nameOf(what, k)}";r=${integer(available)};t=${Math.ceil(nextMs / 1_000)}`;
  });
}
