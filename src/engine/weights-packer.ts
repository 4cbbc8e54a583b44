// Large weights: copied into one block of linear memory, where workers hash them, for their id, and pack them
// into panels. Small ones take less time than dispatching them would.
import type { Lifetime } from '../lifetime.ts';
import { PackedWeights } from '../models/packed-weights.ts';
import type { PreparedModel } from '../models/registry.ts';
import type { ModelLease } from '../models/packed-weights.ts';
import type { WeightsCache } from '../models/weights-cache.ts';
import type { Scheduler } from '../scheduler/scheduler.ts';
import type { TensorSource } from '../tensor.ts';
import type { HostFunctionName } from '../wasm/host-functions.ts';
import { HostJob } from '../wasm/host-job.ts';
import type { LinearMemory } from '../wasm/memory.ts';
import { WeightsBlock, type WeightsSizes, weightsBlockBytes } from '../wasm/weights-block.ts';
import type { TensorCopier } from './tensor-copier.ts';
import type { ReadoutSource, WeightsSource } from './shapes.ts';

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

  /** Whether weights of these sizes are hashed and packed by workers. */
  isLarge(sizes: WeightsSizes): boolean {
    return weightsBlockBytes(sizes) > INLINE_BYTES_MAX;
  }

  /**
   * Copies weights into one block, to be disposed of by the caller.
   *
   * @throws as TensorCopier.copy · memory_full
   */
  async gather(
    { W_x, W_h, b }: WeightsSource,
    readout: ReadoutSource | undefined,
    lifetime: Lifetime,
  ): Promise<WeightsBlock> {
    const [D, H] = W_x.shape as [number, number];
    const O = readout?.W_y.shape[1] ?? 0;
    const block = new WeightsBlock(this.#parts.memory, { D, H, O });
    try {
      const pairs: [TensorSource | undefined, Float32Array | undefined][] = [
        [W_x, block.weights.W_x],
        [W_h, block.weights.W_h],
        [b, block.weights.b],
        [readout?.W_y, block.readout?.W_y],
        [readout?.b_y, block.readout?.b_y],
      ];
      for (const [source, target] of pairs) {
        if (source && target) await this.#parts.tensorCopier.copy(source, target, lifetime);
      }
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
    const packed = new PackedWeights(this.#parts.memory, id, block.sizes);
    await this.#pack(block, packed, lifetime);
    return { id, packed };
  }

  /** A lease on inline weights, packed unless they are in the cache. @throws as prepare */
  async lease(source: WeightsSource, lifetime: Lifetime): Promise<ModelLease> {
    const { weightsCache } = this.#parts;
    using block = await this.gather(source, undefined, lifetime);
    const id = await this.#idOf(block, lifetime);
    const found = weightsCache.find(id);
    if (found) return found;
    const packed = weightsCache.allocate(id, block.sizes);
    await this.#pack(block, packed, lifetime);
    return weightsCache.add(packed);
  }

  async #idOf(block: WeightsBlock, lifetime: Lifetime): Promise<string> {
    const digest = await this.#run('sha256', block, [], lifetime);
    return `sha256:${digest.toString('hex')}`;
  }

  async #pack(block: WeightsBlock, packed: PackedWeights, lifetime: Lifetime): Promise<void> {
    const { D, H, O } = block.sizes;
    try {
      await this.#run('packWeights', block, [D, H, O, packed.model.ptr], lifetime);
    } catch (error) {
      packed.drop();
      throw error;
    }
  }

  /** Runs a function over the bytes of a block on a worker. @returns a copy of its result */
  async #run(
    name: HostFunctionName,
    { ptr, bytes }: WeightsBlock,
    args: readonly number[],
    lifetime: Lifetime,
  ): Promise<Buffer> {
    const { memory, scheduler } = this.#parts;
    using job = new HostJob(memory, name, { ptr, bytes, args });
    const flops = FLOPS_PER_BYTE * bytes;
    const cost = { kind: name, flops };
    await scheduler.run({ flops, cost, partsMax: 1, split: () => [job.ptr] }, lifetime);
    return Buffer.from(job.result());
  }
}
