// Large weights: copied into one block of linear memory, where workers hash them, for their id, and pack them
// into panels. Small ones take less time than dispatching them would.
import type { LayerSpec } from '../layers.ts';
import type { Lifetime } from '../lifetime.ts';
import { PackedWeights } from '../models/packed-weights.ts';
import type { PreparedModel } from '../models/registry.ts';
import type { ModelLease } from '../models/packed-weights.ts';
import type { WeightsCache } from '../models/weights-cache.ts';
import type { Scheduler } from '../scheduler/scheduler.ts';
import type { HostFunctionName } from '../wasm/host-functions.ts';
import { HostJob, type HostInput } from '../wasm/host-job.ts';
import type { LinearMemory } from '../wasm/memory.ts';
import { WeightsBlock, weightsBlockBytes } from '../wasm/weights-block.ts';
import { type ResolvedModel, fillLayers } from './model-source.ts';
import type { TensorCopier } from './tensor-copier.ts';

/** Up to here hashing and packing take about a millisecond together. */
const INLINE_BYTES_MAX = 256 * 1024;
/** Cost of hashing, or of packing, a byte, in flops: the unit of the scheduler. */
const FLOPS_PER_BYTE = 40;

export interface WeightsPackerParts {
  readonly memory: LinearMemory;
  readonly scheduler: Pick<Scheduler, 'run'>;
  readonly tensorCopier: TensorCopier;
  readonly weightsCache: WeightsCache;
}

export class WeightsPacker {
  readonly #parts: WeightsPackerParts;

  constructor(parts: WeightsPackerParts) {
    this.#parts = parts;
  }

  /** Whether the weights of these layers are hashed and packed by workers. */
  isLarge(layers: readonly LayerSpec[]): boolean {
    return weightsBlockBytes(layers) > INLINE_BYTES_MAX;
  }

  /**
   * Copies weights into one block, to be disposed of by the caller.
   *
   * @throws as TensorCopier.copy · memory_full
   */
  async gather(model: ResolvedModel, lifetime: Lifetime): Promise<WeightsBlock> {
    const block = new WeightsBlock(this.#parts.memory, model.layers);
    try {
      const { tensorCopier } = this.#parts;
      await fillLayers(model, block.layers, (source, target) => tensorCopier.copy(source, target, lifetime));
      return block;
    } catch (error) {
      block.release();
      throw error;
    }
  }

  /**
   * The id of the weights in a block, and their panels unless they are packed already.
   *
   * @param isPacked whether there are panels of an id
   * @throws memory_full · queue_full · deadline_exceeded · client_closed · worker_failed
   */
  async prepare(
    block: WeightsBlock,
    isPacked: (id: string) => boolean,
    lifetime: Lifetime,
  ): Promise<PreparedModel> {
    const id = await this.#idOf(block, lifetime);
    if (isPacked(id)) return { id, packed: undefined };
    const packed = new PackedWeights(this.#parts.memory, id, block.layers);
    await this.#pack(block, packed, lifetime);
    return { id, packed };
  }

  /** A lease on inline weights, packed unless they are in the cache. @throws as prepare */
  async lease(model: ResolvedModel, lifetime: Lifetime): Promise<ModelLease> {
    const { weightsCache } = this.#parts;
    using block = await this.gather(model, lifetime);
    const id = await this.#idOf(block, lifetime);
    const found = weightsCache.find(id);
    if (found) return found;
    const packed = weightsCache.allocate(id, block.layers);
    await this.#pack(block, packed, lifetime);
    return weightsCache.add(packed);
  }

  async #idOf({ hashed }: WeightsBlock, lifetime: Lifetime): Promise<string> {
    const digest = await this.#run('sha256', hashed, lifetime);
    return `sha256:${digest.toString('hex')}`;
  }

  async #pack(block: WeightsBlock, packed: PackedWeights, lifetime: Lifetime): Promise<void> {
    const { ptr, bytes, descriptionBytes } = block;
    try {
      await this.#run('packWeights', { ptr, bytes, args: [descriptionBytes, packed.model.ptr] }, lifetime);
    } catch (error) {
      packed.drop();
      throw error;
    }
  }

  /** Runs a function over bytes of linear memory on a worker. @returns a copy of its result */
  async #run(name: HostFunctionName, input: HostInput, lifetime: Lifetime): Promise<Buffer> {
    const { memory, scheduler } = this.#parts;
    using job = new HostJob(memory, name, input);
    const flops = FLOPS_PER_BYTE * input.bytes;
    const cost = { kind: name, flops };
    await scheduler.run({ flops, cost, partsMax: 1, split: () => [job.ptr] }, lifetime);
    return Buffer.from(job.result());
  }
}
