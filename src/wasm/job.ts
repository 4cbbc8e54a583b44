// One job in linear memory: T steps of N rows with one model. It is a single block, written by the main thread
// before the job is queued, by the kernels while it runs, and read by the main thread until it is released.
//
//   job-layout.ts     which regions the block has, and where
//   job-runs.ts       the run records, one for each layer
//   job-rows.ts       the row records
//   job-parts.ts      the part records: some of the rows each, computed side by side
//   job-slices.ts     a part in slices, computed one after another
//   job-views.ts      the results as tensors
import { ROW_BYTES } from '../kernels/layout.ts';
import { type RecurrentSpec, inputsOf } from '../layers.ts';
import type { TensorView } from '../tensor.ts';
import { type JobCost, costOf } from './job-cost.ts';
import { type JobLayout, layoutOf } from './job-layout.ts';
import { JobParts } from './job-parts.ts';
import { type InfiniteState, copyInfinite, infiniteStateOf, writeRows } from './job-rows.ts';
import { writeRuns } from './job-runs.ts';
import type { JobShape } from './job-shape.ts';
import type { JobSlices } from './job-slices.ts';
import {
  type GateTrace,
  type StateViews,
  type Trace,
  finalStateViews,
  gatesTrace,
  lastOutputsView,
  outputsView,
  productsTrace,
  statesView,
} from './job-views.ts';
import type { LinearMemory } from './memory.ts';
import type { PackedModel } from './packed-model.ts';
import { padded } from './panels.ts';

export type { GateTrace, InfiniteState, JobShape, PackedModel, StateViews, Trace };

const F32 = Float32Array.BYTES_PER_ELEMENT;

/** The states of one direction of a recurrent layer before the first step, each (N, H). */
export interface InitialStates {
  readonly h: Float32Array;
  /** Of an lstm. */
  readonly c: Float32Array | undefined;
}

export class Job implements Disposable {
  /** Address of the record of the whole job, which a thread is given; see also split(). */
  readonly ptr: number;
  readonly cost: JobCost;
  /** (T, N, D), to be filled before the job runs, unless shape.xPtr was given. */
  readonly x: Float32Array;
  /** For each recurrent layer and direction; zeros until filled, but for h of the first if shape.hPtr was given. */
  readonly states: readonly InitialStates[];
  /** (T, N, H), or (T, N, 2 H); zeros beyond a row's length. Undefined unless every state is kept. */
  readonly hs: TensorView | undefined;
  /** (N, O), the head's outputs for the final states; undefined if the model has no head. */
  readonly y: TensorView | undefined;
  /** (T, N, O), the head's outputs for hs; zeros beyond a row's length. Undefined without hs or y. */
  readonly ys: TensorView | undefined;
  /** Of a model of one tanh layer. */
  readonly trace: Trace | undefined;
  /** Of any other model, one for each recurrent layer and direction. */
  readonly gates: readonly GateTrace[] | undefined;
  readonly #memory: LinearMemory;
  readonly #shape: JobShape;
  readonly #layout: JobLayout;
  readonly #parts: JobParts;

  /** @throws memory_full */
  constructor(memory: LinearMemory, model: PackedModel, shape: JobShape) {
    const { T, N, lengths, keepsStates } = shape;
    const { layers, packed } = model;
    const layout = layoutOf(packed, shape);
    const ptr = memory.allocate(layout.bytes);
    const place = { memory, ptr };
    const xPtr = shape.xPtr ?? ptr + layout.xAt;
    const hPtr = shape.hPtr ?? ptr + layout.states[0]!.h!.initialAt;
    const hasHead = layout.head < layout.runs.length;
    const hasProducts = layout.runs[0]!.products !== undefined;
    this.ptr = ptr;
    this.cost = lengths ? costOf(layers, shape) : layout.fullCost;
    this.x = memory.f32(xPtr, T * N * inputsOf(layers[0]!));
    this.states = layout.states.map(({ layer, h, c }, k) => {
      const numbers = N * (layer.spec as RecurrentSpec).H;
      const isGiven = k === 0 && shape.hPtr !== undefined;
      const hNumbers = memory.f32(k === 0 ? hPtr : ptr + h!.initialAt, numbers);
      if (!isGiven) hNumbers.fill(0);
      return { h: hNumbers, c: c && memory.f32(ptr + c.initialAt, numbers).fill(0) };
    });
    this.#memory = memory;
    this.#shape = shape;
    this.#layout = layout;
    this.hs = keepsStates ? statesView(place, layout, shape) : undefined;
    this.y = hasHead ? lastOutputsView(place, layout, N) : undefined;
    this.ys = hasHead && keepsStates ? outputsView(place, layout, shape) : undefined;
    this.trace = shape.trace && hasProducts ? productsTrace(place, layout, shape) : undefined;
    this.gates = shape.trace && !hasProducts ? gatesTrace(place, layout, shape) : undefined;

    writeRuns(memory, { ptr, modelPtr: model.ptr, xPtr, hPtr }, layout, shape);
    writeRows(memory, ptr + layout.rowsAt, shape);
    this.#parts = new JobParts(memory, ptr, layout, model.ptr, shape);
    this.split(1);
    if (lengths) this.#clearResults();
  }

