// Checks that the shapes of a request agree and are within the limits, before anything is allocated. Every error
// names the tensor, its shape, the expected shape and why that is expected.
import { CarryoverError } from '../errors.ts';
import { type TensorSource, describeShape, formatShape, sizeOf } from '../tensor.ts';

export interface WeightsSource {
  /** (D, H) */
  readonly W_x: TensorSource;
  /** (H, H) */
  readonly W_h: TensorSource;
  /** (H,) or (1, H) */
  readonly b?: TensorSource | undefined;
}

export interface ReadoutSource {
  /** (H, O) */
  readonly W_y: TensorSource;
  /** (O,) */
  readonly b_y?: TensorSource | undefined;
}

export interface RecurrenceInput {
  /** Inline weights, or the name or id of a registered model. */
  readonly weights: WeightsSource | string;
  /** (T, N, D) or (N, T, D); (N, D) for a single step. */
  readonly x: TensorSource;
  /** (N, H) */
  readonly h?: TensorSource | undefined;
  /** The N of a session, with which that of x must agree. */
  readonly batch?: FixedBatch | undefined;
  /** N integers, 0 … T. */
  readonly lengths?: readonly number[] | undefined;
  /** Whether all states h_1 … h_T are wanted (hs), or only the last (h). */
  readonly keepsStates: boolean;
  /** Whether the intermediate products of every step are wanted. */
  readonly trace: boolean;
}

export interface FixedBatch {
  readonly N: number;
  /** For errors: `session …`. */
  readonly origin: string;
}

export interface Sizes {
  readonly T: number;
  readonly N: number;
  readonly D: number;
  readonly H: number;
}

export interface Limits extends Sizes {
  /** Multiply-adds of one request, counted as two: 2 · T · N · (D + H + O) · H. */
  readonly workFlops: number;
  /** Numbers of one answer: T · N · (H + O) for hs and ys, 3 · T · N · H for a trace, … */
  readonly answerNumbers: number;
}

export interface ModelSizes {
  readonly D: number;
  readonly H: number;
  /** Outputs of the readout; 0 if there is none. */
  readonly O: number;
  /** What the sizes follow from, for errors: `W_x (D, H) = (1, 2)`. */
  readonly origin: string;
}

/** D and H of inline weights. @throws shape_mismatch if they do not agree */
export function resolveWeightsSizes({ W_x, W_h, b }: WeightsSource): ModelSizes {
  const [D, H] = W_x.shape as [number, number];
  const origin = `W_x ${describeShape(W_x)}`;
  expectShape(W_h, [H, H], `${origin} makes H = ${H}`);
  if (b) expectShape(b, b.axes === '1H' ? [1, H] : [H], `${origin} makes H = ${H}`);
  return { D, H, O: 0, origin };
}

/** O of a readout. @throws shape_mismatch if it does not agree with the model */
export function resolveReadoutSizes({ W_y, b_y }: ReadoutSource, { H, origin }: ModelSizes): number {
  const O = W_y.shape[1]!;
  expectShape(W_y, [H, O], `${origin} makes H = ${H}`);
  if (b_y) expectShape(b_y, [O], `W_y ${describeShape(W_y)} makes O = ${O}`);
  return O;
}

/** T, N, D and H of a request. @throws shape_mismatch · out_of_range (lengths) · limit_exceeded */
export function resolveSizes(input: RecurrenceInput, model: ModelSizes, limits: Limits): Sizes {
  const { x, h, batch, lengths } = input;
  const { D, H, origin } = model;

  const T = x.axes.includes('T') ? sizeOf(x, 'T') : 1;
  const N = sizeOf(x, 'N');
  expectShape(x, x.shape.with(-1, D), `${origin} makes D = ${D}`);
  if (batch) {
    const fixed = x.shape.with(x.axes.indexOf('N'), batch.N);
    expectShape(x, fixed, `${batch.origin} has N = ${batch.N}`);
  }
  if (h) expectShape(h, [N, H], `x makes N = ${N} and ${origin} makes H = ${H}`);
  if (lengths) expectLengths(lengths, N, T);

  const sizes = { T, N, D, H };
  expectWithinLimits(sizes, limits);
  expectWorkWithinLimit(sizes, model.O, limits);
  expectAnswerWithinLimit(input, sizes, model.O, limits);
  return sizes;
}

function expectShape(tensor: TensorSource, expected: readonly number[], why: string): void {
  if (tensor.shape.every((size, axis) => size === expected[axis])) return;
  const message =
    `${tensor.name.split('/').at(-1)} has shape ${describeShape(tensor)}, ` +
    `expected ${formatShape(expected)}, because ${why}.`;
  throw new CarryoverError('shape_mismatch', {
    detail: message,
    errors: [{ pointer: `/${tensor.name}`, message }],
  });
}

function expectLengths(lengths: readonly number[], N: number, T: number): void {
  if (lengths.length !== N) {
    const message =
      `lengths has ${lengths.length} elements, expected ${N}, because x makes N = ${N}: ` +
      'one number of steps for each row.';
    throw new CarryoverError('shape_mismatch', {
      detail: message,
      errors: [{ pointer: '/lengths', message }],
    });
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

const AXIS_POINTERS = { N: '/x', D: '/x', T: '/x', H: '/weights/W_x' } as const;

/** @throws limit_exceeded naming the first axis that is too long */
export function expectWithinLimits(sizes: Partial<Sizes>, limits: Limits): void {
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

function expectWorkWithinLimit({ T, N, D, H }: Sizes, O: number, limits: Limits): void {
  const workFlops = 2 * T * N * (D + H + O) * H;
  if (workFlops <= limits.workFlops) return;
  const message =
    `The request needs 2·T·N·(D+H+O)·H = ${workFlops} operations; this server accepts at most ` +
    `${limits.workFlops} at a time (WORK_FLOPS_MAX). Send fewer steps or rows.`;
  throw new CarryoverError('limit_exceeded', { detail: message, errors: [{ pointer: '/x', message }] });
}

/** @throws limit_exceeded */
export function expectAnswerWithinLimit(
  input: Pick<RecurrenceInput, 'keepsStates' | 'trace'>,
  { T, N, H }: Sizes,
  O: number,
  limits: Limits,
): void {
  const states = (input.keepsStates ? T : 0) + 1;
  const numbers = states * N * (H + O) + (input.trace ? 3 * T * N * H : 0);
  if (numbers <= limits.answerNumbers) return;
  const message =
    `The answer would have ${numbers} numbers; this server sends at most ` +
    `${limits.answerNumbers} at a time (ANSWER_NUMBERS_MAX). Send fewer steps, or ask for less ` +
    'with `outputs`.';
  throw new CarryoverError('limit_exceeded', { detail: message, errors: [{ pointer: '/x', message }] });
}
