// Inline weights are packed once and kept while there is room, which they give up to whoever needs it: a client that sends the same weights
// with every request pays for reading them, not for packing them again.
import type { Weights } from '../tensor.ts';
import type { LinearMemory } from '../wasm/memory.ts';
import { panelsBytes } from '../wasm/panels.ts';
import { weightsId } from './digest.ts';
import type { WeightsSizes } from '../wasm/weights-block.ts';
import { type ModelLease, PackedWeights } from './packed.ts';

export class WeightsCache {
  readonly #memory: LinearMemory;
  readonly #bytesMax: number;
  /** Least recently used first: a Map keeps the order of insertion. */
  readonly #entries = new Map<string, PackedWeights>();
  #bytes = 0;
  #packedCount = 0;

  /** @param bytesMax packed weights kept while no job uses them */
  constructor(memory: LinearMemory, bytesMax: number) {
    this.#memory = memory;
    this.#bytesMax = bytesMax;
    memory.addEvictor(() => this.#evictOne());
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** How many times weights were packed since the start. */
  get packedCount(): number {
    return this.#packedCount;
  }

  /** Of small weights; packs them on this thread if they are new. @throws memory_full */
  acquire(weights: Weights): ModelLease {
    const id = weightsId(weights);
    const { D, H } = weights;
    return this.find(id) ?? this.add(this.allocate(id, { D, H, O: 0 }).fill(weights));
  }

  /** Weights that are here, if they are. */
  find(id: string): ModelLease | undefined {
    const packed = this.#entries.get(id);
    return packed && this.#use(packed);
  }

  /** Room for weights that are to be packed and then added. @throws memory_full */
  allocate(id: string, sizes: WeightsSizes): PackedWeights {
    this.#evictTo(this.#bytesMax - panelsBytes(sizes.D, sizes.H));
    return new PackedWeights(this.#memory, id, sizes);
  }

  /** Takes packed weights over; if others have packed the same meanwhile, it is theirs that are used. */
  add(packed: PackedWeights): ModelLease {
    const found = this.find(packed.id);
    if (found) {
      packed.drop();
      return found;
    }
    this.#bytes += packed.bytes;
    this.#packedCount++;
    return this.#use(packed);
  }

  #use(packed: PackedWeights): ModelLease {
    this.#entries.delete(packed.id);
    this.#entries.set(packed.id, packed);
    return packed.lease(() => this.#evictTo(this.#bytesMax));
  }

  #evictTo(bytesMax: number): void {
    while (this.#bytes > bytesMax && this.#evictOne());
  }

  /** The least recently used one that no job reads; false if there is none. */
  #evictOne(): boolean {
    for (const packed of this.#entries.values()) {
      if (packed.isLeased) continue;
      this.#entries.delete(packed.id);
      this.#bytes -= packed.bytes;
      packed.drop();
      return true;
    }
    return false;
  }
}
