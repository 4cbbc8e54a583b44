// One job in linear memory: a single block, written by the main thread before it is queued, by the
// kernel while it runs, and read by the main thread until it is released.
//
//   | part records | N row records | pairs | x (T,N,D) | h (N,H) | hs (S,N,H') | trace 3 × (T,N,H') |
//   | y (N,O') | ys (T,N,O') |
//
// x and h are not in it where they are in linear memory already, as the numbers of a body are.
// A part is some of the rows: parts can run side by side, on any threads, as they share no memory that
// is written.
// H' = H rounded up to whole panels, so the kernels store whole vectors. S = T where every state is
// wanted, else a power of two: the last S states in turn. x W_x is computed ahead into the slots of hs.
// Inside, time is always the outer axis.
import {
  JOB_AHEAD,
  JOB_B,
  JOB_B_Y,
  JOB_BYTES,
  JOB_D,
  JOB_H,
  JOB_N,
  JOB_NARROW,
  JOB_O,
  JOB_PAIRS,
  JOB_PAIRS_MAX,
  JOB_ROWS,
  JOB_W_H,
  JOB_W_X,
  JOB_W_Y,
  KIND_JOB,
  PAIR_BYTES,
  NR,
  RECORD_KIND,
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
  SUMS_PAIRS,
} from '../kernels/layout.ts';
import type { TensorView } from '../tensor.ts';
import type { LinearMemory } from './memory.ts';
import { isNarrow, panelOffsets, readoutOffsets } from './panels.ts';

const F32 = Float32Array.BYTES_PER_ELEMENT;

/** x W_x computed ahead should still be in the second-level cache when its steps are taken. */
const AHEAD_BYTES_MAX = 128 * 1024;
const AHEAD_STEPS_MAX = 63;
/** Pairs of a part beyond the two for each of its rows, so that a product has rows of many steps. */
const PAIRS_MAX = Math.max(64, SUMS_PAIRS);
/** The rows of a batch tile. */
const PART_ROWS_MIN = 4;
const PARTS_MAX = 16;

/** Packed weights in linear memory. */
export interface PackedModel {
  readonly D: number;
  readonly H: number;
  readonly panelsPtr: number;
  readonly readout?: PackedReadout | undefined;
}

export interface PackedReadout {
  readonly O: number;
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
  /** Where x and h are, if they are in linear memory already; they have to stay while the job runs. */
  readonly xPtr?: number | undefined;
  readonly hPtr?: number | undefined;
}

export interface Trace {
  readonly h_W_h: TensorView;
  readonly x_W_x: TensorView;
  readonly z: TensorView;
}

export class Job {
  /** Address of the record of the whole job, what a thread is given; see split(). */
  readonly ptr: number;
  /** Its arithmetic, in float32 operations. */
  readonly flops: number;
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
  readonly #N: number;
  /** Of each row, if they may take different numbers of steps; if not, all take T, at least one. */
  readonly #lengths: readonly number[] | undefined;
  readonly #model: PackedModel;
  readonly #ahead: number;
  readonly #rowsPtr: number;
  readonly #pairsPtr: number;

  /** @throws memory_full */
  constructor(memory: LinearMemory, model: PackedModel, shape: JobShape) {
    const { T, N, keepsStates } = shape;
    const { D, H } = model;
    const paddedH = Math.ceil(H / NR) * NR;
    const ahead = stepsAhead(T, N * paddedH * F32);
    const stateSlots = keepsStates ? T : ringSlots(T, ahead);
    const statesBytes = stateSlots * N * paddedH * F32;
    const traceBytes = shape.trace ? T * N * paddedH * F32 : 0;

    this.partsMax = Math.max(1, Math.min(PARTS_MAX, Math.floor(N / PART_ROWS_MIN)));

    const block = new Layout(this.partsMax * JOB_BYTES);
    const rowsAt = block.place(N * ROW_BYTES);
    const pairsAt = block.place((2 * N + this.partsMax * PAIRS_MAX) * PAIR_BYTES);
    const xAt = block.place(shape.xPtr === undefined ? T * N * D * F32 : 0);
    const hAt = block.place(shape.hPtr === undefined ? N * H * F32 : 0);
    const hsAt = block.place(statesBytes);
    const traceAt = block.place(3 * traceBytes);
    const O = model.readout?.O ?? 0;
    const paddedO = Math.ceil(O / NR) * NR;
    const yAt = block.place(N * paddedO * F32);
    const ysFloats = keepsStates ? T * N * paddedO : 0;
    const ysAt = block.place(ysFloats * F32);

    this.#memory = memory;
    this.#model = model;
    this.#ahead = ahead;
    this.ptr = memory.allocate(block.bytes);
    this.#rowsPtr = this.ptr + rowsAt;
    this.#pairsPtr = this.ptr + pairsAt;
    const xPtr = shape.xPtr ?? this.ptr + xAt;
    const hPtr = shape.hPtr ?? this.ptr + hAt;
    this.x = memory.f32(xPtr, T * N * D);
    this.h = memory.f32(hPtr, N * H);
    if (shape.hPtr === undefined) this.h.fill(0);
    this.#T = T;
    this.#N = N;
    this.#lengths = shape.lengths;
    this.#states = {
      shape: [stateSlots, N, H],
      strides: [N * paddedH, paddedH, 1],
      data: memory.f32(this.ptr + hsAt, statesBytes / F32),
    };
    this.hs = keepsStates ? this.#states : undefined;

