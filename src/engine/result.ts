// The result of a computation, and the check that every number of it is finite.
import { CarryoverError } from '../errors.ts';
import type { ModelLease } from '../models/packed-weights.ts';
import type { TensorView } from '../tensor.ts';
import type { Job, Trace } from '../wasm/job.ts';

/**
 * What was computed: views into the job's memory, valid until it is disposed of. It holds that memory and
 * the lease on the model.
 */
export interface RecurrenceResult extends RecurrenceTensors, Disposable {}

export interface RecurrenceTensors {
  /** (N, H), the state after each row's last step. */
  readonly h: TensorView;
  /** (T, N, H), 0 beyond a row's length; absent unless keepsStates. */
  readonly hs: TensorView | undefined;
  /** (N, O), the readout of h; absent if the model has none. */
  readonly y: TensorView | undefined;
  /** (T, N, O), the readouts of hs; absent with hs or y. */
  readonly ys: TensorView | undefined;
  /** Each (T, N, H); absent unless asked for. */
  readonly trace: Trace | undefined;
}

/** The result of a job that has run; it owns the job and the lease. */
export class JobResult implements RecurrenceResult {
  readonly h: TensorView;
  readonly hs: TensorView | undefined;
  readonly y: TensorView | undefined;
  readonly ys: TensorView | undefined;
  readonly trace: Trace | undefined;
  readonly #job: Job;
  readonly #lease: ModelLease;

  constructor(job: Job, lease: ModelLease) {
    this.h = job.finalStates()[0]!.h;
    this.hs = job.hs;
    this.y = job.y;
    this.ys = job.ys;
    this.trace = job.trace;
    this.#job = job;
    this.#lease = lease;
  }

  /** Frees the memory of the job and releases the lease on the model. */
  [Symbol.dispose](): void {
    this.#job.release();
    this.#lease.release();
  }
}

type FiniteCheck = (numbers: Float32Array) => boolean;

/**
 * A row whose sums overflowed to NaN (they can in float32, so in models that are not narrow) stays NaN to its
 * last step, as NaN · w is NaN for every w: it is enough to check the last state of each row. An infinite z
 * whose tanh is ±1 is a valid state, but it cannot be written in JSON, so every number of a trace is checked.
 *
 * @param axes of x in the request, ND, TND or NTD: errors name an element by its indices in the answer
 * @param firstStep how many steps of the whole sequence precede those of the result
 * @throws not_finite
 */
export function expectFinite(
  { h, y, ys, trace }: Omit<RecurrenceTensors, 'hs'>,
  isFinite: FiniteCheck,
  axes: string,
  firstStep = 0,
): void {
  expectFiniteView('h', h, isFinite);
  if (trace) {
    expectFiniteView('trace/h_W_h', trace.h_W_h, isFinite, axes, firstStep);
    expectFiniteView('trace/x_W_x', trace.x_W_x, isFinite, axes, firstStep);
    expectFiniteView('trace/z', trace.z, isFinite, axes, firstStep);
  }
  if (y) expectFiniteView('y', y, isFinite);
  if (ys) expectFiniteView('ys', ys, isFinite, axes, firstStep);
}

/** Copies a view of shape (N, H) without the padding of its rows. */
export function copyRows({ shape, strides, data }: TensorView, target: Float32Array): void {
  const [N, H] = shape as [number, number];
  for (let n = 0; n < N; n++) {
    const start = n * strides[0]!;
    target.set(data.subarray(start, start + H), n * H);
  }
}

/** @param axes of x in the request, if the view is (T, N, …); absent if it is (N, …) */
function expectFiniteView(
  name: string,
  view: TensorView,
  isFinite: FiniteCheck,
  axes?: string,
  firstStep = 0,
): void {
  // Checks the padding of the rows as well: if only that is not finite, findNonFinite() finds nothing.
  if (isFinite(view.data.subarray(0, extentOf(view)))) return;
  const place = findNonFinite(view, 0, 0);
  if (!place) return;
  const at = place.reduce((sum, index, axis) => sum + index * view.strides[axis]!, 0);
  const where = (axes === undefined ? place : inAnswer(place, axes, firstStep)).join('][');
  throw notFinite(name, `${name.replace('/', '.')}[${where}] is ${view.data[at]}`);
}

/** The indices in the answer: that of a step has no T, and with layout NTD the outer axis is N. */
function inAnswer([t = 0, n = 0, j = 0]: readonly number[], axes: string, firstStep: number): number[] {
  if (axes === 'ND') return [n, j];
  return axes === 'NTD' ? [n, t + firstStep, j] : [t + firstStep, n, j];
}

/** Numbers from the first of a view to its last, the padding in between included. */
function extentOf({ shape, strides }: TensorView): number {
  let last = 0;
  for (let axis = 0; axis < shape.length; axis++) last += (shape[axis]! - 1) * strides[axis]!;
  return last + 1;
}

/** The indices of the first number of a view that is not finite. */
function findNonFinite(view: TensorView, axis: number, start: number): number[] | undefined {
  const { shape, strides, data } = view;
  const size = shape[axis]!;
  const stride = strides[axis]!;
  if (axis + 1 === shape.length) {
    const i = data.subarray(start, start + size).findIndex((value) => !Number.isFinite(value));
    return i < 0 ? undefined : [i];
  }
  for (let i = 0; i < size; i++) {
    const inner = findNonFinite(view, axis + 1, start + i * stride);
    if (inner) return [i, ...inner];
  }
  return undefined;
}

function notFinite(name: string, where: string): CarryoverError {
  const message = `${where}: the sums overflowed float32 (largest: 3.4028235e38).`;
  return new CarryoverError('not_finite', {
    detail: message,
    errors: [{ pointer: `/${name}`, message }],
  });
}
