// Registered models: weights packed once, addressed by content, pointed to by names that may move.
import { CarryoverError } from '../errors.ts';
import { SortedKeys } from '../sorted-keys.ts';
import type { Readout, Weights } from '../tensor.ts';
import type { PackedModel } from '../wasm/job.ts';
import type { LinearMemory } from '../wasm/memory.ts';
import { modelBytes } from '../wasm/panels.ts';
import type { WeightsSizes } from '../wasm/weights-block.ts';
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

export interface RegisterOptions {
  readonly name?: string | undefined;
  /** Now, if absent. */
  readonly createdAt?: Date;
  /** False if it came with a session and shall go with the last one; see StoredModel. */
  readonly isKept?: boolean | undefined;
  /** If its id, and its panels unless they were here already, have been made elsewhere. */
  readonly prepared?: PreparedModel | undefined;
}

export interface PreparedModel {
  readonly id: string;
  /** Belongs to the registry from then on. */
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
  readonly #idsByName = new Map<string, string>();
  /** Of models that are part of the server; name → id. */
  readonly #builtIns = new Map<string, string>();
  /** The models from the oldest to the newest; see placeOf(). */
  readonly #places = new SortedKeys();
  #bytes = 0;

  constructor(memory: LinearMemory, options: RegistryOptions) {
    this.#memory = memory;
    this.#options = options;
  }

