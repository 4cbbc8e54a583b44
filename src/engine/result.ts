// What a computation comes out as, and the check that it can be told: every number is finite.
import { CarryoverError } from '../errors.ts';
import type { TensorView } from '../tensor.ts';
import type { Trace } from '../wasm/job.ts';

/** Views into the job's memory: valid only until the function they are given to returns. */
export interface RecurrenceResult {
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

/**
 * A row whose sums overflowed to NaN (they can in float32, so in models that are not narrow) stays
 * NaN to its last step, as NaN · w is NaN for every w: the last state of each row tells about all of
 * them. An infinite z whose tanh is ±1 is a valid state, but it cannot be written in JSON, so a trace
 * is checked element by element.
 *
 * @param firstStep the number of the result's first step, for errors: its place in the whole sequence
 * @throws not_finite
 */
export function expectFinite(
  { h, y, ys, trace }: Omit<RecurrenceResult, 'hs'>,
  firstStep = 0,
): void {
  expectFiniteView('h', h);
  for (const [name, view] of Object.entries(trace ?? {}) as [string, TensorView][]) {
    expectFiniteView(`trace/${name}`, view, firstStep);
  }
  if (y) expectFiniteView('y', y);
  if (ys) expectFiniteView('ys', ys, firstStep);
}

/** Element by element: what is behind the rows of a view is not part of it. */
function expectFiniteView(
  name: string,
  { shape, strides, data }: TensorView,
  firstIndex = 0,
  place = '',
  start = 0,
): void {
  const [size, ...rest] = shape as [number, ...number[]];
  const [stride, ...restStrides] = strides as [number, ...number[]];
  if (rest.length > 0) {
    const inner = { shape: rest, strides: restStrides, data };
    for (let i = 0; i < size; i++) {
      expectFiniteView(name, inner, 0, `${place}[${firstIndex + i}]`, start + i * stride);
    }
    return;
  }
  for (let i = 0; i < size; i++) {
    const value = data[start + i]!;
    if (Number.isFinite(value)) continue;
    throw notFinite(name, `${name.replace('/', '.')}${place}[${i}] is ${value}`);
  }
}

function notFinite(name: string, where: string): CarryoverError {
  const message = `${where}: the sums overflowed float32 (largest: 3.4028235e38).`;
  return new CarryoverError('not_finite', {
    detail: message,
    errors: [{ pointer: `/${name}`, message }],
  });
}
