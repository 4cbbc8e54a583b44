// One job in linear memory: T steps of N rows with one model. It is a single block, written by the main thread
// before the job is queued, by the kernels while it runs, and read by the main thread until it is released.
//
//   job-layout.ts     which regions the block has, and where
//   job-rows.ts       the row records
//   job-parts.ts      the part records: some of the rows each, computed side by side
//   job-slices.ts     a part in slices, computed one after another
//   job-views.ts      the results as tensors
import type { TensorView } from '../tensor.ts';
import { type JobCost, costOf } from './job-cost.ts';
import { type JobLayout, layoutOf } from './job-layout.ts';
import { JobParts } from './job-parts.ts';
import { writeRows } from './job-rows.ts';
import type { JobShape, PackedModel } from './job-shape.ts';
import type { JobSlices } from './job-slices.ts';
import { type Trace, finalStatesView, lastOutputsView, outputsView, statesView, traceViews } from './job-views.ts';
import type { LinearMemory } from './memory.ts';

export type { JobShape, PackedModel, Trace };

export class Job implements Disposable {
  /** Address of the record of the whole job, which a thread is given; see also split(). */
  readonly ptr: number;
  readonly cost: JobCost;
  /** (T, N, D), to be filled before the job runs, unless shape.xPtr was given. */
  readonly x: Float32Array;
  /** (N, H), the state before the first step; unless shape.hPtr was given, zeros until filled. */
  readonly h: Float32Array;
  /** (T, N, H); zeros beyond a row's length. Undefined unless every state is kept. */
  readonly hs: TensorView | undefined;
  /** (N, O), the readout of the last states; undefined if the model has none. */
  readonly y: TensorView | undefined;
  /** (T, N, O), the readouts of hs; zeros beyond a row's length. Undefined without hs or y. */
  readonly ys: TensorView | undefined;
  readonly trace: Trace | undefined;
  readonly #memory: LinearMemory;
  readonly #shape: JobShape;
  readonly #layout: JobLayout;
  readonly #states: TensorView;
  readonly #parts: JobParts;

  /** @throws memory_full */
  constructor(memory: LinearMemory, model: PackedModel, shape: JobShape) {
    const { T, N, lengths, keepsStates } = shape;
    const { D, H } = model;
    const O = model.readout?.O ?? 0;
    const sizes = { D, H, O };
    const layout = layoutOf(sizes, shape);
    const ptr = memory.allocate(layout.bytes);
    const xPtr = shape.xPtr ?? ptr + layout.xAt;
    const hPtr = shape.hPtr ?? ptr + layout.h.initialAt;
    this.ptr = ptr;
    this.cost = costOf(sizes, shape);
    this.x = memory.f32(xPtr, T * N * D);
    this.h = memory.f32(hPtr, N * H);
    if (shape.hPtr === undefined) this.h.fill(0);
    this.#memory = memory;
    this.#shape = shape;
    this.#layout = layout;
    this.#states = statesView(memory, ptr, layout, N, H);
    this.hs = keepsStates ? this.#states : undefined;
    this.y = O > 0 ? lastOutputsView(memory, ptr, layout, N, O) : undefined;
    this.ys = O > 0 && keepsStates ? outputsView(memory, ptr, layout, shape, O) : undefined;
    this.trace = shape.trace ? traceViews(memory, ptr, layout, shape, H) : undefined;

    writeRows(memory, { ptr, layout, xPtr, hPtr }, sizes, shape);
    this.#parts = new JobParts(memory, ptr, layout, model, shape);
    this.split(1);
    if (lengths) this.#clearResults();
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

  /** (N, H): the state of each row after its last step. */
  finalState(): TensorView {
    return finalStatesView(this.#states, this.h, this.#shape);
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
    if (!this.trace) return;
    const { h_W_h, x_W_x, z } = this.trace;
    for (const view of [h_W_h, x_W_x, z]) view.data.fill(0);
  }
}
