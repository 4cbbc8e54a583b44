// Small checkpoints in each name convention, and how an import of them is refused.
import { describe, expect, test } from 'vitest';
import type { SafeTensor } from '../../../src/codec/safetensors/read.ts';
import type { ErrorCode } from '../../../src/error-kinds.ts';
import { CarryoverError } from '../../../src/errors.ts';
import { type ImportOptions, importCheckpoint } from '../../../src/models/import/checkpoint.ts';
import type { LayerSource } from '../../../src/layers.ts';
import type { TensorSource } from '../../../src/tensor.ts';

const product = (shape: readonly number[]) => shape.reduce((count, size) => count * size, 1);

/** Values 0.5, 1.5, 2.5 …: all different, so that a wrong place is seen. */
export function tensor(...shape: number[]): SafeTensor {
  const data = Float32Array.from({ length: product(shape) }, (_, i) => i + 0.5);
  return { dtype: 'F32', shape, data };
}

export const f32 = (shape: number[], ...data: number[]): SafeTensor => ({
  dtype: 'F32',
  shape,
  data: new Float32Array(data),
});

export const f64 = (shape: number[], ...data: number[]): SafeTensor => ({
  dtype: 'F64',
  shape,
  data: new Float64Array(data),
});

export type Tensors = Record<string, SafeTensor>;
export const TANH = { activation: 'tanh' };
export const importOf = (tensors: Tensors, options: ImportOptions = TANH) =>
  importCheckpoint(new Map(Object.entries(tensors)), options);
export const imported = (tensors: Tensors, readout?: string) =>
  shortForm(importOf(tensors, { ...TANH, readout }).layers);
export const numbers = (tensor: ImportedTensor | undefined) => tensor && [...tensor.data];

/** A tensor that was read. */
export interface ImportedTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** A model of one tanh layer, whose tensors were read. */
export interface ImportedModel {
  readonly W_x: ImportedTensor;
  readonly W_h: ImportedTensor;
  readonly b?: ImportedTensor;
  readonly W_y?: ImportedTensor;
  readonly b_y?: ImportedTensor;
}

export function readTensor(source: TensorSource): ImportedTensor {
  const data = new Float32Array(product(source.shape));
  source.copyTo(data);
  return { shape: source.shape, data };
}

/** The layers of one tanh layer, with or without a linear dense layer. */
export function shortForm([rnn, dense, ...more]: readonly LayerSource[]): ImportedModel {
  expect(more).toEqual([]);
  if (rnn?.type !== 'rnn' || (dense && dense.type !== 'dense')) throw new Error('It is not in the short form.');
  expect([rnn.activation, rnn.direction, dense?.activation ?? 'linear']).toEqual(['tanh', 'forward', 'linear']);
  const { W_x, W_h, b, b_h } = rnn.weights;
  expect(b_h).toBeUndefined();
  return {
    W_x: readTensor(W_x),
    W_h: readTensor(W_h),
    ...(b && { b: readTensor(b) }),
    ...(dense && { W_y: readTensor(dense.W) }),
    ...(dense?.b && { b_y: readTensor(dense.b) }),
  };
}

/** D = 2, H = 3, O = 1 in each of the conventions. */
export const ours: Tensors = { W_x: tensor(2, 3), W_h: tensor(3, 3), b: tensor(3) };
export const readout: Tensors = { W_y: tensor(3, 1), b_y: tensor(1) };
export const torch: Tensors = {
  'rnn.weight_ih_l0': tensor(3, 2),
  'rnn.weight_hh_l0': tensor(3, 3),
  'rnn.bias_ih_l0': tensor(3),
  'rnn.bias_hh_l0': tensor(3),
};
export const linear: Tensors = { 'head.weight': tensor(1, 3), 'head.bias': tensor(1) };
export const keras: Tensors = {
  'rnn/cell/kernel': tensor(2, 3),
  'rnn/cell/recurrent_kernel': tensor(3, 3),
  'rnn/cell/bias': tensor(3),
};

export function without(tensors: Tensors, ...names: string[]): Tensors {
  return Object.fromEntries(Object.entries(tensors).filter(([name]) => !names.includes(name)));
}

export function renamed(tensors: Tensors, from: string | RegExp, to: string): Tensors {
  const entries = Object.entries(tensors);
  return Object.fromEntries(entries.map(([name, value]) => [name.replace(from, to), value]));
}

export type Refusal = [why: string, tensors: Tensors, code: ErrorCode, pointer: string, detail: RegExp];

/** A test for each row: the import is refused with the code, the detail and the pointer. */
export function testRefusals(name: string, refusals: readonly Refusal[]): void {
  describe(name, () => {
    test.each(refusals)('refusal: %s', (_, tensors, code, pointer, detail) => {
      const error = refusalOf(tensors);
      expect(error.code).toBe(code);
      expect(error.message).toMatch(detail);
      expect(error.errors[0]).toEqual({ pointer, message: error.message });
    });
  });
}

export function refusalOf(tensors: Tensors): CarryoverError {
  const error = errorOf(() => imported(tensors));
  expect(error).toBeInstanceOf(CarryoverError);
  return error as CarryoverError;
}

/** What `call` throws; undefined if it returns. */
export function errorOf(call: () => unknown): unknown {
  try {
    call();
    return undefined;
  } catch (error) {
    return error;
  }
}
