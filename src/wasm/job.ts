// One job in linear memory: a single block, written by the main thread before it is queued, by the
// kernel while it runs, and read by the main thread until it is released.
//
//   | records of parts | N row records | pairs | x (T,N,D) | h (N,H) | hs (S,N,H') | trace 3 × (T,N,H') |
//   | y (N,O') | ys (T,N,O') |
//
// x and h are not in it where they are in linear memory already, as the numbers of a body are.
// Its records are written by job-parts.ts: parts of the rows, that can run side by side, and slices of their
// steps, that follow each other.
// H' = H rounded up to whole panels, so the kernels store whole vectors. S = T where every state is
// wanted, else a power of two: the last S states in turn. x W_x is computed ahead into the slots of hs.
// Inside, time is always the outer axis.
import {
  NR,
  ROW_BYTES,
  ROW_H,
  ROW_HS,
  ROW_HS_MASK,
  ROW_HS_STEP,
  ROW_STEPS,
  ROW_TRACE,
  ROW_TRACE_SIZE,
  ROW_X,
  ROW_X_STEP,
  ROW_Y,
  ROW_YS,
  ROW_YS_STEP,
} from '../kernels/layout.ts';
import type { TensorView } from '../tensor.ts';
import { type JobCost, costOf, timeBlockSteps } from './job-cost.ts';
import { JobParts, type JobSlices, pairsBytes, partsMaxOf, recordsBytes } from './job-parts.ts';
import type { JobShape, PackedModel } from './job-shape.ts';
import type { LinearMemory } from './memory.ts';

export type { JobShape, PackedModel };

const F32 = Float32Array.BYTES_PER_ELEMENT;

export interface Trace {
  readonly h_W_h: TensorView;
  readonly x_W_x: TensorView;
  readonly z: TensorView;
}

export class Job {
  /** Address of the record of the whole job, what a thread is given; see split(). */
  readonly ptr: number;
  readonly cost: JobCost;
  /** Parts below a tile's rows are not worth their while. */
  readonly partsMax: number;
  /** (T, N, D), to be filled before the job runs, unless xPtr was given. */
  readonly x: Float32Array;
  /** (N, H), the state before the first step; unless hPtr was given, zeros until filled. */
  readonly h: Float32Array;
  /** (T, N, H); beyond a row's length it is 0. Absent unless every state is kept. */
  readonly hs: TensorView | undefined;
  /** (N, O), the readout of h; absent if the model has none. */
  readonly y: TensorView | undefined;
  /** (T, N, O), the readouts of hs; beyond a row's length 0. Absent with hs or y. */
  readonly ys: TensorView | undefined;
  /** Each (T, N, H). */
  readonly trace: Trace | undefined;
  readonly #memory: LinearMemory;
  readonly #states: TensorView;
  readonly #T: number;
  /** Of each row, if they may take different numbers of steps; if not, all take T, at least one. */
  readonly #lengths: readonly number[] | undefined;
  readonly #parts: JobParts;

  /** @throws memory_full */
  constructor(memory: LinearMemory, model: PackedModel, shape: JobShape) {
    const { T, N, keepsStates } = shape;
    const { D, H } = model;
    const O = model.readout?.O ?? 0;
    this.cost = costOf({ D, H, O }, shape);
    const paddedH = Math.ceil(H / NR) * NR;
    const ahead = timeBlockSteps(T, N * paddedH * F32);
    const stateSlots = keepsStates ? T : ringSlots(T, ahead);
    const statesBytes = stateSlots * N * paddedH * F32;
    const traceBytes = shape.trace ? T * N * paddedH * F32 : 0;

    this.partsMax = partsMaxOf(N);

    const block = new Layout(recordsBytes(this.partsMax));
    const rowsAt = block.place(N * ROW_BYTES);
    const pairsAt = block.place(pairsBytes(N, this.partsMax));
    const xAt = block.place(shape.xPtr === undefined ? T * N * D * F32 : 0);
    const hAt = block.place(shape.hPtr === undefined ? N * H * F32 : 0);
    const hsAt = block.place(statesBytes);
    const traceAt = block.place(3 * traceBytes);
    const paddedO = Math.ceil(O / NR) * NR;
    const yAt = block.place(N * paddedO * F32);
    const ysFloats = keepsStates ? T * N * paddedO : 0;
    const ysAt = block.place(ysFloats * F32);

    this.#memory = memory;
    this.ptr = memory.allocate(block.bytes);
    const xPtr = shape.xPtr ?? this.ptr + xAt;
    const hPtr = shape.hPtr ?? this.ptr + hAt;
    this.x = memory.f32(xPtr, T * N * D);
    this.h = memory.f32(hPtr, N * H);
    if (shape.hPtr === undefined) this.h.fill(0);
    this.#T = T;
    this.#lengths = shape.lengths;
    this.#states = {
      shape: [stateSlots, N, H],
      strides: [N * paddedH, paddedH, 1],
      data: memory.f32(this.ptr + hsAt, statesBytes / F32),
    };
    this.hs = keepsStates ? this.#states : undefined;

