// The result of a computation: views into its job.
import type { ModelLease } from '../models/packed-weights.ts';
import type { TensorView } from '../tensor.ts';
import type { GateTrace, Job, StateViews, Trace } from '../wasm/job.ts';

export type { GateTrace, StateViews, Trace };

/**
 * What was computed: views into the job's memory, valid until it is disposed of. It holds that memory and
 * the lease on the model.
 */
export interface RecurrenceResult extends RecurrenceTensors, Disposable {}

export interface RecurrenceTensors {
  /** The states after each row's last step, one for each recurrent layer and direction. */
  readonly states: readonly StateViews[];
  /** (T, N, H), outputs of the last recurrent layer, 0 beyond a row's length; absent unless keepsStates. */
  readonly hs: TensorView | undefined;
  /** (N, O), outputs of the layers behind it for the final states; absent if the model has none. */
  readonly y: TensorView | undefined;
  /** (T, N, O), the same for hs; absent with hs or y. */
  readonly ys: TensorView | undefined;
  /** Of a model of one tanh layer, each (T, N, H); absent unless asked for. */
  readonly trace: Trace | undefined;
  /** Of any other model, one for each recurrent layer and direction; absent unless asked for. */
  readonly gates: readonly GateTrace[] | undefined;
}

/** The result of a job that has run; it owns the job and the lease. */
export class JobResult implements RecurrenceResult {
  readonly states: readonly StateViews[];
  readonly hs: TensorView | undefined;
  readonly y: TensorView | undefined;
  readonly ys: TensorView | undefined;
  readonly trace: Trace | undefined;
  readonly gates: readonly GateTrace[] | undefined;
  readonly #job: Job;
  readonly #lease: ModelLease;

  constructor(job: Job, lease: ModelLease) {
    this.states = job.finalStates();
    this.hs = job.hs;
    this.y = job.y;
    this.ys = job.ys;
    this.trace = job.trace;
    this.gates = job.gates;
    this.#job = job;
    this.#lease = lease;
  }

  /** Frees the memory of the job and releases the lease on the model. */
  [Symbol.dispose](): void {
    this.#job.release();
    this.#lease.release();
  }
}

/** The results of N rows of one step, from row `first` on. They are valid as long as the whole. */
export function stepRows({ states, y }: RecurrenceTensors, first: number, N: number): RecurrenceTensors {
  return {
    states: states.map(({ h, c }) => ({ h: viewOfRows(h, first, N), c: c && viewOfRows(c, first, N) })),
    y: y && viewOfRows(y, first, N),
    hs: undefined,
    ys: undefined,
    trace: undefined,
    gates: undefined,
  };
}

/** N rows of a view of shape (…, size), from row `first` on. */
function viewOfRows({ shape, strides, data }: TensorView, first: number, N: number): TensorView {
  const [size, stride] = [shape[1]!, strides[0]!];
  const start = first * stride;
  return { shape: [N, size], strides, data: data.subarray(start, start + (N - 1) * stride + size) };
}

/**
 * Copies a view of shape (N, H) without the padding of its rows.
 *
 * @param at where the copy begins in `target`
 * @returns where it ends
 */
export function copyRows({ shape, strides, data }: TensorView, target: Float32Array, at = 0): number {
  const [N, H] = shape as [number, number];
  // Of short rows a loop takes less time than the views that Float32Array.set() would need.
  for (let n = 0; n < N; n++) {
    const start = n * strides[0]!;
    for (let j = 0; j < H; j++) target[at++] = data[start + j]!;
  }
  return at;
}