  /**
   * Registers weights; `created` is false if they were there already.
   *
   * @throws name_taken · built_in_model if `name` points to other weights · models_full · memory_full; nothing is
   *   registered then
   */
  register(
    weights: Weights,
    readout?: Readout,
    { name, createdAt = this.#options.now(), isKept = true, prepared }: RegisterOptions = {},
  ): { info: ModelInfo; created: boolean } {
    const id = prepared?.id ?? weightsId(weights, readout);
    const created = !this.#entries.has(id);
    try {
      if (name !== undefined) {
        this.#expectFree(name, id);
        this.expectRoomForName(name);
      }
      if (created) this.expectRoom(sizesOf(weights, readout));
    } catch (error) {
      prepared?.packed?.drop();
      throw error;
    }
    if (!created) prepared?.packed?.drop();
    else this.#add(prepared?.packed ?? this.#pack(id, weights, readout), createdAt);
    const entry = this.#entries.get(id)!;
    if (created) entry.isKept = isKept;
    else if (isKept) entry.isKept = true;
    if (name !== undefined) this.#name(name, entry);
    return { info: this.info(id), created };
  }

  /** @param ref a name or an id · @throws model_not_found */
  info(ref: string): ModelInfo {
    const { packed, createdAt, names } = this.#find(ref);
    const { D, H, readout } = packed.model;
    return {
      id: packed.id,
      names: [...names],
      D,
      H,
      ...(readout && { O: readout.O }),
      activation: ACTIVATION,
      bytes: packed.bytes,
      created_at: createdAt.toISOString(),
    };
  }

  /**
   * The oldest first, `limit` of them behind the place `after`; `next` is the place of the last one, unless
   * it is the last of all.
   */
  list(after?: string, limit = Infinity): { models: ModelInfo[]; next: string | undefined } {
    const places = this.#places.after(after, limit + 1);
    const page = places.slice(0, limit);
    const models = page.map((place) => this.info(idAt(place)));
    return { models, next: page.length < places.length ? page.at(-1) : undefined };
  }

  /** In no order. */
  ids(): IterableIterator<string> {
    return this.#entries.keys();
  }

  /**
   * Lets a name, new or not, point to a model, and keeps it.
   *
   * @throws model_not_found · built_in_model · models_full
   */
  point(name: string, ref: string): ModelInfo {
    const entry = this.#find(ref);
    this.expectMovable(name, entry.packed.id);
    this.expectRoomForName(name);
    this.#name(name, entry);
    return this.info(entry.packed.id);
  }

  /** Lets a name point to a model whatever it pointed to, and to no other from then on. */
  reserve(name: string, id: string): void {
    this.#builtIns.set(name, id);
    this.#name(name, this.#find(id));
  }

  isReserved(name: string): boolean {
    return this.#builtIns.has(name);
  }

  unname(name: string): void {
    const id = this.#idsByName.get(name);
    if (id === undefined) return;
    this.#idsByName.delete(name);
    this.#entries.get(id)!.names.delete(name);
  }

  /** Whether it stays until it is deleted; false also if it is not here. */
  isKept(id: string): boolean {
    return this.#entries.get(id)?.isKept ?? false;
  }

  /** @param ref a name or an id */
  has(ref: string): boolean {
    return this.#entries.has(this.#idsByName.get(ref) ?? ref);
  }

  /** Deletes a model with all its names; jobs that run keep it until they are done. */
  delete(ref: string): void {
    const { packed, createdAt, names } = this.#find(ref);
    for (const name of names) this.#idsByName.delete(name);
    this.#entries.delete(packed.id);
    this.#places.delete(placeOf(packed.id, createdAt));
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

  /** For a model that is new. @throws models_full */
  expectRoom({ D, H, O }: WeightsSizes): void {
    const { bytesMax, countMax } = this.#options;
    const bytes = modelBytes(D, H, O);
    const full =
      this.#entries.size >= countMax
        ? `${countMax} models are registered (MODELS_MAX).`
        : this.#bytes + bytes > bytesMax
          ? `The model takes ${bytes} bytes; ${this.#bytes} of ${bytesMax} are taken (MODELS_BYTES_MAX).`
          : undefined;
    if (full !== undefined) throw new CarryoverError('models_full', { detail: full });
  }

  /**
   * Packs weights whose id is known, in slices, to be registered then.
   *
   * @throws models_full · memory_full
   */
  async prepare(id: string, weights: Weights, readout?: Readout): Promise<PreparedModel> {
    this.expectRoom(sizesOf(weights, readout));
    const packed = new PackedWeights(this.#memory, id, sizesOf(weights, readout));
    return { id, packed: await packed.fillInSlices(weights, readout) };
  }

  #pack(id: string, weights: Weights, readout: Readout | undefined): PackedWeights {
    return new PackedWeights(this.#memory, id, sizesOf(weights, readout)).fill(weights, readout);
  }

  #add(packed: PackedWeights, createdAt: Date): void {
    this.#bytes += packed.bytes;
    this.#entries.set(packed.id, { packed, createdAt, isKept: true, names: new Set() });
    this.#places.add(placeOf(packed.id, createdAt));
  }

  #find(ref: string): Entry {
    const entry = this.#entries.get(this.#idsByName.get(ref) ?? ref);
    if (entry) return entry;
    throw new CarryoverError('model_not_found', {
      detail: `There is no model ${JSON.stringify(ref.slice(0, 100))}; GET /v1/models lists all.`,
    });
  }

  #name(name: string, entry: Entry): void {
    const { id } = entry.packed;
    if (this.#idsByName.get(name) !== id) this.unname(name);
    this.#idsByName.set(name, id);
    entry.names.add(name);
    entry.isKept = true;
  }

  /** @param id to which the name shall point; none if it shall go · @throws built_in_model */
  expectMovable(name: string, id?: string): void {
    const builtIn = this.#builtIns.get(name);
    if (builtIn === undefined || builtIn === id) return;
    throw new CarryoverError('built_in_model', {
      detail:
        `The name ${JSON.stringify(name)} belongs to a model that is part of this server, ${builtIn}: it ` +
        'can be neither moved nor deleted. Choose another name.',
    });
  }

  /** @throws models_full */
  expectRoomForName(name: string): void {
    const { countMax } = this.#options;
    if (this.#idsByName.has(name) || this.#idsByName.size < countMax) return;
    throw new CarryoverError('models_full', { detail: `${countMax} names are taken (MODELS_MAX); delete a model that is not used.` });
  }

  #expectFree(name: string, id: string): void {
    this.expectMovable(name, id);
    const target = this.#idsByName.get(name);
    if (target === undefined || target === id) return;
    throw new CarryoverError('name_taken', {
      detail:
        `The name ${JSON.stringify(name)} points to ${target}. Move it with ` +
        `PUT /v1/models/${name}, or choose another.`,
    });
  }
}

/** Digits of the largest time that a Date can hold, in ms. */
const TIME_DIGITS = 16;

/** Sorts as the time does, and models of one ms by their ids: the same in every process. */
function placeOf(id: string, createdAt: Date): string {
  return `${String(createdAt.getTime()).padStart(TIME_DIGITS, '0')}.${id}`;
}

function idAt(place: string): string {
  return place.slice(TIME_DIGITS + 1);
}

function sizesOf({ D, H }: Weights, readout: Readout | undefined): WeightsSizes {
  return { D, H, O: readout?.O ?? 0 };
}
