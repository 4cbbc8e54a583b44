// One step of a mini-batch with made-up numbers, and the answer that it must have.
import { objectToJson, tensorToJson } from '../src/codec/json-write.ts';
import type { Weights } from '../src/tensor.ts';
import { referenceStep } from '../src/wasm/reference.ts';
import { pseudoRandom } from '../src/wasm/pseudo-random.ts';
import { fill, makeWeights } from './made-up.ts';

export interface StepCase {
  readonly N: number;
  readonly weights: Weights;
  /** (N, D) */
  readonly x: Float32Array;
  /** (N, H) */
  readonly h: Float32Array;
  /** (N, H): the state after the step, from the plain reference. */
  readonly expected: Float32Array;
}

export function makeStepCase({ N, D, H }: { N: number; D: number; H: number }): StepCase {
  const random = pseudoRandom(N * 1_000_003 + D * 1_009 + H);
  const weights = makeWeights(random, D, H);
  const x = fill(random, N * D, 1);
  const h = fill(random, N * H, 1);
  const expected = new Float32Array(N * H);
  for (let n = 0; n < N; n++) {
    const xRow = x.subarray(n * D, (n + 1) * D);
    const hRow = h.subarray(n * H, (n + 1) * H);
    expected.set(referenceStep(weights, xRow, hRow).state, n * H);
  }
  return { N, weights, x, h, expected };
}

/** The body of POST /v1/step, weights inline. */
export function stepBody({ N, weights: { D, H, W_x, W_h, b }, x, h }: StepCase): string {
  const matrix = (rows: number, columns: number, data: Float32Array) =>
    tensorToJson({ shape: [rows, columns], strides: [columns, 1], data });
  return objectToJson({
    weights: objectToJson({
      W_x: matrix(D, H, W_x),
      W_h: matrix(H, H, W_h),
      b: tensorToJson({ shape: [H], strides: [1], data: b }),
    }),
    x: matrix(N, D, x),
    h: matrix(N, H, h),
  });
}

/** @throws Error unless `h` has the bits of the reference: wrong answers are not worth timing */
export function expectRightBits(what: string, { expected }: StepCase, h: Float32Array): void {
  const wrong = expected.findIndex((value, i) => !Object.is(value, h[i]));
  if (wrong < 0 && h.length === expected.length) return;
  throw new Error(
    `${what}: element ${wrong} of h is ${h[wrong]}, the reference has ${expected[wrong]}.`,
  );
}
