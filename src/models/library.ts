// The registry together with the store that outlives the process: every model that is registered is stored,
// and a model that another process has stored is loaded when a request refers to it.
import { CarryoverError } from '../errors.ts';
import type { Layer } from '../layers.ts';
import type { ModelStore } from '../store/store.ts';
import type { Usage } from '../usage.ts';
import type { Tenant } from '../tenant.ts';
import { grantsToGive, isWithoutGrant } from './grants-to-give.ts';
import { modelId } from './model-id.ts';
import { isModelId } from './model-names.ts';
import { modelPinned } from './model-errors.ts';
import type { ModelInfo } from './model-info.ts';
import type { ModelRegistry, RegisterOptions } from './registry.ts';
import { retryIfRemoved } from './retry-if-removed.ts';
import { readStoredFile, writeStoredFile } from './stored-file.ts';
import { isOfTenant, parseGrant, scopedName } from './tenant-names.ts';

export interface LibraryRegisterOptions extends Omit<RegisterOptions, 'createdAt'> {
  /** Who registers it: the name is this tenant's, and the tenant sees the model from then on. */
  readonly tenant?: Tenant;
  /** Undefined if the tenant may register any number of models. */
  readonly usage?: Usage | undefined;
}

/** Models that are not in the store until they are referred to. */
export interface BuiltIns {
  /** Registers one, if `ref` is its name or its id. */
  load(ref: string): Promise<void>;
  /** Registers those that there is capacity for. */
  loadAll(): Promise<void>;
}

export class ModelLibrary {
  readonly registry: ModelRegistry;
  readonly #store: ModelStore;
  readonly #builtIns: BuiltIns | undefined;
  #revision: number | undefined;
  /** How many changes of names and models this process has made. */
  #ownChanges = 0;
  /** Loaded, and kept in the store, but nobody's here until the grants have been read: else the default tenant would see them. */
  readonly #unclaimed = new Set<string>();

  constructor(registry: ModelRegistry, store: ModelStore, builtIns?: BuiltIns) {
    this.registry = registry;
    this.#store = store;
    this.#builtIns = builtIns;
  }

  /**
   * Registers and stores a model, whose weights must not change until it has resolved. `created` is false if it was
   * registered already, for a tenant: by this tenant.
   *
   * @throws name_taken · built_in_model · models_full · memory_full · store_full · store_unavailable
   */
  async register(
    layers: readonly Layer[],
    { name: ownName, isKept = true, prepared, tenant, usage }: LibraryRegisterOptions = {},
  ): Promise<{ info: ModelInfo; created: boolean }> {
    const name = ownName === undefined ? undefined : scopedName(tenant, ownName);
    const { registry } = this;
    if (ownName !== undefined && registry.isReserved(ownName)) registry.expectNameUnreserved(ownName, prepared?.id ?? modelId(layers));
    const isNewName = name !== undefined && !registry.has(name);
    if (tenant !== undefined && isNewName) usage?.expectName(registry.nameCount(tenant));
    const isAnonymous = isKept && tenant === undefined;
    const { info, created, wasKept } = registry.register(layers, { name, isKept: isAnonymous, prepared });
    const { id } = info;
    const grants = isKept && tenant !== undefined ? grantsToGive(registry, info, tenant, wasKept) : [];
    const newGrants = grants.filter((grant) => !registry.has(grant));
    try {
      if (tenant !== undefined && newGrants.length > 0) usage?.expectModel(registry.grants.count(tenant));
      // At once: what is kept without a grant is the default tenant's.
      for (const grant of newGrants) registry.point(grant, id);
      const createdAtMs = Date.parse(info.created_at);
      const file = await writeStoredFile(layers);
      await retryIfRemoved(async () => {
        // The first grant or name keeps it, for the same reason.
        await this.#store.put({ id, file, createdAtMs, isKept: isAnonymous && name === undefined });
        for (const grant of grants) await this.#store.point(grant, id);
        if (name !== undefined) await this.#store.point(name, id);
      });
      this.#ownChanges++;
      // A refresh that read the store before the model was in it may have deleted the model again.
      await this.#ensureStored(id);
      for (const given of name === undefined ? grants : [...grants, name]) {
        if (!registry.has(given)) registry.point(given, id);
      }
    } catch (error) {
      if (created && registry.has(id)) registry.delete(id);
      for (const grant of newGrants) registry.deleteName(grant);
      if (isNewName) registry.deleteName(name);
      if (!wasKept && registry.has(id) && registry.info(id).names.length === 0) registry.unkeep(id);
      throw error;
    }
    return { info, created: tenant === undefined ? created : newGrants.length > 0 };
  }

