// Copies the tensors of a request into the memory of their job without blocking the event loop: large ones that
// are float32 already in slices, other large ones by a worker that converts them.
import { setImmediate as nextIteration } from 'node:timers/promises';
import type { Lifetime } from '../lifetime.ts';
import type { Scheduler } from '../scheduler/scheduler.ts';
import { DTYPES, type RawTensor, type TensorSource } from '../tensor.ts';
import { blocksWord } from '../wasm/host-functions.ts';
import { HostJob } from '../wasm/host-job.ts';
import type { LinearMemory } from '../wasm/memory.ts';

/** Up to here a copy takes less than a millisecond, whatever its dtype and its form in the body. */
const INLINE_NUMBERS_MAX = 32_768;
/** A slice of 512 KiB takes some 0.1 ms, or 0.5 ms in memory that is touched for the first time. */
const SLICE_NUMBERS = 131_072;
/** Cost of converting a byte, in flops: the unit of the scheduler. */
const FLOPS_PER_BYTE = 60;

export interface TensorCopierParts {
  readonly memory: LinearMemory;
  readonly scheduler: Pick<Scheduler, 'run'>;
  /** Whether all numbers are finite. */
  readonly isFinite: (numbers: Float32Array) => boolean;
}

export class TensorCopier {
  readonly #parts: TensorCopierParts;

  constructor(parts: TensorCopierParts) {
    this.#parts = parts;
  }

  /**
   * Writes all elements into `target`, which is in linear memory. Undefined if that is done when it returns: a
   * promise for a short copy would cost more than the copy.
   *
   * @throws out_of_range · client_closed · memory_full · queue_full · deadline_exceeded · worker_failed
   */
  copy(source: TensorSource, target: Float32Array, lifetime: Lifetime): Promise<void> | undefined {
    const { isFinite } = this.#parts;
    if (target.length > INLINE_NUMBERS_MAX) {
      if (source.inPlace?.()) return this.#copySlices(source, target);
      const raw = source.raw?.();
      if (raw && this.#parts.memory.holds(raw.bytes)) return this.#convert(source, raw, target, lifetime);
    }
    source.copyTo(target, isFinite);
    return undefined;
  }

  async #copySlices(source: TensorSource, target: Float32Array): Promise<void> {
    for (let at = 0; at < target.length; at += SLICE_NUMBERS) {
      if (at > 0) await nextIteration();
      // In each slice, because it throws if the request has ended and the memory is used by others.
      target.set(source.inPlace!()!.subarray(at, at + SLICE_NUMBERS), at);
    }
    await nextIteration();
    // copyTo() throws an error that names the number.
    if (!this.#parts.isFinite(target)) source.copyTo(target, this.#parts.isFinite);
  }

  async #convert(
    source: TensorSource,
    { bytes, dtype, sizes, swaps, blocks, errorAt }: RawTensor,
    target: Float32Array,
    lifetime: Lifetime,
  ): Promise<void> {
    const { memory, scheduler } = this.#parts;
    using job = new HostJob(memory, 'convertTensor', {
      ptr: bytes.byteOffset,
      bytes: bytes.byteLength,
      args: [DTYPES.indexOf(dtype), ...sizes, swaps ? 1 : 0, target.byteOffset, blocksWord(blocks)],
    });
    const flops = FLOPS_PER_BYTE * bytes.byteLength;
    const cost = { kind: 'convertTensor', flops };
    await scheduler.run({ flops, cost, partsMax: 1, split: () => [job.ptr] }, lifetime);
    // Throws if the request has ended meanwhile: other requests may have overwritten its bytes.
    source.raw!();
    const bad = job.result();
    if (bad.length > 0) throw errorAt(bad.readUInt32LE());
  }
}
