import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readModel } from '../../load/demo/model.ts';
import { type SafeTensor, readSafetensors } from '../../src/codec/safetensors/read.ts';
import type { ErrorCode } from '../../src/error-kinds.ts';
import { CarryoverError } from '../../src/errors.ts';
import type { ImportedModel, ImportedTensor } from '../../src/models/import/layer.ts';
import { type ImportOptions, importCheckpoint } from '../../src/models/import/checkpoint.ts';
import { readModelFile } from '../../src/models/model-file.ts';
import { writeSafetensors } from '../helpers/safetensors.ts';
import { fc } from '../helpers/seed.ts';

const sunspots = readFileSync(join(import.meta.dirname, '../fixtures/demo/sunspots.safetensors'));

const product = (shape: readonly number[]) => shape.reduce((count, size) => count * size, 1);

/** 0.5, 1.5, 2.5 …: no two alike, so that a wrong place shows. */
function tensor(...shape: number[]): SafeTensor {
  const data = Float32Array.from({ length: product(shape) }, (_, i) => i + 0.5);
  return { dtype: 'F32', shape, data };
}

const f32 = (shape: number[], ...data: number[]): SafeTensor => ({
  dtype: 'F32',
  shape,
  data: new Float32Array(data),
});

const f64 = (shape: number[], ...data: number[]): SafeTensor => ({
  dtype: 'F64',
  shape,
  data: new Float64Array(data),
});

type Tensors = Record<string, SafeTensor>;
const TANH = { activation: 'tanh' };
const importOf = (tensors: Tensors, said: ImportOptions = TANH) =>
  importCheckpoint(new Map(Object.entries(tensors)), said);
const imported = (tensors: Tensors, readout?: string) =>
  importOf(tensors, { ...TANH, readout }).model;
const numbers = (tensor: ImportedTensor | undefined) => tensor && [...tensor.data];

/** D = 2, H = 3, O = 1 in each of the conventions. */
const ours: Tensors = { W_x: tensor(2, 3), W_h: tensor(3, 3), b: tensor(3) };
const readout: Tensors = { W_y: tensor(3, 1), b_y: tensor(1) };
const torch: Tensors = {
  'rnn.weight_ih_l0': tensor(3, 2),
  'rnn.weight_hh_l0': tensor(3, 3),
  'rnn.bias_ih_l0': tensor(3),
  'rnn.bias_hh_l0': tensor(3),
};
const linear: Tensors = { 'head.weight': tensor(1, 3), 'head.bias': tensor(1) };
const keras: Tensors = {
  'rnn/cell/kernel': tensor(2, 3),
  'rnn/cell/recurrent_kernel': tensor(3, 3),
  'rnn/cell/bias': tensor(3),
};

function without(tensors: Tensors, ...names: string[]): Tensors {
  return Object.fromEntries(Object.entries(tensors).filter(([name]) => !names.includes(name)));
}

function renamed(tensors: Tensors, from: string | RegExp, to: string): Tensors {
  const entries = Object.entries(tensors);
  return Object.fromEntries(entries.map(([name, value]) => [name.replace(from, to), value]));
}

describe('names of ours', () => {
  test('are taken as they are', () => {
    const model = imported({ ...ours, ...readout });
    expect(Object.keys(model)).toEqual(['W_x', 'W_h', 'b', 'W_y', 'b_y']);
    expect(model.W_x.shape).toEqual([2, 3]);
    expect(numbers(model.W_x)).toEqual([0.5, 1.5, 2.5, 3.5, 4.5, 5.5]);
    expect(model.W_h).toEqual({ shape: [3, 3], data: ours.W_h!.data });
    expect(model.W_y).toEqual({ shape: [3, 1], data: new Float32Array([0.5, 1.5, 2.5]) });
    expect(model.b_y).toEqual({ shape: [1], data: new Float32Array([0.5]) });
  });

  test('may have a bias of (1, H), or none, and no readout', () => {
    expect(imported({ ...ours, b: tensor(1, 3) }).b).toEqual({ shape: [3], data: ours.b!.data });
    expect(Object.keys(imported(without(ours, 'b')))).toEqual(['W_x', 'W_h']);
    const withoutB_y = imported({ ...ours, W_y: tensor(3, 2) });
    expect(Object.keys(withoutB_y)).toEqual(['W_x', 'W_h', 'b', 'W_y']);
  });
});