  /** Whether it was registered by a request of no tenant, and by no other since: it is the default tenant's. */
  isUngranted(id: string): boolean {
    return this.registry.isKept(id) && isWithoutGrant(this.registry, id);
  }

  /**
   * Makes a name point to a model. `before` is the id to which it pointed; undefined if it is new.
   *
   * @param ref a name or an id
   * @throws model_not_found · built_in_model · models_full · store_full · store_unavailable
   */
  async point(name: string, ref: string): Promise<{ readonly info: ModelInfo; readonly before: string | undefined }> {
    await this.ensure(ref);
    const { id } = this.registry.info(ref);
    const before = this.registry.has(name) ? this.registry.info(name).id : undefined;
    this.registry.expectNameAvailable(name, id);
    await this.#store.point(name, id);
    this.#ownChanges++;
    return { info: this.registry.point(name, id), before };
  }

  /**
   * Makes a name point to a built-in model that is registered, and to no other from then on.
   *
   * @throws store_full · store_unavailable
   */
  async reserve(name: string, id: string): Promise<void> {
    await this.#store.point(name, id);
    this.#ownChanges++;
    this.registry.reserve(name, id);
  }

  /**
   * Deletes a model with its names, and returns both.
   *
   * @throws model_not_found · model_pinned if sessions use it · built_in_model · store_unavailable
   */
  async delete(ref: string): Promise<Pick<ModelInfo, 'id' | 'names'>> {
    const id = await this.#idToDelete(ref);
    const names = this.registry.has(id) ? this.registry.info(id).names : [];
    for (const name of names) this.registry.expectNameDeletable(name);
    if (!(await this.#store.remove(id))) {
      throw modelPinned(id);
    }
    if (this.registry.has(id)) this.registry.delete(id);
    return { id, names };
  }

  /**
   * Deletes the names and the grants that a tenant has given a model, and the model if nobody else needs it.
   *
   * @returns the names
   * @throws store_unavailable
   */
  async release(id: string, tenant: string): Promise<string[]> {
    const stored = await this.#store.names();
    const names = [...stored].filter(([name, target]) => target === id && isOfTenant(tenant, name)).map(([name]) => name);
    const isNamed = await this.#store.unpoint(id, names);
    this.#ownChanges++;
    for (const name of names) this.registry.deleteName(name);
    if (isNamed) return names;
    this.registry.unkeep(id);
    await this.collect(id);
    return names;
  }

  /** Reads from the store whether another process has registered the model for this tenant. */
  async fetchGrants(id: string, tenant: string): Promise<void> {
    for (const [name, target] of await this.#readNames()) {
      if (target === id && isOfTenant(tenant, name) && this.registry.has(id)) this.registry.point(name, id);
    }
  }

  /** A model whose stored file is damaged cannot be loaded, but it can be deleted. */
  async #idToDelete(ref: string): Promise<string> {
    try {
      await this.ensure(ref);
    } catch (error) {
      const isDamaged = error instanceof CarryoverError && error.code === 'model_corrupt';
      const id = isDamaged ? await this.#idInStore(ref) : undefined;
      if (id === undefined) throw error;
      return id;
    }
    return this.registry.info(ref).id;
  }

