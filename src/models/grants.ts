// Which models each tenant has registered, and when: what it may refer to by id, and the order of its list.
import { SortedKeys } from '../sorted-keys.ts';
import type { Grant } from './tenant-names.ts';
import { sortKeyOf } from './sort-key.ts';

export class Grants {
  /** By tenant, then by id of the model: the times of its grants. Two replicas may have made one each. */
  readonly #timesByTenant = new Map<string, Map<string, Set<number>>>();
  /** By tenant, the keys of its models by the earliest grant. */
  readonly #sortKeys = new Map<string, SortedKeys>();
  /** By id, how many tenants have a grant. */
  readonly #counts = new Map<string, number>();

  add({ tenant, id, grantedAtMs }: Grant): void {
    const models = this.#timesByTenant.get(tenant) ?? new Map<string, Set<number>>();
    this.#timesByTenant.set(tenant, models);
    const sortKeys = this.#sortKeys.get(tenant) ?? new SortedKeys();
    this.#sortKeys.set(tenant, sortKeys);
    const times = models.get(id) ?? new Set();
    if (times.size === 0) this.#counts.set(id, (this.#counts.get(id) ?? 0) + 1);
    else sortKeys.delete(sortKeyOf(id, Math.min(...times)));
    models.set(id, times.add(grantedAtMs));
    sortKeys.add(sortKeyOf(id, Math.min(...times)));
  }

  delete({ tenant, id, grantedAtMs }: Grant): void {
    const models = this.#timesByTenant.get(tenant);
    const times = models?.get(id);
    if (!models || !times?.has(grantedAtMs)) return;
    const sortKeys = this.#sortKeys.get(tenant)!;
    sortKeys.delete(sortKeyOf(id, Math.min(...times)));
    times.delete(grantedAtMs);
    if (times.size > 0) return sortKeys.add(sortKeyOf(id, Math.min(...times)));
    models.delete(id);
    const count = this.#counts.get(id)! - 1;
    if (count > 0) this.#counts.set(id, count);
    else this.#counts.delete(id);
    if (models.size > 0) return undefined;
    this.#timesByTenant.delete(tenant);
    this.#sortKeys.delete(tenant);
    return undefined;
  }

  /** Whether any tenant has a grant for the model. */
  hasAny(id: string): boolean {
    return this.#counts.has(id);
  }

  /** How many models the tenant has registered. */
  count(tenant: string): number {
    return this.#timesByTenant.get(tenant)?.size ?? 0;
  }

  has(tenant: string, id: string): boolean {
    return this.#timesByTenant.get(tenant)?.has(id) ?? false;
  }

  /** When the tenant registered the model, in ms since 1970; undefined if it has not. */
  grantedAtMs(tenant: string, id: string): number | undefined {
    const times = this.#timesByTenant.get(tenant)?.get(id);
    return times && Math.min(...times);
  }

  /** Sort keys (sort-key.ts) of the tenant's models that come after this one, at most `limit`. */
  after(tenant: string, after: string | undefined, limit: number): string[] {
    return this.#sortKeys.get(tenant)?.after(after, limit) ?? [];
  }
}
