// The two orders in which products are added (kernels/README.md), chosen by how many products an element has: a narrow
// sum in float64, rounded once; a wide one in float32 by fused multiply-adds, in blocks.
import { BLOCK_16_MAX, BLOCK_32_MAX } from '../../kernels/layout.ts';
import { fusedMultiplyAdd } from '../fused-multiply-add.ts';
import { isNarrow } from '../panels.ts';

const { fround } = Math;

/** A matrix, row-major. */
export interface Matrix {
  readonly data: Float32Array;
  readonly columns: number;
}

/** `start` plus the products a[k] W[k, column] for k = 0, 1, …, one for each element of `a`. */
export type AddProducts = (start: number, a: Float32Array, W: Matrix, column: number) => number;

/** @param products of one element: D + H of a recurrent layer, I of a dense layer */
export function additionOf(products: number): AddProducts {
  return isNarrow(products) ? addExactProducts : addBlocks;
}

/** Narrow: float64, in which the product of two float32 is exact. The sum is not rounded to float32. */
const addExactProducts: AddProducts = (start, a, { data, columns }, column) => {
  let sum = start;
  for (let k = 0; k < a.length; k++) sum += a[k]! * data[k * columns + column]!;
  return sum;
};

/** Wide: float32, a block of products summed from 0 by fused multiply-adds and then added. */
const addBlocks: AddProducts = (start, a, { data, columns }, column) => {
  const K = a.length;
  const size = blockFor(K);
  let sum = start;
  for (let first = 0; first < K; first += size) {
    let block = 0;
    for (let k = first; k < Math.min(K, first + size); k++) {
      block = fusedMultiplyAdd(a[k]!, data[k * columns + column]!, block);
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

/** `count` numbers, each rounded to float32. */
export function floats(count: number, numberAt: (j: number) => number): Float32Array {
  const numbers = new Float32Array(count);
  for (let j = 0; j < count; j++) numbers[j] = numberAt(j);
  return numbers;
}