describe('names of torch', () => {
  test('are transposed and their biases are one', () => {
    const model = imported({ ...torch, ...linear });
    expect(model.W_x.shape).toEqual([2, 3]);
    expect(numbers(model.W_x)).toEqual([0.5, 2.5, 4.5, 1.5, 3.5, 5.5]);
    expect(numbers(model.W_h)).toEqual([0.5, 3.5, 6.5, 1.5, 4.5, 7.5, 2.5, 5.5, 8.5]);
    expect(model.b).toEqual({ shape: [3], data: new Float32Array([1, 3, 5]) });
    expect(model.W_y).toEqual({ shape: [3, 1], data: new Float32Array([0.5, 1.5, 2.5]) });
    expect(model.b_y).toEqual({ shape: [1], data: new Float32Array([0.5]) });
  });

  test('give the z that torch computes where a forgotten transpose would fit as well', () => {
    const { W_x, W_h } = imported({
      weight_ih_l0: f32([2, 2], 0.25, 0.5, 0.75, 1),
      weight_hh_l0: f32([2, 2], 0.5, -0.75, 0.25, 2),
    });
    const z = (j: number) => {
      const sum = (v: number[], W: ImportedTensor) => v[0]! * W.data[j]! + v[1]! * W.data[2 + j]!;
      return sum([1, 2], W_x) + sum([0.5, -1], W_h);
    };
    // W_ih x = (1.25, 2.75), W_hh h = (1, -1.875). Not transposed: (2.5, 0.375).
    expect([z(0), z(1)]).toEqual([2.25, 0.875]);
  });

  test.each(['', 'rnn.', 'model.encoder.rnn.', 'a/b~c.', 'x_'])('may stand behind %j', (prefix) => {
    expect(imported(renamed({ ...torch, ...linear }, 'rnn.', prefix))).toEqual(
      imported({ ...torch, ...linear }),
    );
  });

  test('may have no bias, a Linear without one, and a Linear of any name that is said', () => {
    const withoutBias = without(torch, 'rnn.bias_ih_l0', 'rnn.bias_hh_l0');
    const model = imported({ ...withoutBias, 'out.fc.2.weight': tensor(4, 3) }, 'out.fc.2');
    expect(Object.keys(model)).toEqual(['W_x', 'W_h', 'W_y']);
    expect(model.W_y!.shape).toEqual([3, 4]);
  });

  test('have biases that are added in float64, then rounded', () => {
    const biases = (make: typeof f32, a: number, b: number) =>
      imported({
        weight_ih_l0: tensor(1, 1),
        weight_hh_l0: tensor(1, 1),
        bias_ih_l0: make([1], a),
        bias_hh_l0: make([1], b),
      }).b!.data[0];
    // Half a unit above 1 twice: rounded first, both would be lost.
    expect(biases(f64, 1 + 2 ** -24, 2 ** -24)).toBe(1 + 2 ** -23);
    expect(biases(f32, 1, 2 ** -24)).toBe(1);
    expect(biases(f32, -0, -0)).toBe(-0);
  });
});

describe('names of an RNNCell of torch', () => {
  test.each(['cell.', ''])('mean what those of layer 0 mean, behind %j', (prefix) => {
    const cell = renamed(renamed(torch, '_l0', ''), 'rnn.', prefix);
    expect(Object.keys(cell)[0]).toBe(`${prefix}weight_ih`);
    expect(imported({ ...cell, ...linear })).toEqual(imported({ ...torch, ...linear }));
  });
});

describe('names of Keras', () => {
  test('are taken as they are', () => {
    expect(imported(keras)).toEqual(imported(ours));
  });

  const paths = ['', 'simple_rnn/simple_rnn_cell/', 'layers.0.cell.'];
  test.each(paths)('may stand behind %j', (path) => {
    expect(imported(renamed(keras, 'rnn/cell/', path))).toEqual(imported(ours));
  });

  test('may end in :0, as Keras 2 has them', () => {
    expect(imported(renamed(keras, /$/, ':0'))).toEqual(imported(ours));
  });

  test('may be numbers, as Keras 3 has them, with the Dense that is said', () => {
    const numbered: Tensors = {
      'layers/simple_rnn/cell/vars/0': tensor(2, 3),
      'layers/simple_rnn/cell/vars/1': tensor(3, 3),
      'layers/simple_rnn/cell/vars/2': tensor(3),
    };
    expect(imported(numbered)).toEqual(imported(ours));
    const dense = { 'layers/dense/vars/0': tensor(3, 1), 'layers/dense/vars/1': tensor(1) };
    const expected = imported({ ...ours, ...readout });
    expect(imported({ ...numbered, ...dense }, 'layers/dense')).toEqual(expected);
  });

  test.each(['dense/kernel', 'dense/kernel:0', 'dense.kernel'])('may have a readout %s', (name) => {
    const dense = { [name]: tensor(3, 1), [name.replace('kernel', 'bias')]: tensor(1) };
    expect(imported({ ...keras, ...dense }, 'dense')).toEqual(imported({ ...ours, ...readout }));
  });

  test('may have no bias', () => {
    expect(Object.keys(imported(without(keras, 'rnn/cell/bias')))).toEqual(['W_x', 'W_h']);
  });
});

describe('values', () => {
  test('of float64 are rounded to float32', () => {
    const model = imported({ W_x: f64([1, 2], 0.1, 1e-60), W_h: f64([2, 2], 1, 2, 3, -0) });
    expect(model.W_x.data).toEqual(new Float32Array([0.1, 0]));
    expect(model.W_h.data).toEqual(new Float32Array([1, 2, 3, -0]));
  });

  test('just below the end of float32 are rounded down, at the end they are refused', () => {
    const largest = 2 ** 128 - 2 ** 104;
    const end = 2 ** 128 - 2 ** 103;
    const below = end - 2 ** 75;
    expect(numbers(imported({ ...ours, b: f64([3], largest, below, -below) }).b)).toEqual([
      largest, largest, -largest,
    ]);
    expect(refusalOf({ ...ours, b: f64([3], 0, 0, end) }).code).toBe('out_of_range');
    expect(refusalOf({ ...ours, b: f64([3], 0, 0, -end) }).code).toBe('out_of_range');
  });
});