  /** Rows of the mini-batch. */
  get N(): number {
    return this.#shape.N;
  }

  /** Whether it is one step of all its rows, of which only the states and outputs are wanted. */
  get isStep(): boolean {
    const { T, lengths, keepsStates, trace } = this.#shape;
    return T === 1 && !lengths && !keepsStates && !trace && this.#layout.isForward;
  }

  /** (T, N): the words of x, if the first layer is an embedding: row numbers, which must be below V. */
  get ids(): Uint32Array {
    const { T, N } = this.#shape;
    return this.#memory.u32(this.x.byteOffset, T * N);
  }

  /** The most parts into which the job may be split. */
  get partsMax(): number {
    return this.#layout.partsMax;
  }

  /** See JobCost.flops. */
  get flops(): number {
    return this.cost.flops;
  }

  /**
   * Splits the rows into `count` parts of about equal work, at most partsMax, and returns the addresses of
   * their records. Until all of them are done, the job must not be split or sliced again.
   */
  split(count: number): number[] {
    return this.#parts.split(count);
  }

  /** The same parts as split() makes, each to be computed in slices. */
  slice(count: number): JobSlices[] {
    return this.#parts.slice(count);
  }

  /** The states after each row's last step, for each recurrent layer and direction. */
  finalStates(): StateViews[] {
    return finalStateViews({ memory: this.#memory, ptr: this.ptr }, this.#layout, this.#shape.N);
  }

  /** A row of a relu layer that had an infinite state, which later ones need not show. */
  infiniteState(): InfiniteState | undefined {
    return infiniteStateOf(this.#memory, this.ptr + this.#layout.rowsAt, this.#shape.N);
  }

  /** Copies x and the first states to the rows from `row` on of a job with the same model; both have one step. */
  copyInputsTo(joined: Job, row: number): void {
    const columns = this.x.length / this.N;
    joined.x.set(this.x, row * columns);
    for (const [k, { h, c }] of this.states.entries()) {
      const target = joined.states[k]!;
      target.h.set(h, row * (h.length / this.N));
      if (c) target.c!.set(c, row * (c.length / this.N));
    }
  }

  /** Takes its results from the rows from `row` on of such a job, which has been computed. */
  copyResultsFrom(joined: Job, row: number): void {
    const [layout, from] = [this.#layout, joined.#layout];
    const copy = (at: number, fromAt: number, columns: number) => {
      const source = this.#memory.f32(joined.ptr + fromAt + row * columns * F32, this.N * columns);
      this.#memory.f32(this.ptr + at, this.N * columns).set(source);
    };
    for (const [k, { layer, finalAt, finalColumns, c }] of layout.states.entries()) {
      const source = from.states[k]!;
      copy(finalAt, source.finalAt, finalColumns);
      if (c) copy(c.currentAt, source.c!.currentAt, padded((layer.spec as RecurrentSpec).H));
    }
    if (layout.yColumns > 0) copy(layout.yAt, from.yAt, layout.yColumns);
    copyInfinite(this.#memory, joined.ptr + from.rowsAt + row * ROW_BYTES, this.ptr + layout.rowsAt, this.N);
  }

  /** Frees the memory. No view of this job may be read afterwards, and no worker may be running it. */
  release(): void {
    this.#memory.free(this.ptr);
  }

  [Symbol.dispose](): void {
    this.release();
  }

  /** The kernels write nothing beyond a row's length, where hs, ys and the trace are zeros. */
  #clearResults(): void {
    this.hs?.data.fill(0);
    this.ys?.data.fill(0);
    for (const view of Object.values(this.trace ?? {})) view.data.fill(0);
    for (const { z, values } of this.gates ?? []) {
      for (const view of [...Object.values(z), ...Object.values(values)]) view.data.fill(0);
    }
  }
}
