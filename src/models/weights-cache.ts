// Inline weights are packed once and kept while there is room: a client that sends the same weights
// with every request pays for reading them, not for packing them again.
import { packPanels, panelsBytes } from '../wasm/panels.ts';
import type { LinearMemory } from '../wasm/memory.ts';
import type { PackedModel } from '../wasm/job.ts';
import type { Weights } from '../tensor.ts';
import { weightsId } from './digest.ts';

interface Entry {
  readonly id: string;
  readonly model: PackedModel;
  readonly bytes: number;
  /** Leases that are held: jobs that read the panels. Never evicted while > 0. */
  leases: number;
}

export interface ModelLease {
  readonly id: string;
  readonly model: PackedModel;
  release(): void;
}

export class WeightsCache {
  readonly #memory: LinearMemory;
  readonly #bytesMax: number;
  /** Least recently used first: a Map keeps the order of insertion. */
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;
  #packedCount = 0;

  /** @param bytesMax packed weights kept while no job uses them */
  constructor(memory: LinearMemory, bytesMax: number) {
    this.#memory = memory;
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** How many times weights were packed since the start. */
  get packedCount(): number {
    return this.#packedCount;
  }

  /** @throws memory_full */
  acquire(weights: Weights): ModelLease {
    const id = weightsId(weights);
    const entry = this.#entries.get(id) ?? this.#pack(id, weights);
    this.#entries.delete(id);
    this.#entries.set(id, entry);
    entry.leases++;
    return {
      id,
      model: entry.model,
      release: () => {
        entry.leases--;
        this.#evictTo(this.#bytesMax);
      },
    };
  }

  #pack(id: string, weights: Weights): Entry {
    const { D, H } = weights;
    const bytes = panelsBytes(D, H);
    this.#evictTo(this.#bytesMax - bytes);
    const panelsPtr = this.#memory.allocate(bytes);
    packPanels(weights, this.#memory.f32(panelsPtr, bytes / Float32Array.BYTES_PER_ELEMENT));
    this.#bytes += bytes;
    this.#packedCount++;
    return { id, model: { D, H, panelsPtr }, bytes, leases: 0 };
  }

  #evictTo(bytesMax: number): void {
    for (const entry of this.#entries.values()) {
      if (this.#bytes <= bytesMax) return;
      if (entry.leases > 0) continue;
      this.#entries.delete(entry.id);
      this.#memory.free(entry.model.panelsPtr);
      this.#bytes -= entry.bytes;
    }
  }
}