    const { lengths } = shape;
    const { words } = memory;
    const { ptr } = this;
    const rowsPtr = ptr + rowsAt;
    const pairsPtr = ptr + pairsAt;
    this.#parts = new JobParts({ memory, model, recordsPtr: ptr, rowsPtr, pairsPtr, ahead, T, N, lengths });
    const stepBytes = N * paddedH * F32;
    const statesMask = keepsStates ? 0xffff_ffff : stateSlots - 1;
    const order = lengths && rowsByLength(lengths);
    let row = rowsPtr >>> 2;
    for (let i = 0; i < N; i++, row += ROW_BYTES / 4) {
      const n = order ? order[i]! : i;
      words[row + ROW_X / 4] = xPtr + n * D * F32;
      words[row + ROW_X_STEP / 4] = N * D * F32;
      words[row + ROW_H / 4] = hPtr + n * H * F32;
      words[row + ROW_HS / 4] = ptr + hsAt + n * paddedH * F32;
      words[row + ROW_HS_STEP / 4] = stepBytes;
      words[row + ROW_HS_MASK / 4] = statesMask;
      words[row + ROW_STEPS / 4] = lengths ? lengths[n]! : T;
      words[row + ROW_TRACE / 4] = shape.trace ? ptr + traceAt + n * paddedH * F32 : 0;
      words[row + ROW_TRACE_SIZE / 4] = traceBytes;
      words[row + ROW_Y / 4] = ptr + yAt + n * paddedO * F32;
      words[row + ROW_YS / 4] = ysFloats > 0 ? ptr + ysAt + n * paddedO * F32 : 0;
      words[row + ROW_YS_STEP / 4] = N * paddedO * F32;
    }

    if (model.readout) {
      this.y = {
        shape: [N, O],
        strides: [paddedO, 1],
        data: memory.f32(this.ptr + yAt, N * paddedO),
      };
      this.ys = keepsStates
        ? {
            shape: [T, N, O],
            strides: [N * paddedO, paddedO, 1],
            data: memory.f32(this.ptr + ysAt, ysFloats),
          }
        : undefined;
    }

    const traceView = (index: number): TensorView => ({
      shape: [T, N, H],
      strides: this.#states.strides,
      data: memory.f32(this.ptr + traceAt + index * traceBytes, traceBytes / F32),
    });
    this.trace = shape.trace
      ? { h_W_h: traceView(0), x_W_x: traceView(1), z: traceView(2) }
      : undefined;

    this.split(1);
    // The kernel does not touch what lies beyond a row's length: hs, ys and trace are 0 there.
    if (shape.lengths) {
      if (keepsStates) this.#states.data.fill(0);
      this.ys?.data.fill(0);
      if (this.trace) Object.values(this.trace).forEach((view: TensorView) => view.data.fill(0));
    }
  }

  /**
   * Cuts the rows into `count` parts of about equal work, at most partsMax, and returns the addresses
   * of their records. Until all of them are done the job must not be split or sliced again.
   */
  split(count: number): number[] {
    return this.#parts.split(count);
  }

  /** The same parts, each to be computed in slices. */
  slice(count: number): JobSlices[] {
    return this.#parts.slice(count);
  }

  get flops(): number {
    return this.cost.flops;
  }

  /** (N, H): the state of each row after its last step. */
  finalState(): TensorView {
    const [, N, H] = this.#states.shape as [number, number, number];
    const [, rowStride] = this.#states.strides as [number, number, number];
    if (!this.#lengths) {
      const data = this.#states.data.subarray(this.#stateAt(this.#T));
      return { shape: [N, H], strides: [rowStride, 1], data };
    }
    const h = this.h.slice();
    for (let n = 0; n < N; n++) {
      const steps = this.#lengths[n]!;
      if (steps === 0) continue;
      const from = this.#stateAt(steps) + n * rowStride;
      h.set(this.#states.data.subarray(from, from + H), n * H);
    }
    return { shape: [N, H], strides: [H, 1], data: h };
  }

  /** Where the states after so many steps begin. */
  #stateAt(steps: number): number {
    const slots = this.#states.shape[0]!;
    return (this.hs ? steps - 1 : (steps - 1) % slots) * this.#states.strides[0]!;
  }

  /** Gives the memory back. No view of this job may be read afterwards, and no worker may hold it. */
  [Symbol.dispose](): void {
    this.release();
  }

  release(): void {
    this.#memory.free(this.ptr);
  }
}

/** Places regions behind each other, each 64-byte aligned; offsets are from the block's start. */
class Layout {
  bytes: number;

  constructor(bytes: number) {
    this.bytes = bytes;
  }

  place(bytes: number): number {
    const at = this.bytes;
    this.bytes += Math.ceil(bytes / 64) * 64;
    return at;
  }
}

/** Row numbers, longest first, as the kernels need them; the sort is stable. */
function rowsByLength(lengths: readonly number[]): number[] {
  return lengths.map((_, n) => n).toSorted((a, b) => lengths[b]! - lengths[a]!);
}

/** Room for the steps ahead and the state before them: a power of two, no more than needed. */
function ringSlots(T: number, ahead: number): number {
  return 2 ** Math.ceil(Math.log2(Math.min(T, ahead) + 1));
}
