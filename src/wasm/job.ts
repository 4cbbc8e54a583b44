// One job in linear memory: a single block, written by the main thread before it is queued, by the
// kernel while it runs, and read by the main thread until it is released.
//
//   | job record | N row records | x (T,N,D) | h (N,H) | hs (S,N,H') | trace 3 × (T,N,H') |
//
// H' = H rounded up to whole panels, so the kernels store whole vectors. S = T where every state is
// wanted, else 2: the last two states in turn. Inside, time is always the outer axis.
import {
  JOB_BYTES,
  JOB_D,
  JOB_H,
  JOB_N,
  JOB_PANELS,
  JOB_ROWS,
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
} from '../kernels/layout.ts';
import type { TensorView } from '../tensor.ts';
import type { LinearMemory } from './memory.ts';

const F32 = Float32Array.BYTES_PER_ELEMENT;

/** Packed weights in linear memory. */
export interface PackedModel {
  readonly D: number;
  readonly H: number;
  readonly panelsPtr: number;
}

export interface JobShape {
  readonly T: number;
  readonly N: number;
  /** Steps of each row, 0 … T; all rows take T steps if absent. */
  readonly lengths?: readonly number[] | undefined;
  /** Whether all T states are kept (hs) or only the last. */
  readonly keepsStates: boolean;
  readonly trace: boolean;
}

export interface Trace {
  readonly h_W_h: TensorView;
  readonly x_W_x: TensorView;
  readonly z: TensorView;
}

export class Job {
  /** Address of the job record, what a worker is given. */
  readonly ptr: number;
  /** (T, N, D), to be filled before the job runs. */
  readonly x: Float32Array;
  /** (N, H), the state before the first step; zeros until filled. */
  readonly h: Float32Array;
  /** (T, N, H); beyond a row's length it is 0. Absent unless every state is kept. */
  readonly hs: TensorView | undefined;
  /** Each (T, N, H). */
  readonly trace: Trace | undefined;
  readonly #memory: LinearMemory;
  readonly #states: TensorView;
  readonly #lengths: readonly number[];

  /** @throws memory_full */
  constructor(memory: LinearMemory, model: PackedModel, shape: JobShape) {
    const { T, N, keepsStates } = shape;
    const { D, H } = model;
    const paddedH = Math.ceil(H / NR) * NR;
    const stateSlots = keepsStates ? T : Math.min(T, 2);
    const statesBytes = stateSlots * N * paddedH * F32;
    const traceBytes = shape.trace ? T * N * paddedH * F32 : 0;

    const block = new Layout(JOB_BYTES);
    const rowsAt = block.place(N * ROW_BYTES);
    const xAt = block.place(T * N * D * F32);
    const hAt = block.place(N * H * F32);
    const hsAt = block.place(statesBytes);
    const traceAt = block.place(3 * traceBytes);

    this.#memory = memory;
    this.ptr = memory.allocate(block.bytes);
    this.x = memory.f32(this.ptr + xAt, T * N * D);
    this.h = memory.f32(this.ptr + hAt, N * H).fill(0);
    this.#lengths = shape.lengths ?? Array<number>(N).fill(T);
    this.#states = {
      shape: [stateSlots, N, H],
      strides: [N * paddedH, paddedH, 1],
      data: memory.f32(this.ptr + hsAt, statesBytes / F32),
    };
    this.hs = keepsStates ? this.#states : undefined;

    const record = memory.u32(this.ptr, JOB_BYTES / 4);
    record[JOB_PANELS / 4] = model.panelsPtr;
    record[JOB_D / 4] = D;
    record[JOB_H / 4] = H;
    record[JOB_N / 4] = N;
    record[JOB_ROWS / 4] = this.ptr + rowsAt;

    const rows = memory.u32(this.ptr + rowsAt, (N * ROW_BYTES) / 4);
    rowsByLength(this.#lengths).forEach((n, i) => {
      const row = rows.subarray((i * ROW_BYTES) / 4);
      row[ROW_X / 4] = this.ptr + xAt + n * D * F32;
      row[ROW_X_STEP / 4] = N * D * F32;
      row[ROW_H / 4] = this.ptr + hAt + n * H * F32;
      row[ROW_HS / 4] = this.ptr + hsAt + n * paddedH * F32;
      row[ROW_HS_STEP / 4] = N * paddedH * F32;
      row[ROW_HS_MASK / 4] = keepsStates ? 0xffff_ffff : 1;
      row[ROW_STEPS / 4] = this.#lengths[n]!;
      row[ROW_TRACE / 4] = shape.trace ? this.ptr + traceAt + n * paddedH * F32 : 0;
      row[ROW_TRACE_SIZE / 4] = traceBytes;
    });

    const traceView = (index: number): TensorView => ({
      shape: [T, N, H],
      strides: this.#states.strides,
      data: memory.f32(this.ptr + traceAt + index * traceBytes, traceBytes / F32),
    });
    this.trace = shape.trace
      ? { h_W_h: traceView(0), x_W_x: traceView(1), z: traceView(2) }
      : undefined;

    // The kernel does not touch what lies beyond a row's length: hs and trace are 0 there.
    if (shape.lengths) {
      if (keepsStates) this.#states.data.fill(0);
      if (this.trace) Object.values(this.trace).forEach((view: TensorView) => view.data.fill(0));
    }
  }

  /** (N, H): the state of each row after its last step; a copy. */
  finalState(): Float32Array {
    const [slots, N, H] = this.#states.shape as [number, number, number];
    const [stepStride, rowStride] = this.#states.strides as [number, number, number];
    const h = this.h.slice();
    for (let n = 0; n < N; n++) {
      const steps = this.#lengths[n]!;
      if (steps === 0) continue;
      const slot = this.hs ? steps - 1 : (steps - 1) % slots;
      const from = slot * stepStride + n * rowStride;
      h.set(this.#states.data.subarray(from, from + H), n * H);
    }
    return h;
  }

  /** Gives the memory back. No view of this job may be read afterwards, and no worker may hold it. */
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
