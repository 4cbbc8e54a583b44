// The models as the requests of a tenant see them: those it has registered, under the names it has given, and the public
// ones. What only others have registered is absent. Where no tenants are configured, every request sees all models.
import type { Lifetime } from '../lifetime.ts';
import { DEFAULT_TENANT, type Tenant } from '../tenant.ts';
import type { ModelLibrary } from './library.ts';
import { NAME_PATTERN, isModelId } from './model-names.ts';
import { modelNotFound, modelPinned, offeredByServer } from './model-errors.ts';
import type { ModelInfo } from './model-info.ts';
import { idOfSortKey, sortKeyOf } from './sort-key.ts';
import { ownName, scopedName } from './tenant-names.ts';

export interface TenantModelsOptions {
  /** Whether the tenant has sessions with this model. */
  readonly hasSessions: (tenant: string, id: string) => Promise<boolean>;
}

export interface ModelPage {
  readonly models: readonly ModelInfo[];
  /** Where the next page starts; undefined for the last one. */
  readonly next: string | undefined;
}

const NAME = new RegExp(NAME_PATTERN);

export class TenantModels {
  readonly #library: ModelLibrary;
  readonly #hasSessions: TenantModelsOptions['hasSessions'];

  constructor(library: ModelLibrary, { hasSessions }: TenantModelsOptions) {
    this.#library = library;
    this.#hasSessions = hasSessions;
  }

  /**
   * The id of the model that a request refers to, which is registered in this process then. No promise if it is already.
   *
   * @param ref a name or an id
   * @throws model_not_found, also if only other tenants have registered it · as ModelLibrary.ensure
   */
  resolve(ref: string, tenant: Tenant): string | Promise<string> {
    return this.#find(ref, tenant) ?? this.#fetch(ref, tenant);
  }

  /** @throws as resolve */
  async info(ref: string, tenant: Tenant): Promise<ModelInfo> {
    return this.view(await this.resolve(ref, tenant), tenant);
  }

  /** What the tenant sees of a registered model: its own names, and when it has registered it itself. */
  view(id: string, tenant: Tenant): ModelInfo {
    const { registry } = this.#library;
    const info = registry.info(id);
    const names = info.names.flatMap((scoped) => {
      const own = ownName(tenant, scoped);
      return own ?? (registry.isPublicName(scoped) ? scoped : []);
    });
    const grantedAtMs = tenant === undefined ? undefined : registry.grants.grantedAtMs(tenant, id);
    const created_at = grantedAtMs === undefined ? info.created_at : new Date(grantedAtMs).toISOString();
    return { ...info, names: [...new Set(names)], created_at };
  }

  /** A page of the models that the tenant sees, oldest first. @param after the `next` of the page before */
  async list(tenant: Tenant, after: string | undefined, limit: number): Promise<ModelPage> {
    const { models, next } = await this.#library.list(after, limit);
    if (tenant === undefined) return { models: models.map(({ id }) => this.view(id, tenant)), next };
    const keys = this.#sortKeys(tenant, after, limit + 1);
    const page = keys.slice(0, limit);
    return {
      models: page.map((sortKey) => this.view(idOfSortKey(sortKey), tenant)),
      next: page.length < keys.length ? page.at(-1) : undefined,
    };
  }

  /**
   * Makes a name of the tenant point to a model that it sees. `before` is the id to which it pointed.
   *
   * @throws as resolve · rate_limited · built_in_model · models_full · store_full · store_unavailable
   */
  async point(
    name: string,
    ref: string,
    { tenant, usage }: Pick<Lifetime, 'tenant' | 'usage'>,
  ): Promise<{ info: ModelInfo; before: string | undefined }> {
    const id = await this.resolve(ref, tenant);
    const { registry } = this.#library;
    const isNew = registry.idOf(scopedName(tenant, name)) === undefined;
    if (tenant !== undefined && isNew) usage?.expectName(registry.nameCount(tenant));
    if (registry.isReserved(name)) registry.expectNameUnreserved(name, id);
    const { before } = await this.#library.point(scopedName(tenant, name), id);
    return { info: this.view(id, tenant), before };
  }