type Refusal = [why: string, tensors: Tensors, code: ErrorCode, pointer: string, detail: RegExp];

const REFUSALS: readonly Refusal[] = [
  [
    'names that are nobody\'s',
    { foo: tensor(1), 'bar.bias': tensor(1) },
    'unknown_tensors',
    '/foo',
    /^The file has the tensors "foo", "bar\.bias", expected W_x, W_h, .* \(ours\); or .*\(torch\)/,
  ],
  [
    'names that only resemble',
    { w_x: tensor(2, 3), W_hh: tensor(3, 3), weight_i: tensor(1), my_kernel: tensor(1) },
    'unknown_tensors',
    '/w_x',
    /^The file has the tensors "w_x", "W_hh", "weight_i", "my_kernel", expected/,
  ],
  [
    'two conventions',
    { W_x: tensor(2, 3), ...torch },
    'unknown_tensors',
    '/W_x',
    /mixes names: "W_x" \(ours\) and "rnn\.weight_ih_l0" \(torch\), expected one of/,
  ],
  [
    'three conventions',
    { ...ours, ...torch, ...keras },
    'unknown_tensors',
    '/W_x',
    /"W_x" \(ours\) and "rnn\.weight_ih_l0" \(torch\) and "rnn\/cell\/kernel" \(Keras\)/,
  ],
  [
    'a second layer of torch',
    { ...torch, 'rnn.weight_ih_l1': tensor(3, 3), 'rnn.weight_hh_l1': tensor(3, 3) },
    'unknown_tensors',
    '/rnn.weight_ih_l1',
    /"rnn\.weight_ih_l1" is of another layer or direction, .* in one direction is supported/,
  ],
  [
    'only a second layer of torch',
    renamed(torch, '_l0', '_l1'),
    'unknown_tensors',
    '/rnn.weight_ih_l1',
    /expected only names that end in _l0: one tanh RNN layer/,
  ],
  [
    'a backward direction',
    { ...torch, ...renamed(torch, '_l0', '_l0_reverse') },
    'unknown_tensors',
    '/rnn.weight_ih_l0_reverse',
    /"rnn\.weight_ih_l0_reverse" is of another layer or direction/,
  ],
  [
    'two modules of torch',
    { ...torch, ...renamed(torch, 'rnn.', 'decoder.') },
    'unknown_tensors',
    '/decoder.weight_ih_l0',
    /expected only names that begin as "rnn\.weight_ih_l0" does: one tanh RNN layer/,
  ],
  [
    'two layers of Keras',
    { ...keras, ...renamed(keras, 'rnn/', 'rnn_1/') },
    'unknown_tensors',
    '/rnn_1~1cell~1recurrent_kernel',
    /"rnn_1\/cell\/recurrent_kernel" is of another layer/,
  ],
  [
    'no W_x',
    without(ours, 'W_x'),
    'unknown_tensors',
    '/W_x',
    /^Tensor "W_x" is missing: a layer has both W_x and W_h\. The file has "W_h", "b"\.$/,
  ],
  ['no W_h', without(ours, 'W_h'), 'unknown_tensors', '/W_h', /"W_h" is missing/],
  ['a bias alone', { b: tensor(3) }, 'unknown_tensors', '/W_x', /"W_x" is missing.* has "b"/],
  [
    'b_y without W_y',
    { ...ours, b_y: tensor(1) },
    'unknown_tensors',
    '/W_y',
    /"W_y" is missing: b_y needs it/,
  ],
  [
    'no weight_hh_l0',
    without(torch, 'rnn.weight_hh_l0'),
    'unknown_tensors',
    '/rnn.weight_hh_l0',
    /"rnn\.weight_hh_l0" is missing: a torch RNN has both/,
  ],
  [
    'no weight_ih_l0',
    without(torch, 'rnn.weight_ih_l0'),
    'unknown_tensors',
    '/rnn.weight_ih_l0',
    /"rnn\.weight_ih_l0" is missing/,
  ],
  [
    'one bias of two',
    without(torch, 'rnn.bias_ih_l0'),
    'unknown_tensors',
    '/rnn.bias_ih_l0',
    /"rnn\.bias_ih_l0" is missing: a torch RNN has both biases or none/,
  ],
  [
    'the other bias of two',
    without(torch, 'rnn.bias_hh_l0'),
    'unknown_tensors',
    '/rnn.bias_hh_l0',
    /"rnn\.bias_hh_l0" is missing/,
  ],
  [
    'the bias of a Linear without its weight',
    { ...torch, 'head.bias': tensor(1) },
    'unknown_tensors',
    '/head.weight',
    /"head\.weight" is missing: the bias of a Linear needs it/,
  ],
  [
    'no kernel',
    without(keras, 'rnn/cell/kernel'),
    'unknown_tensors',
    '/rnn~1cell~1kernel',
    /"rnn\/cell\/kernel" is missing/,
  ],
  [
    'no recurrent_kernel',
    { 'd/kernel': tensor(2, 3), 'd/bias': tensor(3), 'e/kernel': tensor(3, 1) },
    'unknown_tensors',
    '/d~1recurrent_kernel',
    /"d\/recurrent_kernel" is missing: a Keras SimpleRNN has both/,
  ],
  [
    'a tensor beside ours',
    { ...ours, 'a/b~c': tensor(1) },
    'unknown_tensors',
    '/a~1b~0c',
    /^The file also has "a\/b~c", expected nothing beside W_x, W_h, b, W_y and b_y\.$/,
  ],
  [
    'a tensor beside those of torch',
    { ...torch, ...linear, 'rnn.weight_hr_l0': tensor(1) },
    'unknown_tensors',
    '/rnn.weight_hr_l0',
    /also has "rnn\.weight_hr_l0", expected nothing beside .* at most one Linear/,
  ],
  [
    'a second Linear',
    { ...torch, ...linear, 'more.weight': tensor(1, 1), 'more.bias': tensor(1) },
    'unknown_tensors',
    '/more.weight',
    /also has "more\.weight", "more\.bias", expected .* at most one Linear/,
  ],
  [
    'a Linear without a name of its own',
    { ...torch, weight: tensor(1, 3) },
    'unknown_tensors',
    '/weight',
    /also has "weight"/,
  ],
  [
    'a Dense layer',
    { 'd/kernel': tensor(3, 1), 'd/bias': tensor(1), ...keras },
    'unknown_tensors',
    '/d~1kernel',
    /also has "d\/kernel", "d\/bias", expected nothing beside kernel, .* add \?readout=d to/,
  ],
  [
    'the bias of another layer of Keras',
    { ...without(keras, 'rnn/cell/bias'), 'd/bias': tensor(3) },
    'unknown_tensors',
    '/d~1bias',
    /also has "d\/bias"/,
  ],
  [
    'W_x as a vector',
    { ...ours, W_x: tensor(6) },
    'shape_mismatch',
    '/W_x',
    /^Tensor "W_x" has shape \(6,\), expected a matrix, \(D, H\)\.$/,
  ],
  [
    'W_h as a cube',
    { ...ours, W_h: tensor(1, 3, 3) },
    'shape_mismatch',
    '/W_h',
    /"W_h" has shape \(1, 3, 3\), expected a matrix, \(H, H\)/,
  ],
  [
    'b as a single number',
    { ...ours, b: tensor() },
    'shape_mismatch',
    '/b',
    /"b" has shape \(\), expected a vector, \(H,\)/,
  ],
  [
    'b as a column',
    { ...ours, b: tensor(3, 1) },
    'shape_mismatch',
    '/b',
    /"b" has shape \(3, 1\), expected \(1, 3\), because a bias is one row/,
  ],
  [
    'a bias of torch as a row',
    { ...torch, 'rnn.bias_hh_l0': tensor(1, 3) },
    'shape_mismatch',
    '/rnn.bias_hh_l0',
    /"rnn\.bias_hh_l0" has shape \(1, 3\), expected a vector/,
  ],
  [
    'W_x that is transposed',
    { ...ours, W_x: tensor(3, 2) },
    'shape_mismatch',
    '/W_h',
    /"W_h" has shape \(3, 3\), expected \(2, 2\), because "W_x" \(D, H\) = \(3, 2\) makes H = 2\.$/,
  ],
  [
    'W_h that is not square',
    { ...ours, W_h: tensor(3, 4) },
    'shape_mismatch',
    '/W_h',
    /"W_h" has shape \(3, 4\), expected \(3, 3\)/,
  ],
  [
    'weight_hh_l0 that does not agree',
    { ...torch, 'rnn.weight_hh_l0': tensor(4, 4) },
    'shape_mismatch',
    '/rnn.weight_hh_l0',
    /expected \(3, 3\), because "rnn\.weight_ih_l0" \(H, D\) = \(3, 2\) makes H = 3/,
  ],
  [
    'recurrent_kernel that does not agree',
    { ...keras, 'rnn/cell/recurrent_kernel': tensor(2, 2) },
    'shape_mismatch',
    '/rnn~1cell~1recurrent_kernel',
    /expected \(3, 3\), because "rnn\/cell\/kernel" \(D, H\) = \(2, 3\) makes H = 3/,
  ],
  [
    'a bias that does not agree',
    { ...ours, b: tensor(2) },
    'shape_mismatch',
    '/b',
    /"b" has shape \(2,\), expected \(3,\), because "W_x" .* makes H = 3/,
  ],
  [
    'a second bias that does not agree',
    { ...torch, 'rnn.bias_hh_l0': tensor(1) },
    'shape_mismatch',
    '/rnn.bias_hh_l0',
    /"rnn\.bias_hh_l0" has shape \(1,\), expected \(3,\)/,
  ],
  [
    'W_y that does not agree',
    { ...ours, W_y: tensor(2, 3) },
    'shape_mismatch',
    '/W_y',
    /"W_y" has shape \(2, 3\), expected \(3, O\), because "W_x" .* makes H = 3/,
  ],
  [
    'b_y that does not agree',
    { ...ours, ...readout, b_y: tensor(2) },
    'shape_mismatch',
    '/b_y',
    /"b_y" has shape \(2,\), expected \(1,\), because "W_y" \(H, O\) = \(3, 1\) makes O = 1/,
  ],
  [
    'a Linear that is transposed',
    { ...torch, 'head.weight': tensor(3, 1) },
    'shape_mismatch',
    '/head.weight',
    /"head\.weight" has shape \(3, 1\), expected \(O, 3\)/,
  ],
  [
    'a norm in place of a Linear',
    { ...torch, 'norm.weight': tensor(3), 'norm.bias': tensor(3) },
    'unknown_tensors',
    '/norm.weight',
    /"norm\.weight" is of a normalisation, which is not computed/,
  ],
  [
    'a projection in front that has the shape of a readout',
    { ...torch, 'proj.weight': tensor(2, 3), 'proj.bias': tensor(2) },
    'unknown_tensors',
    '/proj.weight',
    /also has "proj\.weight", "proj\.bias", expected .* certainly the readout.* add \?readout=proj to/,
  ],
  [
    'a Linear with a name that tells nothing',
    { ...torch, 'fc.weight': tensor(1, 3), 'fc.bias': tensor(1) },
    'unknown_tensors',
    '/fc.weight',
    /If "fc\.weight" is of the Linear that computes y from h, say so: add \?readout=fc to/,
  ],
  [
    'an embedding that has the shape of a readout',
    { ...torch, 'embedding.weight': tensor(7, 3) },
    'unknown_tensors',
    '/embedding.weight',
    /"embedding\.weight" is of an embedding, .* look up its rows before the call/,
  ],
  [
    'an attention layer',
    { ...torch, 'attention.out.weight': tensor(3, 3), 'attention.out.bias': tensor(3) },
    'unknown_tensors',
    '/attention.out.weight',
    /"attention\.out\.weight" is of an attention layer/,
  ],
  [
    'a readout of another module',
    { ...torch, 'critic.head.weight': tensor(1, 3) },
    'unknown_tensors',
    '/critic.head.weight',
    /add \?readout=critic\.head to/,
  ],
  [
    'two readouts',
    { ...torch, ...linear, 'out.weight': tensor(1, 3), 'out.bias': tensor(1) },
    'unknown_tensors',
    '/head.weight',
    /also has "head\.weight", "head\.bias", "out\.weight", "out\.bias"/,
  ],
  [
    'a batch normalisation',
    { ...torch, 'bn.weight': tensor(3), 'bn.bias': tensor(3), 'bn.running_mean': tensor(3) },
    'unknown_tensors',
    '/bn.weight',
    /"bn\.running_mean" is of a batch normalisation, .* fold it/,
  ],
  [
    'weight_norm, as torch had it',
    {
      ...without(torch, 'rnn.weight_hh_l0'),
      'rnn.weight_hh_l0_g': tensor(3, 1),
      'rnn.weight_hh_l0_v': tensor(3, 3),
    },
    'unknown_tensors',
    '/rnn.weight_hh_l0',
    /"rnn\.weight_hh_l0_g" is a part .* torch\.nn\.utils\.remove_weight_norm\(module, "weight_hh_l0"\)/,
  ],
  [
    'weight_norm of a Linear',
    { ...torch, 'head.weight_g': tensor(1, 1), 'head.weight_v': tensor(1, 3) },
    'unknown_tensors',
    '/head.weight_g',
    /"head\.weight_g" is a part .* torch\.nn\.utils\.remove_weight_norm\(module, "weight"\)/,
  ],
  [
    'weight_norm, as torch has it',
    { 'rnn.parametrizations.weight_hh_l0.original0': tensor(3, 1) },
    'unknown_tensors',
    '/rnn.parametrizations.weight_hh_l0.original0',
    /torch\.nn\.utils\.parametrize\.remove_parametrizations\(module, "weight_hh_l0"\)/,
  ],
  [
    'two spellings of one tensor',
    { ...keras, 'rnn/cell/kernel:0': tensor(2, 3) },
    'unknown_tensors',
    '/rnn~1cell~1kernel',
    /"rnn\/cell\/kernel", "rnn\/cell\/kernel:0" have the same meaning, expected one/,
  ],
  [
    'a biased Keras file without kernels',
    { 'rnn/cell/vars/2': tensor(3) },
    'unknown_tensors',
    '/kernel',
    /"kernel" is missing: a Keras SimpleRNN has both/,
  ],
  [
    'the bias of a Linear that does not agree',
    { ...torch, ...linear, 'head.bias': tensor(3) },
    'shape_mismatch',
    '/head.bias',
    /"head\.bias" has shape \(3,\), expected \(1,\), because "head\.weight" .* makes O = 1/,
  ],
  [
    'no inputs',
    { W_x: tensor(0, 3), W_h: tensor(3, 3) },
    'shape_mismatch',
    '/W_x',
    /"W_x" has shape \(0, 3\), expected at least 1 along each axis/,
  ],
  [
    'no hidden units',
    { weight_ih_l0: tensor(0, 2), weight_hh_l0: tensor(0, 0) },
    'shape_mismatch',
    '/weight_ih_l0',
    /"weight_ih_l0" has shape \(0, 2\), expected at least 1/,
  ],
  [
    'an LSTM of torch',
    { weight_ih_l0: tensor(12, 2), weight_hh_l0: tensor(12, 3) },
    'shape_mismatch',
    '/weight_ih_l0',
    /\(12, 2\) and "weight_hh_l0" \(12, 3\), which looks like an LSTM \(4H\) of H = 3, .*tanh/,
  ],
  [
    'a GRU of torch',
    { weight_ih_l0: tensor(9, 2), weight_hh_l0: tensor(9, 3), ...linear },
    'shape_mismatch',
    '/weight_ih_l0',
    /looks like a GRU \(3H\) of H = 3, .*only tanh RNN layers are supported/,
  ],
  [
    'a GRU of torch, whatever else the file has',
    { weight_ih_l0: tensor(9, 2), weight_hh_l0: tensor(9, 3), 'fc.weight': tensor(1, 3) },
    'shape_mismatch',
    '/weight_ih_l0',
    /looks like a GRU \(3H\) of H = 3/,
  ],
  [
    'an LSTM of Keras',
    { kernel: tensor(2, 12), recurrent_kernel: tensor(3, 12), bias: tensor(12) },
    'shape_mismatch',
    '/kernel',
    /looks like an LSTM \(4H\) of H = 3/,
  ],
  [
    'a GRU of Keras, which has two rows of biases',
    { kernel: tensor(2, 9), recurrent_kernel: tensor(3, 9), bias: tensor(2, 9) },
    'shape_mismatch',
    '/kernel',
    /looks like a GRU \(3H\) of H = 3/,
  ],
  [
    'NaN',
    { ...ours, W_x: f32([2, 3], 0, 0, 0, 0, 0, NaN) },
    'out_of_range',
    '/W_x',
    /^Tensor "W_x" is NaN at \[1, 2\], expected a finite float32/,
  ],
  [
    'infinity, at its place in the file',
    { ...torch, 'rnn.weight_ih_l0': f32([3, 2], 0, 0, 0, 0, -Infinity, 0) },
    'out_of_range',
    '/rnn.weight_ih_l0',
    /"rnn\.weight_ih_l0" is -Infinity at \[2, 0\]/,
  ],
  [
    'a float64 beyond float32',
    { ...keras, 'rnn/cell/bias': f64([3], 0, 1e39, 0) },
    'out_of_range',
    '/rnn~1cell~1bias',
    /"rnn\/cell\/bias" is 1e\+39 at \[1\], .* largest magnitude is 3\.4028235e38/,
  ],
  [
    'an infinite b_y',
    { ...ours, ...readout, b_y: f32([1], Infinity) },
    'out_of_range',
    '/b_y',
    /"b_y" is Infinity at \[0\]/,
  ],
  [
    'biases beyond float32 whose sum is not',
    { ...torch, 'rnn.bias_ih_l0': f64([3], 0, 0, 1e39), 'rnn.bias_hh_l0': f64([3], 0, 0, -1e39) },
    'out_of_range',
    '/rnn.bias_ih_l0',
    /"rnn\.bias_ih_l0" is 1e\+39 at \[2\]/,
  ],
  [
    'biases whose sum is beyond float32',
    { ...torch, 'rnn.bias_ih_l0': f64([3], 0, 3e38, 0), 'rnn.bias_hh_l0': f64([3], 0, 3e38, 0) },
    'out_of_range',
    '/rnn.bias_ih_l0',
    /sum of tensors "rnn\.bias_ih_l0", "rnn\.bias_hh_l0" is 6e\+38 at \[1\]/,
  ],
];

