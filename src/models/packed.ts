// Weights in linear memory, packed for the kernels, and who still reads them.
import type { Readout, Weights } from '../tensor.ts';
import type { PackedModel } from '../wasm/job.ts';
import type { LinearMemory } from '../wasm/memory.ts';
import { packPanels, packReadout, panelsBytes, readoutOffsets } from '../wasm/panels.ts';

const F32 = Float32Array.BYTES_PER_ELEMENT;

/** A hold on packed weights: until released they are not freed. */
export interface ModelLease {
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

  /** @throws memory_full */
  constructor(memory: LinearMemory, id: string, weights: Weights, readout?: Readout) {
    const { D, H } = weights;
    const weightsBytes = panelsBytes(D, H);
    const readoutBytes = readout ? readoutOffsets(H, readout.O).bytes : 0;
    this.#memory = memory;
    this.id = id;
    this.bytes = weightsBytes + readoutBytes;
    const panelsPtr = memory.allocate(this.bytes);
    packPanels(weights, memory.f32(panelsPtr, weightsBytes / F32));
    const readoutPtr = panelsPtr + weightsBytes;
    if (readout) packReadout(H, readout, memory.f32(readoutPtr, readoutBytes / F32));
    this.model = {
      D,
      H,
      panelsPtr,
      readout: readout && { O: readout.O, panelsPtr: readoutPtr },
    };
  }

  /** Whether a job reads the panels now. */
  get isLeased(): boolean {
    return this.#leases > 0;
  }

  lease(onRelease: () => void = () => {}): ModelLease {
    this.#leases++;
    return {
      id: this.id,
      model: this.model,
      release: () => {
        this.#leases--;
        this.#freeIfUnused();
        onRelease();
      },
    };
  }

  /** Gives the memory back as soon as no job reads it. No lease may be taken afterwards. */
  drop(): void {
    this.#dropped = true;
    this.#freeIfUnused();
  }

  #freeIfUnused(): void {
    if (this.#dropped && this.#leases === 0) this.#memory.free(this.model.panelsPtr);
  }
}
