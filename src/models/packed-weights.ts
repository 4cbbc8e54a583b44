// Weights in linear memory, packed for the kernels, with a count of the jobs that read them.
import type { Layer, LayerSpec } from '../layers.ts';
import { specsOf } from '../wasm/layer-tensors.ts';
import type { LinearMemory } from '../wasm/memory.ts';
import {
  type PackedModel,
  packModel,
  packModelInSlices,
  packedModelAt,
  packedModelBytes,
} from '../wasm/packed-model.ts';

/** Keeps packed weights in memory until it is released or disposed of, once. */
export interface ModelLease extends Disposable {
  readonly id: string;
  readonly model: PackedModel;
  release(): void;
}

export class PackedWeights {
  readonly id: string;
  readonly model: PackedModel;
  readonly bytes: number;
  readonly #memory: LinearMemory;
  #leases = 0;
  #dropped = false;

  /**
   * Allocates the block. It must be filled before the first lease: by fill(), or by another thread at model.ptr.
   *
   * @throws memory_full
   */
  constructor(memory: LinearMemory, id: string, specs: readonly LayerSpec[]) {
    const layers = specsOf(specs);
    this.#memory = memory;
    this.id = id;
    this.bytes = packedModelBytes(layers);
    this.model = packedModelAt(memory.allocate(this.bytes), layers);
  }

  /** Packs on this thread. @returns itself */
  fill(layers: readonly Layer[]): this {
    const { ptr } = this.model;
    packModel(layers, this.#memory.u32(ptr, 1).buffer, ptr);
    return this;
  }

  /** fill() in slices, between which the event loop runs. */
  async fillInSlices(layers: readonly Layer[]): Promise<this> {
    const { ptr } = this.model;
    await packModelInSlices(layers, this.#memory.u32(ptr, 1).buffer, ptr);
    return this;
  }

  /** Whether a job reads them now. */
  get isLeased(): boolean {
    return this.#leases > 0;
  }

  /** @param onRelease called when the lease is released */
  lease(onRelease: () => void = () => {}): ModelLease {
    this.#leases++;
    const release = () => {
      this.#leases--;
      this.#freeIfUnused();
      onRelease();
    };
    return { id: this.id, model: this.model, release, [Symbol.dispose]: release };
  }

  /** Frees the memory when the last lease is released. No lease may be requested afterwards. */
  drop(): void {
    this.#dropped = true;
    this.#freeIfUnused();
  }

  #freeIfUnused(): void {
    if (this.#dropped && this.#leases === 0) this.#memory.free(this.model.ptr);
  }
}