describe('what names cannot tell', () => {
  const refused = (tensors: Tensors, said: ImportOptions) =>
    errorOf(() => importOf(tensors, said)) as CarryoverError;

  test.each([
    ['torch', torch],
    ['an RNNCell', renamed(torch, '_l0', '')],
    ['Keras', keras],
  ])('is the activation of %s: it must be confirmed', (_, tensors) => {
    const error = refused(tensors, {});
    expect(error).toMatchObject({ code: 'activation_unconfirmed' });
    expect(error.message).toMatch(/with tanh and with relu.*\?activation=tanh .*"activation": "tanh"/);
    expect(importOf(tensors, TANH).model).toEqual(imported(tensors));
  });

  test('is told by our names: tanh, confirmed or not', () => {
    expect(importOf(ours, {})).toEqual(importOf(ours, TANH));
  });

  test.each([['ours', ours], ['torch', torch], ['Keras', keras]])(
    'may be said to be relu, which is refused: %s',
    (_, tensors) => {
      const error = refused(tensors, { activation: 'relu' });
      expect(error).toMatchObject({ code: 'activation_unsupported' });
      expect(error.message).toMatch(/said to be "relu", expected "tanh"/);
    },
  );

  test('is not asked for where the layer is no RNN', () => {
    const lstm = { weight_ih_l0: tensor(12, 2), weight_hh_l0: tensor(12, 3) };
    expect(refused(lstm, {}).message).toMatch(/looks like an LSTM/);
  });

  test('is the readout, which is taken as it is said, and nothing else for it', () => {
    const two = { ...torch, ...linear, 'fc.weight': tensor(1, 3) };
    expect(refused(two, { ...TANH, readout: 'fc' }).message).toMatch(/also has "head\.weight"/);
    expect(refused(torch, { ...TANH, readout: 'fc' }).message).toMatch(
      /^Tensor "fc\.weight" is missing: the readout is said to be "fc"/,
    );
    expect(refused(keras, { ...TANH, readout: 'dense' }).message).toMatch(
      /^Tensor "dense\/kernel" is missing: the readout is said to be "dense"/,
    );
    expect(refused(ours, { readout: 'fc' }).message).toMatch(/these names tell it/);
  });

  test('is told with what was taken for what', () => {
    expect(importOf({ ...torch, ...linear }).tensors).toEqual({
      W_x: 'rnn.weight_ih_l0 (transposed)',
      W_h: 'rnn.weight_hh_l0 (transposed)',
      b: 'rnn.bias_ih_l0 + rnn.bias_hh_l0',
      W_y: 'head.weight (transposed)',
      b_y: 'head.bias',
    });
    expect(importOf(renamed(keras, /$/, ':0')).tensors).toEqual({
      W_x: 'rnn/cell/kernel:0',
      W_h: 'rnn/cell/recurrent_kernel:0',
      b: 'rnn/cell/bias:0',
    });
    expect(importOf(without(ours, 'b')).tensors).toEqual({ W_x: 'W_x', W_h: 'W_h' });
  });
});

