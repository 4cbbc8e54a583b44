// Checks that the shapes of a request agree and are within the limits, before anything is allocated. Every error
// names the tensor, its shape, the expected shape and why that is expected.
import { CarryoverError, invalidRequest } from '../errors.ts';
import {
  type LayerSpec,
  type ModelSizes,
  directionsOf,
  gatesOf,
  isForward,
  isRecurrent,
  modelSizes,
  nameOfLayer,
  shortFormOf,
  statesOf,
} from '../layers.ts';
import { type TensorSource, describeShape, sizeOf } from '../tensor.ts';
import { type JobCost, costOf } from '../wasm/job-cost.ts';
import { expectShape, shapeMismatch } from './expect-shape.ts';
import type { LayerLimits } from './layer-sources.ts';
import type { LayersSource, ModelRef, WeightsSource } from './model-source.ts';
import { type GivenStates, expectStates } from './states.ts';

/** The tensors that an answer may have. */
export type Output = 'hs' | 'h' | 'c' | 'ys' | 'y';

export interface RecurrenceInput extends GivenStates {
  readonly weights: WeightsSource | LayersSource | ModelRef;
  /** (T, N, D) or (N, T, D), (N, D) for a single step; without D if the first layer is an embedding. */
  readonly x: TensorSource;
  /** The N of a session, with which that of x must agree. */
  readonly batch?: FixedBatch | undefined;
  /** N integers, 0 … T. */
  readonly lengths?: readonly number[] | undefined;
  /** Whether all states h_1 … h_T are wanted (hs), or only the last (h). */
  readonly keepsStates: boolean;
  /** Whether the intermediate values of every step are wanted. */
  readonly trace: boolean;
  /** Tensors of the answer that the request names and that not all models have. */
  readonly outputs?: readonly Output[] | undefined;
}

export interface FixedBatch {
  readonly N: number;
  /** For errors: `session …`. */
  readonly origin: string;
}

/** The model of a request. */
export interface RunModel {
  readonly layers: readonly LayerSpec[];
  /** What its sizes follow from, for errors: `W_x (D, H) = (1, 2)`. */
  readonly origin: string;
}

export interface Sizes {
  readonly T: number;
  readonly N: number;
  readonly D: number;
  readonly H: number;
}

/** Sizes of a request and its model, and what it costs. */
export interface RunSizes extends Sizes, ModelSizes {
  readonly cost: JobCost;
}

export interface Limits extends Sizes, LayerLimits {
  /** Operations of one request: the flops of its job (wasm/job-cost.ts). */
  readonly workFlops: number;
  /** Numbers of one answer: T · N · (H + O) for hs and ys, 3 · T · N · H for a trace, … */
  readonly answerNumbers: number;
}

/**
 * The sizes of a request, and what it costs.
 *
 * @throws shape_mismatch · model_unsupported · out_of_range (lengths) · limit_exceeded
 */
export function resolveSizes(input: RecurrenceInput, { layers, origin }: RunModel, limits: Limits): RunSizes {
  const { x, batch, lengths } = input;
  const { D, H, O } = modelSizes(layers);

  expectAxes(x, layers);
  const T = x.axes.includes('T') ? sizeOf(x, 'T') : 1;
  const N = sizeOf(x, 'N');
  const hasOtherD = x.axes.includes('D') && x.shape.at(-1) !== D;
  if (hasOtherD) expectShape(x, x.shape.with(-1, D), `${origin} makes D = ${D}`);
  if (batch) {
    const fixed = x.shape.with(x.axes.indexOf('N'), batch.N);
    expectShape(x, fixed, `${batch.origin} has N = ${batch.N}`);
  }
  expectStates(input, layers, N, { N: `x makes N = ${N}`, H: origin });
  if (lengths) expectLengths(lengths, N, T);
  if (input.outputs) expectOutputs(input.outputs, layers);
  if (!x.axes.includes('T')) {
    expectForward(layers, 'a step has no later steps: send whole sequences to POST /v1/sequence');
  }

  // The layers of other models were checked one by one.
  expectWithinLimits(shortFormOf(layers) ? { T, N, D, H } : { T, N }, limits);
  const { keepsStates, trace } = input;
  const cost = costOf(layers, { T, N, lengths, keepsStates, trace });
  expectWorkWithinLimit(cost, limits);
  expectAnswerWithinLimit(input, { T, N }, layers, limits);
  return { T, N, D, H, O, cost };
}

/** @param why a clause for the error · @throws model_unsupported if a layer is computed from the last step on */
export function expectForward(layers: readonly LayerSpec[], why: string): void {
  if (isForward(layers)) return;
  const index = layers.findIndex((layer) => isRecurrent(layer) && layer.direction !== 'forward');
  const layer = layers[index]!;
  const message =
    `${nameOfLayer(index, layer.type)} is ${isRecurrent(layer) ? layer.direction : ''}: its state after a step ` +
    `depends on the later steps, and ${why}.`;
  throw new CarryoverError('model_unsupported', { detail: message, errors: [{ pointer: '/model', message }] });
}

