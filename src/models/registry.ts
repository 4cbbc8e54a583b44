// The registered models in memory: packed weights, addressed by the digest of their content. Names point to
// them (model-names.ts).
import { CarryoverError } from '../errors.ts';
import type { Layer, LayerSpec } from '../layers.ts';
import { SortedKeys } from '../sorted-keys.ts';
import { idOfSortKey, sortKeyOf } from './sort-key.ts';
import type { PackedModel } from '../wasm/job.ts';
import type { LinearMemory } from '../wasm/memory.ts';
import { packedModelBytes } from '../wasm/packed-model.ts';
import { modelId } from './model-id.ts';
import { type ModelInfo, modelInfo } from './model-info.ts';
import type { Grants } from './grants.ts';
import { modelNotFound } from './model-errors.ts';
import { ModelNames } from './model-names.ts';
import { type ModelLease, PackedWeights } from './packed-weights.ts';

export interface RegistryOptions {
  readonly bytesMax: number;
  /** Most models, and most names. */
  readonly countMax: number;
  readonly now: () => Date;
}

export interface RegisterOptions {
  readonly name?: string | undefined;
  /** Default: now. */
  readonly createdAt?: Date;
  /** False for a model that is deleted when its last session ends; see StoredModel. */
  readonly isKept?: boolean | undefined;
  /** The id, and the packed weights of a new model, if they have been computed already. */
  readonly prepared?: PreparedModel | undefined;
}

export interface PreparedModel {
  readonly id: string;
  /** Undefined if the model is registered already. register() owns it from then on. */
  readonly packed: PackedWeights | undefined;
}

interface Entry {
  readonly packed: PackedWeights;
  readonly createdAt: Date;
  isKept: boolean;
  /** Oldest first. */
  readonly names: Set<string>;
}

export class ModelRegistry {
  readonly #memory: LinearMemory;
  readonly #options: RegistryOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #names: ModelNames;
  /** Keys of all models in the order of their creation; see sortKeyOf(). */
  readonly #sortKeys = new SortedKeys();
  #bytes = 0;

  constructor(memory: LinearMemory, options: RegistryOptions) {
    this.#memory = memory;
    this.#options = options;
    this.#names = new ModelNames(options.countMax);
  }

  /** Which models each tenant has registered. */
  get grants(): Grants {
    return this.#names.grants;
  }

  /** How many names the tenant has given. */
  nameCount(tenant: string): number {
    return this.#names.countOf(tenant);
  }

  get count(): number {
    return this.#entries.size;
  }

