// One step of a mini-batch with pseudo-random numbers: its bodies, and the state that it must give.
import { objectToJson, tensorToJson } from '../../codec/json/print.ts';
import { writeSafetensors } from '../../codec/safetensors/write.ts';
import type { Weights } from '../../tensor.ts';
import { referenceStep } from '../../wasm/reference/step.ts';
import { pseudoRandom } from '../../wasm/pseudo-random.ts';
import { fill, makeWeights } from './pseudo-random-tensors.ts';

export interface StepCase {
  readonly N: number;
  readonly weights: Weights;
  /** (N, D) */
  readonly x: Float32Array;
  /** (N, H) */
  readonly h: Float32Array;
  /** (N, H): the state after the step, by the plain reference. */
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

/** The body of POST /v1/step in JSON, with inline weights or with a registered model. */
export function stepBody(stepCase: StepCase, model?: string): string {
  const { N, weights, x, h } = stepCase;
  return objectToJson({
    model: model === undefined ? undefined : JSON.stringify(model),
    weights: model === undefined ? weightsJson(weights) : undefined,
    x: matrixJson(N, weights.D, x),
    h: matrixJson(N, weights.H, h),
  });
}

/** The body of POST /v1/step as a safetensors file, whose metadata names a registered model. */
export function stepFile({ N, weights, x, h }: StepCase, model: string): Buffer {
  const view = (columns: number, data: Float32Array) => ({
    shape: [N, columns],
    strides: [columns, 1],
    data,
  });
  return writeSafetensors({ x: view(weights.D, x), h: view(weights.H, h) }, { model });
}

/** The body of POST /v1/models in JSON. */
export function modelBody({ weights }: Pick<StepCase, 'weights'>): string {
  return objectToJson({ weights: weightsJson(weights) });
}

function weightsJson({ D, H, W_x, W_h, b }: Weights): string {
  return objectToJson({
    W_x: matrixJson(D, H, W_x),
    W_h: matrixJson(H, H, W_h),
    b: tensorToJson({ shape: [H], strides: [1], data: b }),
  });
}

function matrixJson(rows: number, columns: number, data: Float32Array): string {
  return tensorToJson({ shape: [rows, columns], strides: [columns, 1], data });
}
