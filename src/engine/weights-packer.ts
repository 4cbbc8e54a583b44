// Large weights on their way to an id and to panels: copied into one block of linear memory, where workers hash
// and pack them. Small ones take less time than handing them over.
import type { Lifetime } from '../lifetime.ts';
import { PackedWeights } from '../models/packed.ts';
import type { PreparedModel } from '../models/registry.ts';
import type { ModelLease } from '../models/packed.ts';
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
const HERE_BYTES_MAX = 256 * 1024;
/** What a byte costs to hash, or to pack, in the scheduler's unit. */
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

  isLarge(sizes: WeightsSizes): boolean {
    return weightsBlockBytes(sizes) > HERE_BYTES_MAX;
  }

  /**
   * The weights in one block, to be released by the caller.
   *
   * @throws as TensorCopier.copy
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
   * The id of the weights in a block, and their panels unless `isThere` says that there are some.
   *
   * @throws memory_full · queue_full · deadline_exceeded · client_closed · worker_failed
   */
  async prepare(
    block: WeightsBlock,
    isThere: (id: string) => boolean,
    lifetime: Lifetime,
  ): Promise<PreparedModel> {
    const id = await this.#idOf(block, lifetime);
    if (isThere(id)) return { id, packed: undefined };
    const packed = new PackedWeights(this.#parts.memory, id, block.sizes);
    await this.#pack(block, packed, lifetime);
    return { id, packed };
  }

  /** Inline weights, packed; those that were used lately need not be packed again. @throws as prepare */
  async lease(source: WeightsSource, lifetime: Lifetime): Promise<ModelLease> {
    const { weightsCache } = this.#parts;
    const block = await this.gather(source, undefined, lifetime);
    try {
      const id = await this.#idOf(block, lifetime);
      const found = weightsCache.find(id);
      if (found) return found;
      const packed = weightsCache.allocate(id, block.sizes);
      await this.#pack(block, packed, lifetime);
      return weightsCache.add(packed);
    } finally {
      block.release();
    }
  }

  async #idOf(block: WeightsBlock, lifetime: Lifetime): Promise<string> {
    const digest = await this.#run('sha256', block, [], lifetime);
    return `sha256:${digest.toString('hex')}`;
  }

  async #pack(block: WeightsBlock, packed: PackedWeights, lifetime: Lifetime): Promise<void> {
    const { D, H, O } = block.sizes;
    try {
      await this.#run('packWeights', block, [D, H, O, packed.model.panelsPtr], lifetime);
    } catch (error) {
      packed.drop();
      throw error;
    }
  }

  /** @returns a copy of what the function returned */
  async #run(
    name: HostFunctionName,
    { ptr, bytes }: WeightsBlock,
    args: readonly number[],
    lifetime: Lifetime,
  ): Promise<Buffer> {
    const { memory, scheduler } = this.#parts;
    const job = new HostJob(memory, name, { ptr, bytes, args });
    try {
      const flops = FLOPS_PER_BYTE * bytes;
      const cost = { kind: name, flops };
      await scheduler.run({ flops, cost, partsMax: 1, split: () => [job.ptr] }, lifetime);
      return Buffer.from(job.result());
    } finally {
      job.release();
    }
  }
}
