// Comparisons of results, made before anything is timed: wrong answers are not worth timing.

/** @throws Error naming the first element whose bits differ; NaN equals NaN, and 0 does not equal -0 */
export function expectSameBits(what: string, values: Float32Array, expected: Float32Array): void {
  if (values.length !== expected.length) {
    throw new Error(`${what} has ${values.length} elements, the reference has ${expected.length}.`);
  }
  const wrong = expected.findIndex((value, i) => !Object.is(value, values[i]));
  if (wrong < 0) return;
  throw new Error(`${what}: element ${wrong} is ${values[wrong]}, the reference has ${expected[wrong]}.`);
}

/** @throws Error naming the first element that is not within `tolerance` of `expected`; NaN is never within it */
export function expectNear(what: string, values: Float32Array, expected: Float32Array, tolerance: number): void {
  if (values.length !== expected.length) {
    throw new Error(`${what} has ${values.length} elements, not ${expected.length}.`);
  }
  const wrong = expected.findIndex((value, i) => !(Math.abs(value - values[i]!) <= tolerance));
  if (wrong < 0) return;
  throw new Error(`${what}: element ${wrong} is ${values[wrong]}, not within ${tolerance} of ${expected[wrong]}.`);
}
