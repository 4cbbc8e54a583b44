// The reference: the recurrence in plain TypeScript, with the kernels' order of additions (kernels/README.md). Tests and
// the self-test at the start compare the kernels with it bit by bit.
import { BLOCK_16_MAX, BLOCK_32_MAX } from '../kernels/layout.ts';
import type { Readout, Weights } from '../tensor.ts';
import { fusedMultiplyAdd } from './fused-multiply-add.ts';
import { isNarrow } from './panels.ts';
import { tanh32 } from './reference/functions.ts';

const { fround } = Math;

/** The products of one step of one row; `state` is tanh(z). Each has H elements. */
export interface ReferenceStep {
  readonly h_W_h: Float32Array;
  readonly x_W_x: Float32Array;
  readonly z: Float32Array;
  readonly state: Float32Array;
}

/** One step of one row: z = (x W_x + h W_h) + b, state = tanh(z). */
export function referenceStep(weights: Weights, x: Float32Array, h: Float32Array): ReferenceStep {
  const { D, H, W_x, W_h, b } = weights;
  const add = isNarrow(D, H) ? addExactProducts : addBlocks;
  const h_W_h = new Float32Array(H);
  const x_W_x = new Float32Array(H);
  const z = new Float32Array(H);
  const state = new Float32Array(H);
  for (let j = 0; j < H; j++) {
    const xSum = add(0, x, D, W_x, j, H);
    // The products of the state are added to the sum of those of the input.
    z[j] = fround(add(xSum, h, H, W_h, j, H) + b[j]!);
    x_W_x[j] = xSum;
    h_W_h[j] = add(0, h, H, W_h, j, H);
    state[j] = tanh32(z[j]!);
  }
  return { h_W_h, x_W_x, z, state };
}

/** y = h W_y + b_y of one row, O elements; always in float32, by blocks. */
export function referenceReadout({ O, W_y, b_y }: Readout, h: Float32Array): Float32Array {
  return Float32Array.from({ length: O }, (_, o) =>
    fround(addBlocks(0, h, h.length, W_y, o, O) + b_y[o]!),
  );
}

/** `start` plus the products a[k] W[k, j] for k = 0 … K-1, added in a certain order. W has H columns. */
type AddProducts = (start: number, a: Float32Array, K: number, W: Float32Array, j: number, H: number) => number;

/** Narrow models: float64, in which the product of two float32 is exact. */
const addExactProducts: AddProducts = (start, a, K, W, j, H) => {
  let sum = start;
  for (let k = 0; k < K; k++) sum += a[k]! * W[k * H + j]!;
  return sum;
};

/** All others: float32, a block of products summed from 0 by fused multiply-adds and then added. */
const addBlocks: AddProducts = (start, a, K, W, j, H) => {
  const size = blockFor(K);
  let sum = start;
  for (let first = 0; first < K; first += size) {
    let block = 0;
    for (let k = first; k < Math.min(K, first + size); k++) {
      block = fusedMultiplyAdd(a[k]!, W[k * H + j]!, block);
    }
    sum = fround(sum + block);
  }
  return sum;
};

/** How many values of k a block of a product over K has. */
function blockFor(K: number): number {
  if (K <= BLOCK_16_MAX) return 16;
  return K <= BLOCK_32_MAX ? 32 : 64;
}
