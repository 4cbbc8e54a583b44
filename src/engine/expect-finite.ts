// The check that every number of a result is finite.
import { CarryoverError } from '../errors.ts';
import type { TensorView } from '../tensor.ts';
import type { InfiniteState } from '../wasm/job.ts';
import type { RecurrenceTensors } from './result.ts';

type FiniteCheck = (numbers: Float32Array) => boolean;

/**
 * A row whose sums overflowed to NaN (they can in float32, so in layers that are not narrow) stays NaN to its
 * last step, as NaN · w is NaN for every w, and so are all layers behind: it is enough to check the last states of each
 * row. A state of a relu layer may be infinite at one step and finite at the last; the kernels note it. An infinite z
 * whose tanh is ±1 is a valid state, but it cannot be written in JSON, so every number of a trace is checked.
 *
 * @param axes of x in the request, e.g. ND, TND, NT: errors name an element by its indices in the answer
 * @param infinite a state that was infinite at some step
 * @param firstStep how many steps of the whole sequence precede those of the result
 * @throws not_finite
 */
export function expectFinite(
  { states, y, ys, trace, gates }: Omit<RecurrenceTensors, 'hs'>,
  isFinite: FiniteCheck,
  axes: string,
  infinite: InfiniteState | undefined,
  firstStep = 0,
): void {
  if (infinite) throw infiniteState(infinite, firstStep);
  const check = (place: string, view: TensorView, hasSteps: boolean) => {
    expectFiniteView(place, view, isFinite, hasSteps ? axes : undefined, firstStep);
  };
  for (const [k, { h, c }] of states.entries()) {
    const entry = states.length === 1 ? '' : `/${k}`;
    check(`h${entry}`, h, false);
    if (c) check(`c${entry}`, c, false);
  }
  if (trace) {
    check('trace/h_W_h', trace.h_W_h, true);
    check('trace/x_W_x', trace.x_W_x, true);
    check('trace/z', trace.z, true);
  }
  for (const [k, { z, values }] of (gates ?? []).entries()) {
    for (const [gate, view] of Object.entries(z)) check(`trace/layers/${k}/z/${gate}`, view, true);
    for (const [gate, view] of Object.entries(values)) check(`trace/layers/${k}/values/${gate}`, view, true);
  }
  if (y) check('y', y, false);
  if (ys) check('ys', ys, true);
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
  throw notFinite(name, `${titleOf(name)}[${where}] is ${view.data[at]}`);
}

/** The name of a tensor in the answer: `trace.z`, `h[1]`. */
function titleOf(place: string): string {
  return place.replaceAll(/\/(\d+)/g, '[$1]').replaceAll('/', '.');
}

/** The indices in the answer: that of a step has no T, and with layout NTD the outer axis is N. */
function inAnswer([t = 0, n = 0, j = 0]: readonly number[], axes: string, firstStep: number): number[] {
  if (!axes.includes('T')) return [n, j];
  return axes.startsWith('NT') ? [n, t + firstStep, j] : [t + firstStep, n, j];
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

function infiniteState({ n, t }: InfiniteState, firstStep: number): CarryoverError {
  const message =
    `The state of a relu layer is infinite in row ${n} (of 0 … N-1) after step ${t + firstStep} (of 0 … T-1): ` +
    'it overflowed float32 (largest: 3.4028235e38).';
  return new CarryoverError('not_finite', { detail: message, errors: [{ pointer: '/x', message }] });
}
