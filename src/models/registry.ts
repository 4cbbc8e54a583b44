// Registered models: weights packed once, addressed by content, pointed to by names that may move.
import { CarryoverError } from '../errors.ts';
import type { Readout, Weights } from '../tensor.ts';
import type { PackedModel } from '../wasm/job.ts';
import type { LinearMemory } from '../wasm/memory.ts';
import { weightsId } from './digest.ts';
import { ACTIVATION } from './import-activation.ts';
import { type ModelLease, PackedWeights } from './packed.ts';

export const NAME_LENGTH_MAX = 128;
/** What a name may be: no colon, so a name is never taken for an id. */
export const NAME_PATTERN = `^[A-Za-z0-9][A-Za-z0-9._-]{0,${NAME_LENGTH_MAX - 1}}$`;

export function isModelId(ref: string): boolean {
  return ref.startsWith('sha256:');
}

export interface ModelInfo {
  readonly id: string;
  /** All names that point to it, oldest first. */
  readonly names: readonly string[];
  readonly D: number;
  readonly H: number;
  /** Outputs of the readout; absent if there is none. */
  readonly O?: number;
  /** f in h_t = f(z). */
  readonly activation: typeof ACTIVATION;
  /** Packed, in memory. */
  readonly bytes: number;
  readonly created_at: string;
}

export interface RegistryOptions {
  readonly bytesMax: number;
  /** Of models, and of names. */
  readonly countMax: number;
  readonly now: () => Date;
}

interface Entry {
  readonly packed: PackedWeights;
  readonly createdAt: Date;
}

export class ModelRegistry {
  readonly #memory: LinearMemory;
  readonly #options: RegistryOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #idsByName = new Map<string, string>();
  #bytes = 0;

  constructor(memory: LinearMemory, options: RegistryOptions) {
    this.#memory = memory;
    this.#options = options;
  }

  /**
   * Registers weights; `created` is false if they were there already.
   *
   * @throws name_taken if `name` points to other weights · models_full · memory_full; nothing is
   *   registered then
   */
  register(
    weights: Weights,
    readout?: Readout,
    name?: string,
    createdAt: Date = this.#options.now(),
  ): { info: ModelInfo; created: boolean } {
    const id = weightsId(weights, readout);
    if (name !== undefined) {
      this.#expectFree(name, id);
      this.expectRoomForName(name);
    }
    const created = !this.#entries.has(id);
    if (created) this.#add(new PackedWeights(this.#memory, id, weights, readout), createdAt);
    if (name !== undefined) this.#idsByName.set(name, id);
    return { info: this.info(id), created };
  }

  /** @param ref a name or an id · @throws model_not_found */
  info(ref: string): ModelInfo {
    const { packed, createdAt } = this.#find(ref);
    const { D, H, readout } = packed.model;
    return {
      id: packed.id,
      names: this.#namesOf(packed.id),
      D,
      H,
      ...(readout && { O: readout.O }),
      activation: ACTIVATION,
      bytes: packed.bytes,
      created_at: createdAt.toISOString(),
    };
  }

  /** Oldest first. */
  list(): ModelInfo[] {
    return [...this.#entries.keys()].map((id) => this.info(id));
  }

  /** Lets a name, new or not, point to a model. @throws model_not_found · models_full */
  point(name: string, ref: string): ModelInfo {
    const { id } = this.#find(ref).packed;
    this.expectRoomForName(name);
    this.#idsByName.set(name, id);
    return this.info(id);
  }

  unname(name: string): void {
    this.#idsByName.delete(name);
  }

  /** @param ref a name or an id */
  has(ref: string): boolean {
    return this.#entries.has(this.#idsByName.get(ref) ?? ref);
  }

  /** Deletes a model with all its names; jobs that run keep it until they are done. */
  delete(ref: string): void {
    const { packed } = this.#find(ref);
    for (const name of this.#namesOf(packed.id)) this.#idsByName.delete(name);
    this.#entries.delete(packed.id);
    this.#bytes -= packed.bytes;
    packed.drop();
  }

  /** Its packed weights, to look at; to read them take a lease. @throws model_not_found */
  model(ref: string): PackedModel {
    return this.#find(ref).packed.model;
  }

  /** @throws model_not_found */
  lease(ref: string): ModelLease {
    return this.#find(ref).packed.lease();
  }

  #add(packed: PackedWeights, createdAt: Date): void {
    const { bytesMax, countMax } = this.#options;
    const full =
      this.#entries.size >= countMax
        ? `${countMax} models are registered (MODELS_MAX).`
        : this.#bytes + packed.bytes > bytesMax
          ? `The model takes ${packed.bytes} bytes; ${this.#bytes} of ${bytesMax} are taken ` +
            '(MODELS_BYTES_MAX).'
          : undefined;
    if (full !== undefined) {
      packed.drop();
      throw new CarryoverError('models_full', { detail: full });
    }
    this.#bytes += packed.bytes;
    this.#entries.set(packed.id, { packed, createdAt });
  }

  #find(ref: string): Entry {
    const entry = this.#entries.get(this.#idsByName.get(ref) ?? ref);
    if (entry) return entry;
    throw new CarryoverError('model_not_found', {
      detail: `There is no model ${JSON.stringify(ref.slice(0, 100))}; GET /v1/models lists all.`,
    });
  }

  #namesOf(id: string): string[] {
    return [...this.#idsByName].filter(([, target]) => target === id).map(([name]) => name);
  }

  /** @throws models_full */
  expectRoomForName(name: string): void {
    const { countMax } = this.#options;
    if (this.#idsByName.has(name) || this.#idsByName.size < countMax) return;
    throw new CarryoverError('models_full', { detail: `${countMax} names are taken (MODELS_MAX).` });
  }

  #expectFree(name: string, id: string): void {
    const target = this.#idsByName.get(name);
    if (target === undefined || target === id) return;
    throw new CarryoverError('name_taken', {
      detail:
        `The name ${JSON.stringify(name)} points to ${target}. Move it with ` +
        `PUT /v1/models/${name}, or choose another.`,
    });
  }
}
