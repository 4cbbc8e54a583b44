// The reference of a model in its short form: one tanh layer, and a linear readout.
import type { Readout, Weights } from '../../tensor.ts';
import { referenceModel } from './model.ts';
import { additionOf, floats } from './products.ts';

/** The products of one step of one row; `state` is tanh(z). Each has H elements. */
export interface ReferenceStep {
  readonly h_W_h: Float32Array;
  readonly x_W_x: Float32Array;
  readonly z: Float32Array;
  readonly state: Float32Array;
}

/** One step of one row: z = (x W_x + h W_h) + b, state = tanh(z). */
export function referenceStep(weights: Weights, x: Float32Array, h: Float32Array): ReferenceStep {
  const { D, H } = weights;
  const layer = { type: 'rnn', activation: 'tanh', direction: 'forward', D, H, weights } as const;
  const { hs: state, trace } = referenceModel([layer], { T: 1, N: 1, x, h: [h] });
  return { ...referenceProducts(weights, x, h), z: trace[0]!.z, state };
}

/** h W_h and x W_x of one row, each rounded to float32. */
export function referenceProducts({ D, H, W_x, W_h }: Weights, x: Float32Array, h: Float32Array) {
  const add = additionOf(D + H);
  return {
    h_W_h: floats(H, (j) => add(0, h, { data: W_h, columns: H }, j)),
    x_W_x: floats(H, (j) => add(0, x, { data: W_x, columns: H }, j)),
  };
}

/** y = h W_y + b_y of one row, O elements. */
export function referenceReadout({ O, W_y, b_y }: Readout, h: Float32Array): Float32Array {
  const add = additionOf(h.length);
  return floats(O, (o) => add(0, h, { data: W_y, columns: O }, o) + b_y[o]!);
}
