// A cache of packed inline weights: a client that sends the same weights with every request pays for reading
// and hashing them, not for packing them again. Entries that no job reads are evicted, the least recently used
// first, when the cache exceeds its bytes or when an allocation finds no free memory.
//
// lru-cache does not fit: it evicts the oldest entry whatever its state, and entries with a lease must stay.
import type { Layer, LayerSpec } from '../layers.ts';
import type { LinearMemory } from '../wasm/memory.ts';
import { packedModelBytes } from '../wasm/packed-model.ts';
import { modelId } from './model-id.ts';
import { type ModelLease, PackedWeights } from './packed-weights.ts';

export class WeightsCache {
  readonly #memory: LinearMemory;
  readonly #bytesMax: number;
  /** Least recently used first: a Map keeps the order of insertion. */
  readonly #entries = new Map<string, PackedWeights>();
  #bytes = 0;
  #packedCount = 0;

  /** @param bytesMax of packed weights; exceeded only by those that jobs read */
  constructor(memory: LinearMemory, bytesMax: number) {
    this.#memory = memory;
    this.#bytesMax = bytesMax;
    memory.addEvictor(() => this.#evictOne());
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** How often weights were packed since the start. */
  get packedCount(): number {
    return this.#packedCount;
  }

  /** A lease on small weights, which are packed on this thread if they are not cached. @throws memory_full */
  acquire(layers: readonly Layer[]): ModelLease {
    const id = modelId(layers);
    return this.find(id) ?? this.add(this.allocate(id, layers).fill(layers));
  }

  /** A lease on the weights with this id; undefined if they are not cached. */
  find(id: string): ModelLease | undefined {
    const packed = this.#entries.get(id);
    return packed && this.#use(packed);
  }

  /** Memory for weights that the caller packs and then passes to add(). @throws memory_full */
  allocate(id: string, layers: readonly LayerSpec[]): PackedWeights {
    this.#evictTo(this.#bytesMax - packedModelBytes(layers));
    return new PackedWeights(this.#memory, id, layers);
  }

  /** Takes ownership of packed weights. If the same were added meanwhile, those are leased, and these dropped. */
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

  /** Evicts the least recently used entry that no job reads. @returns false if there is none */
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
