// The built-in models. Each is registered when a request first refers to it or asks for a list: most servers need none
// of them, and packing the largest takes more time than the rest of the start.
import { Lifetime } from '../lifetime.ts';
import type { ModelLibrary } from '../models/library.ts';
import { readModelFile } from '../models/model-file.ts';
import { type BuiltInModel, BUILT_IN_MODELS } from '../models/models-dir.ts';
import { registerModel } from './register.ts';
import type { Limits } from './shapes.ts';
import type { WeightsPacker } from './weights-packer.ts';

export interface BuiltInModelsParts {
  readonly library: ModelLibrary;
  readonly limits: Limits;
  readonly weightsPacker: WeightsPacker;
  /** How long loading one may take. */
  readonly deadlineMs: number;
}

export class BuiltInModels {
  readonly #parts: BuiltInModelsParts;
  /** Those that are being loaded: requests that refer to one meanwhile wait for the same. */
  readonly #loading = new Map<BuiltInModel, Promise<void>>();

  /** Reserves their names. */
  constructor(parts: BuiltInModelsParts) {
    this.#parts = parts;
    for (const { name, id } of models()) parts.library.registry.reserveName(name, id);
  }

  /**
   * @param ref a name or an id; nothing happens if it is of no built-in model
   * @throws as registerModel()
   */
  async load(ref: string): Promise<void> {
    const model = models().find(({ name, id }) => ref === name || ref === id);
    if (!model || this.#parts.library.registry.has(model.name)) return;
    let loading = this.#loading.get(model);
    if (!loading) {
      loading = this.#register(model).finally(() => this.#loading.delete(model));
      this.#loading.set(model, loading);
    }
    await loading;
  }

  /** Leaves out those that cannot be loaded now, as where there is no capacity for one more model. */
  async loadAll(): Promise<void> {
    for (const { name } of models()) await this.load(name).catch(() => undefined);
  }

  async #register({ name, read }: BuiltInModel): Promise<void> {
    const { library, limits, weightsPacker, deadlineMs } = this.#parts;
    using lifetime = new Lifetime(this, deadlineMs);
    const bytes = read();
    const { layers } = readModelFile(bytes, {}, () => true);
    const { info } = await registerModel({ library, limits, weightsPacker }, { layers }, lifetime);
    await library.reserve(name, info.id);
  }
}

function models(): BuiltInModel[] {
  return Object.values(BUILT_IN_MODELS);
}
