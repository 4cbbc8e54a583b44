// The limits of all tenants: defaults by settings, overridden for each tenant by the file of the API keys, and by each key.
import type { Principal } from '../access/principal.ts';
import { DEFAULT_TENANT, type Tenant } from '../tenant.ts';
import { LRUCache } from 'lru-cache';
import { LocalRate, type Rate } from './rate.ts';
import { SharedRate, type TakeLot } from './shared-rate.ts';
import { type LimitedListener, type Rates, TenantCounts, type TenantLimits, TenantUsage } from './tenant-usage.ts';

export interface LimitsOptions {
  /** Of tenants of which the file says nothing. */
  readonly defaults: TenantLimits;
  /** What the file of the keys says; the same object until it says something else. */
  readonly limitsOf: (tenant: string) => TenantLimits | undefined;
  /** Undefined if other processes do not take part. */
  readonly takeLot: TakeLot | undefined;
  readonly onLimited: LimitedListener | undefined;
}

/**
 * Tenants and keys that are remembered, those that called last: an issuer of tokens may name any number of tenants. One that
 * is forgotten begins anew.
 */
const REMEMBERED_MAX = 20_000;

interface Known {
  readonly said: TenantLimits | undefined;
  readonly usage: TenantUsage;
}

export class Limits {
  readonly #options: LimitsOptions;
  readonly #rates = new LRUCache<string, Rate>({ max: 2 * REMEMBERED_MAX });
  readonly #counts = new LRUCache<string, TenantCounts>({ max: REMEMBERED_MAX });
  /** By the caller, or by the tenant where there are none. */
  readonly #known = new WeakMap<object, Known>();
  readonly #everybody = {};

  constructor(options: LimitsOptions) {
    this.#options = options;
  }

  /** What a caller may use: it counts for its tenant, and its own rates for it as well. */
  usageOf(principal: Principal | undefined): TenantUsage {
    const tenant = principal?.tenant ?? DEFAULT_TENANT;
    const caller = principal ?? this.#everybody;
    const said = this.#options.limitsOf(tenant);
    const known = this.#known.get(caller);
    if (known && known.said === said) return known.usage;
    const limits = this.limitsOf(tenant);
    const rates = [this.#ratesOf(`t:${tenant}`, limits)];
    if (principal) rates.push(this.#ratesOf(`k:${principal.tenant}:${principal.name}`, principal.rates));
    const usage = new TenantUsage(limits, this.#countsOf(tenant), rates, this.#options.onLimited);
    this.#known.set(caller, { said, usage });
    return usage;
  }

  /** The limits of a tenant: what the file says, and else the defaults. */
  limitsOf(tenant: Tenant): TenantLimits {
    return { ...this.#options.defaults, ...this.#options.limitsOf(tenant ?? DEFAULT_TENANT) };
  }

  #countsOf(tenant: string): TenantCounts {
    const counts = this.#counts.get(tenant) ?? new TenantCounts();
    this.#counts.set(tenant, counts);
    return counts;
  }

  #ratesOf(owner: string, { requests_per_s, flops_per_s }: Pick<TenantLimits, 'requests_per_s' | 'flops_per_s'>): Rates {
    return {
      requests: this.#rateOf(`${owner}:requests`, requests_per_s),
      flops: this.#rateOf(`${owner}:flops`, flops_per_s),
    };
  }

  /** The same bucket for all callers of an owner, as long as the rate is the same. */
  #rateOf(name: string, perS: number | undefined): Rate | undefined {
    if (perS === undefined) return undefined;
    const known = this.#rates.get(name);
    if (known?.perS === perS) return known;
    const { takeLot } = this.#options;
    const rate = takeLot ? new SharedRate(perS, name, takeLot) : new LocalRate(perS);
    this.#rates.set(name, rate);
    return rate;
  }
}
