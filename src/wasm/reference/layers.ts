// One row of the layers without a state.
import type { AffineLayer, DenseLayer, EmbeddingLayer } from '../../layers.ts';
import { fusedMultiplyAdd as fma } from '../fused-multiply-add.ts';
import { relu32 } from './cells.ts';
import { exp32, sigmoid32, tanh32 } from './functions.ts';
import { additionOf, floats } from './products.ts';

const { fround } = Math;

/** @param x one row of the layer's inputs */
export function rowOf(layer: EmbeddingLayer | AffineLayer | DenseLayer, x: Float32Array | Uint32Array): Float32Array {
  switch (layer.type) {
    case 'embedding':
      return embedding(layer, x[0]!);
    case 'affine':
      return affine(layer, x as Float32Array);
    case 'dense':
      return dense(layer, x as Float32Array);
  }
}

/** Row number x of E. */
function embedding({ D, E }: EmbeddingLayer, x: number): Float32Array {
  return E.subarray(x * D, (x + 1) * D);
}

/** x ∘ scale + offset */
function affine({ D, scale, offset }: AffineLayer, x: Float32Array): Float32Array {
  return floats(D, (j) => fma(x[j]!, scale[j]!, offset[j]!));
}

/** activation(x W + b) */
function dense({ I, O, W, b, activation }: DenseLayer, x: Float32Array): Float32Array {
  const add = additionOf(I);
  const z = floats(O, (o) => add(0, x, { data: W, columns: O }, o) + b[o]!);
  switch (activation) {
    case 'linear':
      return z;
    case 'relu':
      return z.map(relu32);
    case 'tanh':
      return z.map(tanh32);
    case 'sigmoid':
      return z.map(sigmoid32);
    case 'softmax':
      return softmax(z);
  }
}

/**
 * y_j = exp(z_j - m) / Σ exp(z_k - m), m = max z_k. Lane l of a vector of 8 numbers sums those with k ≡ l modulo 8, in
 * ascending order; lanes l and l + 4 are added, then l and l + 2, then both sums.
 */
function softmax(z: Float32Array): Float32Array {
  const m = z.reduce((max, z_j) => Math.max(max, z_j), -Infinity);
  const e = z.map((z_j) => exp32(fround(z_j - m)));
  const lanes = new Float32Array(8);
  for (const [k, e_k] of e.entries()) lanes[k % 8]! += e_k;
  const fours = floats(4, (l) => lanes[l]! + lanes[l + 4]!);
  const twos = floats(2, (l) => fours[l]! + fours[l + 2]!);
  const sum = fround(twos[0]! + twos[1]!);
  return e.map((e_j) => e_j / sum);
}
