// Comparisons of the demo's numbers.

export function sameBits(a: Float32Array, b: Float32Array): boolean {
  return a.length === b.length && a.every((value, i) => Object.is(value, b[i]));
}

/** NaN if the lengths differ or an element is NaN, so that a comparison with a limit fails. */
export function maxAbsError(values: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (values.length !== expected.length) return NaN;
  let error = 0;
  for (let i = 0; i < values.length; i++) {
    error = Math.max(error, Math.abs(values[i]! - expected[i]!));
  }
  return error;
}

/** As maxAbsError(), each difference divided by the expected number where that is above 1. */
export function maxError(values: ArrayLike<number>, expected: ArrayLike<number>): number {
  const scaled = (numbers: ArrayLike<number>) =>
    Array.from(numbers, (value, i) => value / Math.max(1, Math.abs(expected[i]!)));
  return maxAbsError(scaled(values), scaled(expected));
}

/** Root mean square of the differences of two series. */
export function rmse(forecast: readonly number[], observed: readonly number[]): number {
  const squares = observed.reduce((sum, value, i) => sum + (forecast[i]! - value) ** 2, 0);
  return Math.sqrt(squares / observed.length);
}