/** @throws shape_mismatch unless x has integers for an embedding, and vectors for any other layer */
function expectAxes(x: TensorSource, [first]: readonly LayerSpec[]): void {
  const hasFeatures = x.axes.includes('D');
  if (hasFeatures && first!.type === 'embedding') {
    const expected = x.axes.slice(0, -1).split('').join(', ');
    throw shapeMismatch(
      x.name,
      `x has shape ${describeShape(x)}, expected (${expected}) of integers 0 … ${first!.V - 1}, because layers[0] is ` +
        'an embedding.',
    );
  }
  if (hasFeatures || first!.type === 'embedding') return;
  const expected = `${x.axes}D`.split('').join(', ');
  throw shapeMismatch(
    x.name,
    `x has shape ${describeShape(x)}, expected (${expected}): an array of D features for each row, because the ` +
      "model's first layer is no embedding.",
  );
}

function expectLengths(lengths: readonly number[], N: number, T: number): void {
  if (lengths.length !== N) {
    const message =
      `lengths has ${lengths.length} elements, expected ${N}, because x makes N = ${N}: ` +
      'one number of steps for each row.';
    throw shapeMismatch('lengths', message);
  }
  const tooLong = lengths.findIndex((length) => length > T);
  if (tooLong >= 0) {
    const message =
      `lengths[${tooLong}] is ${lengths[tooLong]}, expected at most ${T}, ` +
      `because x makes T = ${T}.`;
    throw new CarryoverError('out_of_range', {
      detail: message,
      errors: [{ pointer: `/lengths/${tooLong}`, message }],
    });
  }
}

/** @throws invalid_request if the model has no such output */
function expectOutputs(outputs: readonly Output[], layers: readonly LayerSpec[]): void {
  const hasC = statesOf(layers).some((slot) => slot.hasC);
  const { O } = modelSizes(layers);
  for (const [k, output] of outputs.entries()) {
    if (output === 'c' ? hasC : output === 'h' || output === 'hs' || O > 0) continue;
    const why = output === 'c' ? 'no layer of type lstm' : 'no layer behind its last recurrent one';
    throw invalidRequest(`outputs[${k}] is ${output}, but the model has ${why}.`, `/outputs/${k}`);
  }
}

const AXIS_POINTERS = { N: '/x', D: '/x', T: '/x', H: '/weights/W_x' } as const;

/** @throws limit_exceeded naming the first axis that is too long */
export function expectWithinLimits(sizes: Partial<Sizes>, limits: Sizes): void {
  for (const axis of ['N', 'D', 'H', 'T'] as const) {
    const size = sizes[axis];
    if (size === undefined || size <= limits[axis]) continue;
    const message = `${axis} is ${size}; this server accepts at most ${limits[axis]} (${axis}_MAX).`;
    throw new CarryoverError('limit_exceeded', {
      detail: message,
      errors: [{ pointer: AXIS_POINTERS[axis], message }],
    });
  }
}

function expectWorkWithinLimit({ flops }: JobCost, limits: Limits): void {
  if (flops <= limits.workFlops) return;
  const message =
    `The request needs ${flops} operations; this server accepts at most ${limits.workFlops} at a time ` +
    '(WORK_FLOPS_MAX). Send fewer steps or rows.';
  throw new CarryoverError('limit_exceeded', { detail: message, errors: [{ pointer: '/x', message }] });
}

/** @throws limit_exceeded */
export function expectAnswerWithinLimit(
  input: Pick<RecurrenceInput, 'keepsStates' | 'trace'>,
  { T, N }: Pick<Sizes, 'T' | 'N'>,
  layers: readonly LayerSpec[],
  limits: Limits,
): void {
  const { perStep, last } = answerNumbersOf(input, N, layers);
  const numbers = T * perStep + last;
  if (numbers <= limits.answerNumbers) return;
  const message =
    `The answer would have ${numbers} numbers; this server sends at most ` +
    `${limits.answerNumbers} at a time (ANSWER_NUMBERS_MAX). Send fewer steps, or ask for less ` +
    'with `outputs`.';
  throw new CarryoverError('limit_exceeded', { detail: message, errors: [{ pointer: '/x', message }] });
}

/** How many numbers an answer has for each step, and for the final states. */
export function answerNumbersOf(
  { keepsStates, trace }: Pick<RecurrenceInput, 'keepsStates' | 'trace'>,
  N: number,
  layers: readonly LayerSpec[],
): { readonly perStep: number; readonly last: number } {
  const { H, O } = modelSizes(layers);
  let states = 0;
  for (const slot of statesOf(layers)) states += slot.hasC ? 2 * slot.H : slot.H;
  const traced = trace ? traceNumbersOf(layers) : 0;
  return { perStep: N * ((keepsStates ? H + O : 0) + traced), last: N * (states + O) };
}

/** Numbers of a trace for a row and step: three products of one tanh layer; z and the value of each gate of others. */
function traceNumbersOf(layers: readonly LayerSpec[]): number {
  let numbers = 0;
  for (const layer of layers) {
    if (isRecurrent(layer)) numbers += directionsOf(layer).length * 2 * gatesOf(layer) * layer.H;
  }
  return shortFormOf(layers) ? 3 * modelSizes(layers).H : numbers;
}
