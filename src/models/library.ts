// Registered models and the store that outlives the process: what is registered here is there too, and
// what another process has put there is fetched when it is asked for.
import { CarryoverError } from '../errors.ts';
import type { ModelStore } from '../store/store.ts';
import type { Readout, Weights } from '../tensor.ts';
import { type ModelInfo, type ModelRegistry, type RegisterOptions, isModelId } from './registry.ts';
import { readStoredFile, writeStoredFile } from './stored-file.ts';

export class ModelLibrary {
  readonly registry: ModelRegistry;
  readonly #store: ModelStore;
  #revision: number | undefined;
  /** Changes of names and models that this process has made. */
  #ownChanges = 0;

  constructor(registry: ModelRegistry, store: ModelStore) {
    this.registry = registry;
    this.#store = store;
  }

  /**
   * Registers weights, which must stay until it has settled; `created` is false if they were there already.
   *
   * @throws name_taken · built_in_model · models_full · memory_full · store_full · store_unavailable
   */
  async register(
    weights: Weights,
    readout?: Readout,
    { name, isKept = true, prepared }: Omit<RegisterOptions, 'createdAt'> = {},
  ): Promise<{ info: ModelInfo; created: boolean }> {
    const isNewName = name !== undefined && !this.registry.has(name);
    const { info, created } = this.registry.register(weights, readout, { name, isKept, prepared });
    try {
      const createdAtMs = Date.parse(info.created_at);
      const file = await writeStoredFile(weights, readout);
      await this.#store.put({ id: info.id, file, createdAtMs, isKept });
      if (name !== undefined) await this.#store.point(name, info.id);
      this.#ownChanges++;
      // A refresh that began before this was in the store has dropped it.
      await this.ensure(info.id);
      if (name !== undefined && !this.registry.has(name)) this.registry.point(name, info.id);
    } catch (error) {
      if (created && this.registry.has(info.id)) this.registry.delete(info.id);
      else if (isNewName) this.registry.unname(name);
      throw error;
    }
    return { info, created };
  }

  /** @throws model_not_found · built_in_model · models_full · store_full · store_unavailable */
  async point(name: string, ref: string): Promise<ModelInfo> {
    await this.ensure(ref);
    const { id } = this.registry.info(ref);
    this.registry.expectMovable(name, id);
    this.registry.expectRoomForName(name);
    await this.#store.point(name, id);
    this.#ownChanges++;
    return this.registry.point(name, id);
  }

  /**
   * Lets a name point to a model that is registered, whatever it pointed to, and to no other from then on.
   *
   * @throws store_full · store_unavailable
   */
  async reserve(name: string, id: string): Promise<void> {
    await this.#store.point(name, id);
    this.#ownChanges++;
    this.registry.reserve(name, id);
  }

  /** @throws model_not_found · model_pinned · built_in_model · store_unavailable */
  async delete(ref: string): Promise<void> {
    const id = await this.#idToDelete(ref);
    const names = this.registry.has(id) ? this.registry.info(id).names : [];
    for (const name of names) this.registry.expectMovable(name);
    if (!(await this.#store.remove(id))) {
      throw new CarryoverError('model_pinned', {
        detail: `Sessions are pinned to model ${id}; GET /v1/sessions?model=${id} lists them.`,
      });
    }
    if (this.registry.has(id)) this.registry.delete(id);
  }

  /** A damaged model can be deleted like any other. */
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
   * Gives up a model that came with a session, if no session is left that needs it. To be called when one of
   * its sessions has ended, or was not made. A model that was registered or named by itself stays.
   *
   * @throws store_unavailable
   */
  async collect(id: string): Promise<void> {
    if (this.registry.isKept(id) || !(await this.#store.collect(id))) return;
    // Somebody may have registered it by itself meanwhile: then it is in the store again, or soon.
    if (this.registry.has(id) && !this.registry.isKept(id)) this.registry.delete(id);
  }

  /** The same for all, as after a crash. @throws store_unavailable */
  async collectAll(): Promise<void> {
    for (const id of this.registry.ids()) await this.collect(id);
  }

  /** Of a model that need not be loaded for it. @throws model_not_found, for a name · store_unavailable */
  async idOf(ref: string): Promise<string> {
    if (isModelId(ref)) return ref;
    if (!this.registry.has(ref)) await this.ensure(ref);
    return this.registry.info(ref).id;
  }

  /**
   * Sees to it that a model is here if it is anywhere.
   *
   * @throws models_full · memory_full · model_corrupt · store_unavailable; a model that is not there is not an error
   */
  async ensure(ref: string): Promise<void> {
    if (this.registry.has(ref)) return;
    const id = await this.#idInStore(ref);
    if (id === undefined) return;
    await this.#fetch(id);
    if (id !== ref && this.registry.has(id)) this.registry.point(ref, id);
  }

  async #idInStore(ref: string): Promise<string | undefined> {
    return isModelId(ref) ? ref : (await this.#store.names()).get(ref);
  }

  /**
   * Brings models and names here to what the store has, if that has changed. What this process changes
   * meanwhile is newer than what the store has answered: then the next refresh does it.
   *
   * @param onSkipped is told of models that cannot be used
   * @returns whether the store has gone back to less than it had
   */
  async refresh(onSkipped: (id: string, error: unknown) => void): Promise<boolean> {
    const revision = await this.#store.revision();
    const before = this.#revision ?? revision;
    if (revision === this.#revision) return false;
    // What is registered here from now on need not be among what the store answers.
    const here = [...this.registry.ids()];
    const ownChanges = this.#ownChanges;
    const [ids, names] = await Promise.all([this.#store.ids(), this.#store.names()]);
    for (const id of ids) await this.#fetch(id).catch((error: unknown) => onSkipped(id, error));
    if (ownChanges !== this.#ownChanges) return revision < before;
    const stored = new Set(ids);
    for (const id of here) {
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
      if (!stored.has(name) && !this.registry.isReserved(name)) this.registry.unname(name);
    }
  }

  async #fetch(id: string): Promise<void> {
    if (this.registry.has(id)) return;
    const stored = await this.#store.get(id);
    if (!stored || this.registry.has(id)) return;
    const { weights, readout } = await readStoredFile(id, stored.file);
    const prepared = await this.registry.prepare(id, weights, readout);
    const { createdAtMs, isKept } = stored;
    this.registry.register(weights, readout, { createdAt: new Date(createdAtMs), isKept, prepared });
  }
}