describe('a model is refused for', () => {
  test.each(REFUSALS)('%s', (_, tensors, code, pointer, detail) => {
    const error = refusalOf(tensors);
    expect(error.code).toBe(code);
    expect(error.message).toMatch(detail);
    expect(error.errors[0]).toEqual({ pointer, message: error.message });
  });

  test('no tensors at all', () => {
    const error = refusalOf({});
    expect(error.code).toBe('unknown_tensors');
    expect(error.message).toContain('has the tensors (none), expected W_x');
  });

  test('many unknown names, of which ten are listed', () => {
    const names = Array.from({ length: 100 }, (_, i) => `t${i}`);
    const error = refusalOf(Object.fromEntries(names.map((name) => [name, tensor(1)])));
    expect(error.message).toContain('"t8", "t9" and 90 more, expected');
    expect(error.message).not.toContain('"t10"');
    expect(error.errors).toHaveLength(10);
  });

  test('names and shapes without end, and quotes no more than a few lines of them', () => {
    const name = 'x'.repeat(100_000);
    const shape = Array<number>(100_000).fill(1);
    expect(refusalOf({ [name]: tensor(1) }).message.length).toBeLessThan(500);
    expect(refusalOf({ ...ours, W_h: tensor(...shape) }).message.length).toBeLessThan(300);
  });

  test('names made to be slow to match, as fast as any', () => {
    const count = 2_000_000;
    const parts = ['x', '.', '/', '_l0', '0', 'weight_ih_l', 'kernel', '.weight', 'weight_ih_l0'];
    const names = parts.map((part) => part.repeat(count / part.length));
    const start = performance.now();
    for (const name of names) {
      for (const end of ['', '.weight', 'weight_ih_l0', '/kernel', '!']) {
        errorOf(() => imported({ ...torch, [name + end]: tensor(1) }));
        errorOf(() => imported({ [name + end]: tensor(1) }));
      }
    }
    // A few seconds on a slow machine; a pattern of quadratic time takes hours.
    expect(performance.now() - start).toBeLessThan(30_000);
  });
});