    const { lengths } = shape;
    const steps = lengths ? sumOf(lengths) : T * N;
    // A float64 operation takes as long as two of float32.
    const readoutFlops = 2 * (keepsStates ? steps : N) * H * O;
    this.flops = 2 * steps * (D + H) * H * (isNarrow(D, H) ? 2 : 1) + readoutFlops;

    const { words } = memory;
    const { ptr } = this;
    const stepBytes = N * paddedH * F32;
    const statesMask = keepsStates ? 0xffff_ffff : stateSlots - 1;
    const order = lengths && rowsByLength(lengths);
    let row = this.#rowsPtr >>> 2;
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
   * of their records. Until all of them are done the job must not be split again.
   */
  split(count: number): number[] {
    if (count === 1) return [this.#writePart(0, 0, this.#N)];
    const ends = partEnds(this.#sortedLengths(), count);
    return ends.map((end, part) => this.#writePart(part, ends[part - 1] ?? 0, end));
  }

  #sortedLengths(): readonly number[] {
    return this.#lengths?.toSorted((a, b) => b - a) ?? Array<number>(this.#N).fill(this.#T);
  }

  /** The record of the rows from `first` to `end` in their sorted order. */
  #writePart(part: number, first: number, end: number): number {
    const { D, H, panelsPtr, readout } = this.#model;
    const panels = panelOffsets(D, H);
    const ptr = this.ptr + part * JOB_BYTES;
    const count = end - first;
    const { words } = this.#memory;
    const record = ptr >>> 2;
    words[record + RECORD_KIND / 4] = KIND_JOB;
    words[record + JOB_W_X / 4] = panelsPtr + panels.W_x;
    words[record + JOB_W_H / 4] = panelsPtr + panels.W_h;
    words[record + JOB_B / 4] = panelsPtr + panels.b;
    words[record + JOB_D / 4] = D;
    words[record + JOB_H / 4] = H;
    words[record + JOB_NARROW / 4] = isNarrow(D, H) ? 1 : 0;
    words[record + JOB_O / 4] = readout?.O ?? 0;
    words[record + JOB_W_Y / 4] = readout ? readout.panelsPtr : 0;
    words[record + JOB_B_Y / 4] = readout ? readout.panelsPtr + readoutOffsets(H, readout.O).b_y : 0;
    words[record + JOB_N / 4] = count;
    words[record + JOB_ROWS / 4] = this.#rowsPtr + first * ROW_BYTES;
    words[record + JOB_AHEAD / 4] = this.#ahead;
    words[record + JOB_PAIRS / 4] = this.#pairsPtr + (2 * first + part * PAIRS_MAX) * PAIR_BYTES;
    words[record + JOB_PAIRS_MAX / 4] = 2 * count + PAIRS_MAX;
    return ptr;
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
  release(): void {
    this.#memory.free(this.ptr);
  }
}

/** Where each part ends: at a multiple of PART_ROWS_MIN rows, parts about equal in steps. */
function partEnds(lengths: readonly number[], count: number): number[] {
  const total = sumOf(lengths);
  const ends: number[] = [];
  let steps = 0;
  for (let n = 0; n < lengths.length; n++) {
    steps += lengths[n]!;
    const full = (n + 1) % PART_ROWS_MIN === 0 && steps >= (total * (ends.length + 1)) / count;
    if (full && ends.length < count - 1) ends.push(n + 1);
  }
  if (ends.at(-1) !== lengths.length) ends.push(lengths.length);
  return ends;
}

function sumOf(lengths: readonly number[]): number {
  return lengths.reduce((sum, length) => sum + length, 0);
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

function stepsAhead(T: number, bytesPerStep: number): number {
  return Math.max(1, Math.min(T, AHEAD_STEPS_MAX, Math.floor(AHEAD_BYTES_MAX / bytesPerStep)));
}

/** Room for the steps ahead and the state before them: a power of two, no more than needed. */
function ringSlots(T: number, ahead: number): number {
  return 2 ** Math.ceil(Math.log2(Math.min(T, ahead) + 1));
}
