// Tensors of a request, copied to where they are computed on, so that the event loop is not held: large ones
// that are float32 already in slices, others by a worker.
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Lifetime } from '../lifetime.ts';
import type { Scheduler } from '../scheduler/scheduler.ts';
import type { RawTensor, TensorSource } from '../tensor.ts';
import { DTYPES } from '../wasm/host-functions.ts';
import { HostJob } from '../wasm/host-job.ts';
import type { LinearMemory } from '../wasm/memory.ts';

/** Up to here a copy takes less than a millisecond, whatever it is made from. */
const HERE_NUMBERS_MAX = 32_768;
/** Of a slice, 512 KiB: some 0.1 ms, or 0.5 ms in memory that is touched for the first time. */
const SLICE_NUMBERS = 131_072;
/** What a byte costs to convert, in the scheduler's unit. */
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
   * Writes all elements into `target`, which is in linear memory; undefined if that is done already.
   *
   * @throws out_of_range · client_closed · memory_full · queue_full · deadline_exceeded · worker_failed
   */
  copy(source: TensorSource, target: Float32Array, lifetime: Lifetime): Promise<void> | undefined {
    const { isFinite } = this.#parts;
    if (target.length > HERE_NUMBERS_MAX) {
      if (source.inPlace?.()) return this.#copySlices(source, target);
      const raw = source.raw?.();
      if (raw && this.#parts.memory.holds(raw.bytes)) return this.#convert(source, raw, target, lifetime);
    }
    source.copyTo(target, isFinite);
    return undefined;
  }

  async #copySlices(source: TensorSource, target: Float32Array): Promise<void> {
    for (let at = 0; at < target.length; at += SLICE_NUMBERS) {
      if (at > 0) await nextTurn();
      // Asked for again: it throws when the request has ended, and the numbers are no longer its own.
      target.set(source.inPlace!()!.subarray(at, at + SLICE_NUMBERS), at);
    }
    await nextTurn();
    // copyTo() says which one it is.
    if (!this.#parts.isFinite(target)) source.copyTo(target, this.#parts.isFinite);
  }

  async #convert(
    source: TensorSource,
    { bytes, dtype, sizes, swaps, refuse }: RawTensor,
    target: Float32Array,
    lifetime: Lifetime,
  ): Promise<void> {
    const { memory, scheduler } = this.#parts;
    const job = new HostJob(memory, 'convertTensor', {
      ptr: bytes.byteOffset,
      bytes: bytes.byteLength,
      args: [DTYPES.indexOf(dtype), ...sizes, swaps ? 1 : 0, target.byteOffset],
    });
    try {
      const flops = FLOPS_PER_BYTE * bytes.byteLength;
      const cost = { kind: 'convertTensor', flops };
      await scheduler.run({ flops, cost, partsMax: 1, split: () => [job.ptr] }, lifetime);
      // Throws when the request has ended: its bytes may have been others' then.
      source.raw!();
      const bad = job.result();
      if (bad.length > 0) throw refuse(bad.readUInt32LE());
    } finally {
      job.release();
    }
  }
}
