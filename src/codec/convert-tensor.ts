// Converts the elements of a file or a body to row-major float32: from another dtype, with the first two axes
// exchanged, or with blocks of columns in another order. It works on slices, so that no copy is made that grows with the
// tensor.
import type { RawTensor } from '../tensor.ts';
import { ELEMENT_BYTES, numbersIn } from './dtypes.ts';

/** Elements of a slice; a longer row is a slice of its own. */
const SLICE_ELEMENTS = 65_536;

/**
 * Writes the elements of a tensor (A, B, C) to `target` as row-major float32: as (A, B, C), or as (B, A, C) if
 * `swaps`. The blocks of columns of a matrix are put in order, if `blocks` is not empty.
 *
 * @returns the index in `bytes` of the first element that is no finite float32; -1 if all are. If there is
 *   one, the contents of `target` are undefined.
 */
export function convertTensor(
  { bytes, dtype, sizes, swaps, blocks = [] }: Omit<RawTensor, 'errorAt'>,
  target: Float32Array,
): number {
  const [A, B, C] = sizes;
  const elementBytes = ELEMENT_BYTES[dtype];
  const sliceRows = Math.max(1, Math.floor(SLICE_ELEMENTS / C));
  for (let row = 0; row < A * B; row += sliceRows) {
    const rows = Math.min(sliceRows, A * B - row);
    const start = row * C;
    const slice = bytes.subarray(start * elementBytes, (start + rows * C) * elementBytes);
    const numbers = numbersIn(slice, dtype);
    const notFinite = firstNotFinite(numbers);
    if (notFinite >= 0) return start + notFinite;
    if (!swaps) target.set(numbers, start);
    else if (C === 1) transpose(numbers, row, A, B, target);
    else {
      for (let i = 0; i < rows; i++) {
        const to = swappedRow(row + i, A, B) * C;
        target.set(numbers.subarray(i * C, (i + 1) * C), to);
      }
    }
  }
  if (blocks.length > 0) orderBlocks(target, swaps ? A : B, blocks);
  return -1;
}

/** Puts the blocks of columns of a matrix in order: block j becomes what block blocks[j] was. */
export function orderBlocks<Numbers extends Float32Array | Float64Array>(
  matrix: Numbers,
  columns: number,
  blocks: readonly number[],
): Numbers {
  const width = columns / blocks.length;
  for (let start = 0; start < matrix.length; start += columns) {
    const row = matrix.slice(start, start + columns);
    for (const [j, from] of blocks.entries()) {
      matrix.set(row.subarray(from * width, (from + 1) * width), start + j * width);
    }
  }
  return matrix;
}

/** The index in (B, A) of row a·B + b of (A, B). */
function swappedRow(row: number, A: number, B: number): number {
  return (row % B) * A + Math.floor(row / B);
}

/** Writes the elements of (A, B) from index `first` on to their places in (B, A). */
function transpose(
  numbers: ArrayLike<number>,
  first: number,
  A: number,
  B: number,
  target: Float32Array,
): void {
  let a = Math.floor(first / B);
  let b = first % B;
  for (let i = 0; i < numbers.length; i++) {
    target[b * A + a] = numbers[i]!;
    if (++b === B) {
      b = 0;
      a++;
    }
  }
}

function firstNotFinite(numbers: Float32Array | Float64Array): number {
  // v - v is 0, or NaN if v is not finite, and a sum with NaN in it is NaN: faster than a test of each element.
  const { fround } = Math;
  let zero = 0;
  for (let i = 0; i < numbers.length; i++) zero += fround(numbers[i]!) - fround(numbers[i]!);
  if (zero === 0) return -1;
  return numbers.findIndex((value) => !Number.isFinite(fround(value)));
}
