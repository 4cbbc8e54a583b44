// Elements of a file or a body → float32 where they are used: another dtype, another order of the axes. Some
// thousand elements at a time, so that no copy is made that grows with the tensor.
import type { RawTensor } from '../tensor.ts';
import { ELEMENT_BYTES, numbersIn } from './dtypes.ts';

/** Of a slice; a longer row is a slice of its own. */
const SLICE_ELEMENTS = 65_536;

/**
 * Writes a tensor's elements as float32, row-major, into `target`.
 *
 * @returns where in `bytes` the first element is that is no finite float32, as a number of elements; -1 if
 *   there is none. What stands in `target` behind it is undefined.
 */
export function convertTensor(
  { bytes, dtype, sizes, swaps }: Omit<RawTensor, 'refuse'>,
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
    const bad = firstNotFloat32(numbers);
    if (bad >= 0) return start + bad;
    if (!swaps) target.set(numbers, start);
    else if (C === 1) scatter(numbers, row, A, B, target);
    else {
      for (let i = 0; i < rows; i++) {
        const to = swapped(row + i, A, B) * C;
        target.set(numbers.subarray(i * C, (i + 1) * C), to);
      }
    }
  }
  return -1;
}

/** Where row a·B + b of (A, B) is in (B, A). */
function swapped(row: number, A: number, B: number): number {
  return (row % B) * A + Math.floor(row / B);
}

function scatter(
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

function firstNotFloat32(numbers: Float32Array | Float64Array): number {
  // v - v is 0, or NaN if v is not finite, and NaN stays: a sum is faster than a look at each.
  const { fround } = Math;
  let zero = 0;
  for (let i = 0; i < numbers.length; i++) zero += fround(numbers[i]!) - fround(numbers[i]!);
  if (zero === 0) return -1;
  return numbers.findIndex((value) => !Number.isFinite(fround(value)));
}
