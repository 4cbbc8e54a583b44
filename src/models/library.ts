// Registered models and the store that outlives the process: what is registered here is there too, and
// what another process has put there is fetched when it is asked for.
import { CarryoverError } from '../errors.ts';
import type { ModelStore } from '../store/store.ts';
import type { Readout, Weights } from '../tensor.ts';
import { type ModelInfo, type ModelRegistry, isModelId } from './registry.ts';
import { readStoredFile, writeStoredFile } from './stored-file.ts';

export class ModelLibrary {
  readonly registry: ModelRegistry;
  readonly #store: ModelStore;
  #revision: number | undefined;

  constructor(registry: ModelRegistry, store: ModelStore) {
    this.registry = registry;
    this.#store = store;
  }

  /**
   * Registers weights; `created` is false if they were there already.
   *
   * @throws name_taken · models_full · memory_full · store_full · store_unavailable
   */
  async register(
    weights: Weights,
    readout?: Readout,
    name?: string,
  ): Promise<{ info: ModelInfo; created: boolean }> {
    const isNewName = name !== undefined && !this.registry.has(name);
    const { info, created } = this.registry.register(weights, readout, name);
    try {
      const createdAtMs = Date.parse(info.created_at);
      await this.#store.put({ id: info.id, file: writeStoredFile(weights, readout), createdAtMs });
      if (name !== undefined) await this.#store.point(name, info.id);
    } catch (error) {
      if (created) this.registry.delete(info.id);
      else if (isNewName) this.registry.unname(name);
      throw error;
    }
    return { info, created };
  }

  /** @throws model_not_found · models_full · store_full · store_unavailable */
  async point(name: string, ref: string): Promise<ModelInfo> {
    await this.ensure(ref);
    const { id } = this.registry.info(ref);
    this.registry.expectRoomForName(name);
    await this.#store.point(name, id);
    return this.registry.point(name, id);
  }

  /** @throws model_not_found · model_pinned · store_unavailable */
  async delete(ref: string): Promise<void> {
    await this.ensure(ref);
    const { id } = this.registry.info(ref);
    if (!(await this.#store.remove(id))) {
      throw new CarryoverError('model_pinned', {
        detail: `Sessions are pinned to model ${id}; GET /v1/sessions lists them.`,
      });
    }
    if (this.registry.has(id)) this.registry.delete(id);
  }

  /**
   * Sees to it that a model is here if it is anywhere.
   *
   * @throws models_full · memory_full · store_unavailable; a model that is not there is not an error
   */
  async ensure(ref: string): Promise<void> {
    if (this.registry.has(ref)) return;
    const id = isModelId(ref) ? ref : (await this.#store.names()).get(ref);
    if (id === undefined) return;
    await this.#fetch(id);
    if (id !== ref && this.registry.has(id)) this.registry.point(ref, id);
  }

  /**
   * Brings models and names here to what the store has, if that has changed.
   *
   * @param onSkipped is told of models that cannot be used
   */
  async refresh(onSkipped: (id: string, error: unknown) => void): Promise<void> {
    const revision = await this.#store.revision();
    if (revision === this.#revision) return;
    const [ids, names] = await Promise.all([this.#store.ids(), this.#store.names()]);
    for (const id of ids) await this.#fetch(id).catch((error: unknown) => onSkipped(id, error));
    for (const { id, names: here } of this.registry.list()) {
      if (!ids.includes(id)) this.registry.delete(id);
      else for (const name of here) if (!names.has(name)) this.registry.unname(name);
    }
    for (const [name, id] of names) if (this.registry.has(id)) this.registry.point(name, id);
    this.#revision = revision;
  }

  async #fetch(id: string): Promise<void> {
    if (this.registry.has(id)) return;
    const stored = await this.#store.get(id);
    if (!stored || this.registry.has(id)) return;
    const { weights, readout } = readStoredFile(id, stored.file);
    this.registry.register(weights, readout, undefined, new Date(stored.createdAtMs));
  }
}
