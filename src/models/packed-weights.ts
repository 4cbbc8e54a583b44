// Weights in linear memory, packed for the kernels, with a count of the jobs that read them.
import type { Readout, Weights } from '../tensor.ts';
import type { PackedModel } from '../wasm/job.ts';
import type { LinearMemory } from '../wasm/memory.ts';
import { isNarrow, modelBytes, packModel, packModelInSlices, panelsBytes } from '../wasm/panels.ts';
import type { WeightsSizes } from '../wasm/weights-block.ts';

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
   * Allocates the panels. They must be filled before the first lease: by fill(), or by another thread at
   * model.panelsPtr.
   *
   * @param O 0 if there is no readout
   * @throws memory_full
   */
  constructor(memory: LinearMemory, id: string, { D, H, O }: WeightsSizes) {
    this.#memory = memory;
    this.id = id;
    this.bytes = modelBytes(D, H, O);
    const panelsPtr = memory.allocate(this.bytes);
    const readout = O === 0 ? undefined : { O, panelsPtr: panelsPtr + panelsBytes(D, H) };
    this.model = { D, H, panelsPtr, readout };
  }

  /** Packs on this thread. @returns itself */
  fill(weights: Weights, readout?: Readout): this {
    const { panelsPtr } = this.model;
    packModel(weights, readout, this.#memory.u32(panelsPtr, 1).buffer, panelsPtr);
    return this;
  }

  /** fill() in slices, between which the event loop runs. */
  async fillInSlices(weights: Weights, readout?: Readout): Promise<this> {
    const { D, H, panelsPtr } = this.model;
    const { buffer } = this.#memory.u32(panelsPtr, 1);
    if (isNarrow(D, H)) return this.fill(weights, readout);
    await packModelInSlices(weights, readout, buffer, panelsPtr);
    return this;
  }

  /** Whether a job reads the panels now. */
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
    if (this.#dropped && this.#leases === 0) this.#memory.free(this.model.panelsPtr);
  }
}
