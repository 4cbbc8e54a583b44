// The slow thing that proves the fast thing: the recurrence in plain TypeScript, one float32
// operation at a time, in the kernels' order of additions. Tests and the start-up self-test compare
// the kernels with it bit by bit.
import type { Weights } from '../tensor.ts';
import { tanh32 } from './tanh-reference.ts';

const { fround } = Math;

/** The products of one step of one row; `state` is tanh(z). Each has H elements. */
export interface ReferenceStep {
  readonly h_W_h: Float32Array;
  readonly x_W_x: Float32Array;
  readonly z: Float32Array;
  readonly state: Float32Array;
}

/**
 * One step of one row: x W_x and h W_h each summed from 0 in the order k = 0, 1, …, then
 * z = (x W_x + h W_h) + b; every product and every sum is rounded to float32.
 */
export function referenceStep(weights: Weights, x: Float32Array, h: Float32Array): ReferenceStep {
  const { D, H, W_x, W_h, b } = weights;
  const h_W_h = new Float32Array(H);
  const x_W_x = new Float32Array(H);
  const z = new Float32Array(H);
  const state = new Float32Array(H);
  for (let j = 0; j < H; j++) {
    let xSum = 0;
    for (let k = 0; k < D; k++) xSum = fround(xSum + fround(x[k]! * W_x[k * H + j]!));
    let hSum = 0;
    for (let k = 0; k < H; k++) hSum = fround(hSum + fround(h[k]! * W_h[k * H + j]!));
    x_W_x[j] = xSum;
    h_W_h[j] = hSum;
    z[j] = fround(fround(xSum + hSum) + b[j]!);
    state[j] = tanh32(z[j]!);
  }
  return { h_W_h, x_W_x, z, state };
}