describe('a model file', () => {
  test('as torch saved it is what the demo computes from it', () => {
    const { weights, readout } = readModel(sunspots);
    const { model } = readModelFile(sunspots, TANH);
    expect(model.W_x).toEqual({ shape: [weights.D, weights.H], data: weights.W_x });
    expect(model.W_h).toEqual({ shape: [weights.H, weights.H], data: weights.W_h });
    expect(model.b).toEqual({ shape: [weights.H], data: weights.b });
    const { data } = model.W_y!;
    expect([model.W_y!.shape, model.b_y!.shape]).toEqual([[32, 1], [1]]);
    const h = Float32Array.from({ length: weights.H }, (_, j) => Math.sin(j));
    expect(h.reduce((sum, h_j, j) => sum + h_j * data[j]!, model.b_y!.data[0]!)).toBe(readout(h));
  });

  test('that breaks the format is refused with the reason of the reader', () => {
    const error = errorOf(() => readModelFile(sunspots.subarray(0, -1)));
    expect(error).toBeInstanceOf(CarryoverError);
    expect((error as CarryoverError).code).toBe('malformed_safetensors');
    expect((error as CarryoverError).message).toMatch(/^Tensor "head\.bias" ends at 4612, beyond/);
  });

  test('may say its activation and its readout itself, but nothing that the call does not', () => {
    const file = (metadata: Record<string, string>) =>
      writeSafetensors({ ...torch, 'fc.weight': tensor(1, 3) }, metadata);
    const said = { activation: 'tanh', readout: 'fc' };
    const expected = imported({ ...torch, 'head.weight': tensor(1, 3) });
    expect(readModelFile(file(said)).model).toEqual(expected);
    expect(readModelFile(file(said), said).model).toEqual(expected);
    expect(readModelFile(file({ readout: 'fc' }), TANH).model).toEqual(expected);
    expect(errorOf(() => readModelFile(file(said), { readout: 'head' }))).toMatchObject({
      code: 'invalid_request',
      message:
        'The address says readout "head", the __metadata__ of the file "fc"; expected the same, or ' +
        'one of them.',
    });
    expect(errorOf(() => readModelFile(file({ ...said, activation: 'relu' })))).toMatchObject({
      code: 'activation_unsupported',
    });
  });

  test('with the counter of a batch normalisation is told what that is', () => {
    const text = '{"bn.num_batches_tracked":{"dtype":"I64","shape":[],"data_offsets":[0,8]}}';
    const size = new Uint8Array(new BigUint64Array([BigInt(text.length)]).buffer);
    const error = errorOf(() => readModelFile(Buffer.concat([size, Buffer.from(text), Buffer.alloc(8)])));
    expect(error).toMatchObject({ code: 'unknown_tensors' });
    expect((error as CarryoverError).message).toMatch(/has dtype "I64".* is of a batch normalisation/);
  });

  test('of integers is refused by the reader', () => {
    const text = '{"W_x":{"dtype":"I32","shape":[1,1],"data_offsets":[0,4]}}';
    const size = new Uint8Array(new BigUint64Array([BigInt(text.length)]).buffer);
    const bytes = Buffer.concat([size, Buffer.from(text), new Uint8Array(4)]);
    expect(errorOf(() => readModelFile(bytes))).toMatchObject({
      code: 'malformed_safetensors',
      message: 'Tensor "W_x" has dtype "I32", expected F32, F64, F16 or BF16.',
    });
  });

  test('of halves is read', () => {
    const text =
      '{"W_x":{"dtype":"F16","shape":[1,1],"data_offsets":[0,2]},' +
      '"W_h":{"dtype":"BF16","shape":[1,1],"data_offsets":[2,4]}}';
    const size = new Uint8Array(new BigUint64Array([BigInt(text.length)]).buffer);
    const halves = new Uint8Array(new Uint16Array([0x3e00, 0xbf40]).buffer);
    const { model } = readModelFile(Buffer.concat([size, Buffer.from(text), halves]));
    const { W_x, W_h } = model;
    expect([W_x, W_h].map(numbers)).toEqual([[1.5], [-0.75]]);
  });
});