  /** Of all packed weights. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Registers a model. `created` is false if it was registered already; `wasKept` is as isKept() before.
   *
   * @throws name_taken · built_in_model if `name` points to another model · models_full · memory_full; in all
   *   cases nothing is registered
   */
  register(
    layers: readonly Layer[],
    { name, createdAt = this.#options.now(), isKept = true, prepared }: RegisterOptions = {},
  ): { info: ModelInfo; created: boolean; wasKept: boolean } {
    const id = prepared?.id ?? modelId(layers);
    const created = !this.#entries.has(id);
    const wasKept = this.isKept(id);
    try {
      if (name !== undefined) {
        this.#names.expectFree(name, id);
        this.#names.expectCapacity(name);
      }
      if (created) this.expectCapacity(layers);
    } catch (error) {
      prepared?.packed?.drop();
      throw error;
    }
    if (!created) prepared?.packed?.drop();
    else this.#add(prepared?.packed ?? new PackedWeights(this.#memory, id, layers).fill(layers), createdAt);
    const entry = this.#entries.get(id)!;
    if (created) entry.isKept = isKept;
    else if (isKept) entry.isKept = true;
    if (name !== undefined) this.#name(name, entry);
    return { info: this.info(id), created, wasKept };
  }

  /** @param ref a name or an id · @throws model_not_found */
  info(ref: string): ModelInfo {
    return modelInfo(this.#find(ref));
  }

  /**
   * A page of models, oldest first.
   *
   * @param after the `next` of the page before
   * @returns `next` undefined for the last page
   */
  list(after?: string, limit = Infinity): { models: ModelInfo[]; next: string | undefined } {
    const keys = this.#sortKeys.after(after, limit + 1);
    const page = keys.slice(0, limit);
    const models = page.map((sortKey) => this.info(idOfSortKey(sortKey)));
    return { models, next: page.length < keys.length ? page.at(-1) : undefined };
  }

  /** Ids of all models, in no order. */
  ids(): IterableIterator<string> {
    return this.#entries.keys();
  }

  /**
   * Makes a name, new or existing, point to a model, which is kept from then on.
   *
   * @throws model_not_found · built_in_model · models_full
   */
  point(name: string, ref: string): ModelInfo {
    const entry = this.#find(ref);
    this.expectNameAvailable(name, entry.packed.id);
    this.#name(name, entry);
    return this.info(entry.packed.id);
  }

  /** Makes a name point to a built-in model, whatever it pointed to, and to no other from then on. */
  reserve(name: string, id: string): void {
    this.#names.reserve(name, id);
    this.#name(name, this.#find(id));
  }

  /** From now on the name may point to no other model, though this one may not be registered yet. */
  reserveName(name: string, id: string): void {
    this.#names.reserve(name, id);
  }

  isReserved(name: string): boolean {
    return this.#names.isReserved(name);
  }

  /** Deletes a name, if there is one; the model stays. */
  deleteName(name: string): void {
    this.#entries.get(this.#names.idOf(name))?.names.delete(name);
    this.#names.delete(name);
  }

  /** The id that a ref stands for; undefined if no such model is registered. */
  idOf(ref: string): string | undefined {
    const id = this.#names.idOf(ref);
    return this.#entries.has(id) ? id : undefined;
  }

  /** From now on the model that the name points to is offered to all tenants. */
  publish(name: string): void {
    this.#names.publish(name);
  }

  /** Whether requests of all tenants may refer to it: it is built in, or came from MODELS_DIR. */
  isPublic(id: string): boolean {
    return this.#names.publicIds().includes(id);
  }

  /** The ids of these, as far as they are registered. */
  publicIds(): string[] {
    return this.#names.publicIds().filter((id) => this.#entries.has(id));
  }

  /** Whether it is the name of such a model. */
  isPublicName(name: string): boolean {
    return this.#names.isPublic(name);
  }

  /** Whether it stays until it is deleted by a request; false also if it is not registered. */
  isKept(id: string): boolean {
    return this.#entries.get(id)?.isKept ?? false;
  }

  /** From now on it stays until it is deleted by a request. */
  keep(id: string): void {
    const entry = this.#entries.get(id);
    if (entry) entry.isKept = true;
  }

  /** From now on it is deleted when its last session ends, unless it is registered or named again. */
  unkeep(id: string): void {
    const entry = this.#entries.get(id);
    if (entry) entry.isKept = false;
  }

  /** @param ref a name or an id */
  has(ref: string): boolean {
    return this.#entries.has(this.#names.idOf(ref));
  }

  /** Deletes a model with all its names. Its memory is freed when the last lease is released. */
  delete(ref: string): void {
    const { packed, createdAt, names } = this.#find(ref);
    for (const name of names) this.#names.delete(name);
    this.#entries.delete(packed.id);
    this.#sortKeys.delete(sortKeyOf(packed.id, createdAt.getTime()));
    this.#bytes -= packed.bytes;
    packed.drop();
  }

  /** Shapes and address of the packed weights; a job that reads them needs a lease. @throws model_not_found */
  model(ref: string): PackedModel {
    return this.#find(ref).packed.model;
  }

  /** Keeps the packed weights in memory until it is released. @throws model_not_found */
  lease(ref: string): ModelLease {
    return this.#find(ref).packed.lease();
  }

  /** @throws built_in_model · models_full, where point() would */
  expectNameAvailable(name: string, id: string): void {
    this.#names.expectMovable(name, id);
    this.#names.expectCapacity(name);
  }

  /** @throws built_in_model if the name belongs to another model that is built in */
  expectNameUnreserved(name: string, id: string): void {
    this.#names.expectMovable(name, id);
  }

  /** @throws built_in_model */
  expectNameDeletable(name: string): void {
    this.#names.expectMovable(name);
  }

  /** @throws models_full if there is no capacity for one more model */
  expectCapacity(layers: readonly LayerSpec[]): void {
    const { bytesMax, countMax } = this.#options;
    const bytes = packedModelBytes(layers);
    const full =
      this.#entries.size >= countMax
        ? `${countMax} models are registered (MODELS_MAX).`
        : this.#bytes + bytes > bytesMax
          ? `The model needs ${bytes} bytes; ${this.#bytes} of ${bytesMax} are in use (MODELS_BYTES_MAX).`
          : undefined;
    if (full !== undefined) throw new CarryoverError('models_full', { detail: full });
  }

  /**
   * Packs weights whose id is known, in slices between which the event loop runs, for register().
   *
   * @throws models_full · memory_full
   */
  async prepare(id: string, layers: readonly Layer[]): Promise<PreparedModel> {
    this.expectCapacity(layers);
    const packed = new PackedWeights(this.#memory, id, layers);
    return { id, packed: await packed.fillInSlices(layers) };
  }

  #add(packed: PackedWeights, createdAt: Date): void {
    this.#bytes += packed.bytes;
    this.#entries.set(packed.id, { packed, createdAt, isKept: true, names: new Set() });
    this.#sortKeys.add(sortKeyOf(packed.id, createdAt.getTime()));
  }

  #find(ref: string): Entry {
    const entry = this.#entries.get(this.#names.idOf(ref));
    if (!entry) throw modelNotFound(ref);
    return entry;
  }

  #name(name: string, entry: Entry): void {
    const { id } = entry.packed;
    if (this.#names.idOf(name) !== id) this.deleteName(name);
    this.#names.set(name, id);
    entry.names.add(name);
    entry.isKept = true;
  }
}