  /**
   * Deletes a model that was registered for a session, if no session uses it any more. To be called when a
   * session has ended or could not be created. A model that was registered or named by a request stays.
   *
   * @throws store_unavailable
   */
  async collect(id: string): Promise<void> {
    if (this.registry.isKept(id) || !(await this.#store.collect(id))) return;
    // A request may have registered it meanwhile: then it is in the store again, or will be soon.
    if (this.registry.has(id) && !this.registry.isKept(id)) this.registry.delete(id);
  }

  /** collect() for all models, as after a crash. @throws store_unavailable */
  async collectAll(): Promise<void> {
    for (const id of this.registry.ids()) await this.collect(id);
  }

  /**
   * Loads a model if it is built in, or in the store, and not registered yet. A model that is neither is not an error.
   *
   * @throws models_full · memory_full · model_corrupt · store_full · store_unavailable; of a built-in model also
   *   queue_full · deadline_exceeded · worker_failed
   */
  async ensure(ref: string): Promise<void> {
    if (this.registry.has(ref)) return;
    await this.#builtIns?.load(ref);
    await this.#ensureStored(ref);
  }

  /** A page of all models, built-in ones included, oldest first; see ModelRegistry.list(). */
  async list(after?: string, limit?: number): Promise<ReturnType<ModelRegistry['list']>> {
    await this.#builtIns?.loadAll();
    return this.registry.list(after, limit);
  }

  async #ensureStored(ref: string): Promise<void> {
    if (this.registry.has(ref)) return;
    const id = await this.#idInStore(ref);
    if (id === undefined) return;
    await this.#load(id);
    if (this.#unclaimed.has(id)) await this.#readNames();
    if (id !== ref && this.registry.has(id)) this.registry.point(ref, id);
  }

  async #idInStore(ref: string): Promise<string | undefined> {
    return isModelId(ref) ? ref : (await this.#store.names()).get(ref);
  }

  /**
   * Updates models and names to those of the store, if the store has changed. If this process makes changes
   * meanwhile, they are newer than what was read, so names and deletions are left to the next refresh.
   *
   * @param onSkipped called with each model that cannot be loaded
   * @returns whether the store has lost changes: its revision is lower than before
   */
  async refresh(onSkipped: (id: string, error: unknown) => void): Promise<boolean> {
    const revision = await this.#store.revision();
    const before = this.#revision ?? revision;
    if (revision === this.#revision) return false;
    // A model that is registered from now on may be missing in the answer of the store.
    const registered = [...this.registry.ids()];
    const ownChanges = this.#ownChanges;
    const ids = await this.#store.ids();
    for (const id of ids) await this.#load(id).catch((error: unknown) => onSkipped(id, error));
    const names = await this.#readNames();
    if (ownChanges !== this.#ownChanges) return revision < before;
    const stored = new Set(ids);
    for (const id of registered) {
      if (!this.registry.has(id)) continue;
      if (!stored.has(id)) this.registry.delete(id);
      else this.#dropNames(id, names);
    }
    for (const [name, id] of names) {
      // A server of an earlier version may have moved the name of a built-in model.
      if (this.registry.has(id) && !this.registry.isReserved(name)) this.registry.point(name, id);
    }
    this.#revision = revision;
    return revision < before;
  }

  #dropNames(id: string, stored: ReadonlyMap<string, string>): void {
    for (const name of this.registry.info(id).names) {
      if (stored.has(name) || this.registry.isReserved(name)) continue;
      this.registry.deleteName(name);
      // A name is deleted without its model when a tenant has released the model.
      if (this.registry.info(id).names.length === 0) this.registry.unkeep(id);
    }
  }

  async #load(id: string): Promise<void> {
    if (this.registry.has(id)) return;
    const stored = await this.#store.get(id);
    if (!stored || this.registry.has(id)) return;
    const layers = await readStoredFile(id, stored.file);
    const prepared = await this.registry.prepare(id, layers);
    const { createdAtMs, isKept } = stored;
    if (isKept) this.#unclaimed.add(id);
    this.registry.register(layers, { createdAt: new Date(createdAtMs), isKept: false, prepared });
  }

  /** The names in the store. What was loaded before has its grants from then on, and is kept. */
  async #readNames(): Promise<Map<string, string>> {
    const loaded = new Set(this.#unclaimed);
    const names = await this.#store.names();
    for (const [name, id] of names) if (loaded.has(id) && parseGrant(name) && this.registry.has(id)) this.registry.point(name, id);
    for (const id of loaded) if (this.#unclaimed.delete(id)) this.registry.keep(id);
    return names;
  }
}