interface Random {
  readonly D: number;
  readonly H: number;
  readonly W_x: Float32Array;
  readonly W_h: Float32Array;
  readonly b_ih: Float32Array;
  readonly b_hh: Float32Array;
}

const values = (length: number) =>
  fc.float32Array({
    minLength: length,
    maxLength: length,
    // The sum of two biases stays within float32.
    min: -(2 ** 126),
    max: 2 ** 126,
    noNaN: true,
  });

const models: fc.Arbitrary<Random> = fc
  .tuple(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 6 }))
  .chain(([D, H]) =>
    fc.record({
      D: fc.constant(D),
      H: fc.constant(H),
      W_x: values(D * H),
      W_h: values(H * H),
      b_ih: values(H),
      b_hh: values(H),
    }),
  );

/** Element by element and not by the code under test: out[j][i] = in[i][j]. */
function transposed(data: Float32Array, rows: number, columns: number): Float32Array {
  return Float32Array.from({ length: data.length }, (_, at) => {
    const [j, i] = [Math.floor(at / rows), at % rows];
    return data[i * columns + j]!;
  });
}

describe('a random model', () => {
  test('is the same model whatever its names', () => {
    fc.assert(
      fc.property(models, fc.boolean(), ({ D, H, W_x, W_h, b_ih, b_hh }, isWide) => {
        const as = (shape: number[], data: Float32Array) => ({
          shape,
          data: isWide ? new Float64Array(data) : data,
        });
        const b = b_ih.map((b_i, i) => b_i + b_hh[i]!);
        const expected: ImportedModel = {
          W_x: { shape: [D, H], data: W_x },
          W_h: { shape: [H, H], data: W_h },
          b: { shape: [H], data: b },
        };
        const files = [
          { W_x: as([D, H], W_x), W_h: as([H, H], W_h), b: as([H], b) },
          {
            'rnn.bias_hh_l0': as([H], b_hh),
            'rnn.bias_ih_l0': as([H], b_ih),
            'rnn.weight_hh_l0': as([H, H], transposed(W_h, H, H)),
            'rnn.weight_ih_l0': as([H, D], transposed(W_x, D, H)),
          },
          {
            'a/bias': as([H], b),
            'a/kernel': as([D, H], W_x),
            'a/recurrent_kernel': as([H, H], W_h),
          },
        ];
        for (const file of files) {
          const bytes = writeSafetensors(file);
          expect(readModelFile(bytes, TANH).model).toEqual(expected);
          expect(importCheckpoint(readSafetensors(bytes), TANH).model).toEqual(expected);
        }
      }),
      { numRuns: 300 },
    );
  });

  test('of random names and shapes is read or refused, and nothing else happens', () => {
    const known = Object.keys({ ...ours, ...readout, ...torch, ...linear, ...keras });
    const names = fc.oneof(fc.constantFrom(...known), fc.string());
    const shapes = fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 3 });
    const made = shapes.map((shape) => tensor(...shape));
    fc.assert(
      fc.property(fc.array(fc.tuple(names, made), { maxLength: 7 }), (entries) => {
        const error = errorOf(() => importCheckpoint(new Map(entries), TANH));
        expect(error === undefined || error instanceof CarryoverError).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });
});

function refusalOf(tensors: Tensors): CarryoverError {
  const error = errorOf(() => imported(tensors));
  expect(error).toBeInstanceOf(CarryoverError);
  return error as CarryoverError;
}

function errorOf(call: () => unknown): unknown {
  try {
    call();
    return undefined;
  } catch (error) {
    return error;
  }
}
