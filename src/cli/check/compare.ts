// How far what the service computes is from what a framework computed.
import { type TensorView } from '../../tensor.ts';
import type { ExpectedOutput } from './inputs.ts';

export interface Difference {
  readonly name: string;
  readonly shape: readonly number[];
  /** Of the element that is furthest beyond or nearest to the tolerance. */
  readonly largest: {
    readonly absolute: number;
    /** In units in the last place of the expected value as float32. */
    readonly ulp: number;
    readonly index: readonly number[];
    readonly computed: number;
    readonly expected: number;
  };
  readonly tolerance: number;
  /** How many elements are beyond the tolerance. */
  readonly beyond: number;
  /** Where the first of them is. */
  readonly first?: readonly number[];
}

/**
 * An element is within the tolerance if |computed - expected| <= tolerance max(1, |expected|): states are within ±1, and
 * outputs that are larger have errors that are larger.
 *
 * @param computed of the same shape
 */
export function compare({ name, shape, data }: ExpectedOutput, computed: TensorView, tolerance: number): Difference {
  const values = rowMajor(computed);
  let [worst, worstAt, beyond, firstAt] = [-1, 0, 0, -1];
  for (let i = 0; i < values.length; i++) {
    // NaN, which one of both may be, is beyond every tolerance.
    const error = Object.is(values[i], data[i]) ? 0 : Math.abs(values[i]! - data[i]!) / Math.max(1, Math.abs(data[i]!));
    const isWithin = error <= tolerance;
    if (!isWithin && ++beyond === 1) firstAt = i;
    const rank = Number.isNaN(error) ? Infinity : error;
    if (rank > worst) [worst, worstAt] = [rank, i];
  }
  const [value, expected] = [values[worstAt]!, data[worstAt]!];
  const absolute = Math.abs(value - expected);
  return {
    name,
    shape,
    largest: { absolute, ulp: absolute / ulpOf(expected), index: indexOf(worstAt, shape), computed: value, expected },
    tolerance,
    beyond,
    ...(firstAt >= 0 && { first: indexOf(firstAt, shape) }),
  };
}

/** The distance of float32 numbers at a value: 2^(e - 23) for 2^e <= |value| < 2^(e + 1), at least 2^-149. */
export function ulpOf(value: number): number {
  const magnitude = Math.abs(Math.fround(value));
  if (!Number.isFinite(magnitude)) return NaN;
  const bits = new Uint32Array(Float32Array.of(magnitude).buffer)[0]!;
  return 2 ** (Math.max(1, bits >>> 23) - 150);
}

/** The elements of a view, without its padding. */
function rowMajor({ shape, strides, data }: TensorView): Float32Array {
  const count = shape.reduce((product, size) => product * size, 1);
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    values[i] = data[indexOf(i, shape).reduce((sum, index, axis) => sum + index * strides[axis]!, 0)]!;
  }
  return values;
}

function indexOf(at: number, shape: readonly number[]): number[] {
  let left = at;
  return shape
    .toReversed()
    .map((size) => {
      const index = left % size;
      left = Math.floor(left / size);
      return index;
    })
    .toReversed();
}