  /**
   * Deletes a model with the names that the tenant has given it; it stays for others that have registered it.
   *
   * @throws as resolve · model_pinned if the tenant's sessions use it · built_in_model · store_unavailable
   */
  async delete(ref: string, tenant: Tenant): Promise<Pick<ModelInfo, 'id' | 'names'>> {
    if (tenant === undefined) return this.#library.delete(ref);
    const id = await this.resolve(ref, tenant);
    const { registry } = this.#library;
    const { names } = this.view(id, tenant);
    const isOwn = registry.grants.has(tenant, id) || this.#library.isUngranted(id);
    if (!isOwn && registry.isPublic(id)) throw offeredByServer(id);
    if (await this.#hasSessions(tenant, id)) throw modelPinned(id);
    for (const name of names) registry.expectNameDeletable(name);
    await this.#library.release(id, tenant);
    return { id, names };
  }

  /** @param ref an id, which is returned as it is, or a name · @throws as resolve */
  async idOf(ref: string, tenant: Tenant): Promise<string> {
    return isModelId(ref) ? ref : await this.resolve(ref, tenant);
  }

  #find(ref: string, tenant: Tenant): string | undefined {
    const { registry } = this.#library;
    if (tenant === undefined) return registry.idOf(ref);
    if (isModelId(ref)) return this.#isVisible(ref, tenant) ? registry.idOf(ref) : undefined;
    // What is no name could be the name of another tenant, as the registry has it.
    if (!NAME.test(ref)) return undefined;
    return registry.idOf(scopedName(tenant, ref)) ?? (registry.isPublicName(ref) ? registry.idOf(ref) : undefined);
  }

  /** Another process of a shared store may have registered it; built-in models are registered at their first use. */
  async #fetch(ref: string, tenant: Tenant): Promise<string> {
    const library = this.#library;
    if (tenant === undefined) await library.ensure(ref);
    else if (isModelId(ref)) {
      await library.ensure(ref);
      if (!this.#isVisible(ref, tenant)) await library.fetchGrants(ref, tenant);
    } else if (NAME.test(ref)) {
      await library.ensure(scopedName(tenant, ref));
      if (library.registry.isPublicName(ref)) await library.ensure(ref);
    }
    const id = this.#find(ref, tenant);
    if (id === undefined) throw modelNotFound(ref);
    return id;
  }

  #isVisible(id: string, tenant: string): boolean {
    const { registry } = this.#library;
    if (registry.grants.has(tenant, id) || registry.isPublic(id)) return true;
    return tenant === DEFAULT_TENANT && this.#library.isUngranted(id);
  }

  /** Of the tenant's models and the public ones, in the order of the list. */
  #sortKeys(tenant: string, after: string | undefined, limit: number): string[] {
    const { registry } = this.#library;
    const own = registry.grants.after(tenant, after, limit);
    const others = registry.publicIds().filter((id) => !registry.grants.has(tenant, id));
    const ungranted = tenant === DEFAULT_TENANT ? this.#ungranted(after, limit) : [];
    const keys = others.map((id) => sortKeyOf(id, Date.parse(registry.info(id).created_at)));
    const following = keys.filter((key) => after === undefined || key > after);
    return [...own, ...following, ...ungranted].toSorted((a, b) => (a < b ? -1 : 1)).slice(0, limit);
  }

  /** Keys of what was registered before there were tenants. */
  #ungranted(after: string | undefined, limit: number): string[] {
    const keys: string[] = [];
    for (let next = after; keys.length < limit; ) {
      const page = this.#library.registry.list(next, limit);
      keys.push(
        ...page.models
          .filter(({ id }) => this.#library.isUngranted(id))
          .map(({ id, created_at }) => sortKeyOf(id, Date.parse(created_at))),
      );
      next = page.next;
      if (next === undefined) break;
    }
    return keys;
  }
}

