import { describe, expect, test } from 'vitest';
import {
  type ImportedTensor,
  type Refusal,
  f32,
  f64,
  imported,
  linear,
  numbers,
  renamed,
  tensor,
  testRefusals,
  torch,
  without,
} from './checkpoints.ts';

describe('names of torch', () => {
  test('the matrices of torch are transposed and its two biases are added', () => {
    const model = imported({ ...torch, ...linear });
    expect(model.W_x.shape).toEqual([2, 3]);
    expect(numbers(model.W_x)).toEqual([0.5, 2.5, 4.5, 1.5, 3.5, 5.5]);
    expect(numbers(model.W_h)).toEqual([0.5, 3.5, 6.5, 1.5, 4.5, 7.5, 2.5, 5.5, 8.5]);
    expect(model.b).toEqual({ shape: [3], data: new Float32Array([1, 3, 5]) });
    expect(model.W_y).toEqual({ shape: [3, 1], data: new Float32Array([0.5, 1.5, 2.5]) });
    expect(model.b_y).toEqual({ shape: [1], data: new Float32Array([0.5]) });
  });

  test('the z is that of torch where a forgotten transpose would fit as well', () => {
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

  test.each(['', 'rnn.', 'model.encoder.rnn.', 'a/b~c.', 'x_'])('the names may have the prefix %j', (prefix) => {
    expect(imported(renamed({ ...torch, ...linear }, 'rnn.', prefix))).toEqual(
      imported({ ...torch, ...linear }),
    );
  });

  test('the biases may be missing, also that of a Linear, and a Linear may be named in the call', () => {
    const withoutBias = without(torch, 'rnn.bias_ih_l0', 'rnn.bias_hh_l0');
    const model = imported({ ...withoutBias, 'out.fc.2.weight': tensor(4, 3) }, 'out.fc.2');
    expect(Object.keys(model)).toEqual(['W_x', 'W_h', 'W_y']);
    expect(model.W_y!.shape).toEqual([3, 4]);
  });

  test('the biases are added in float64, then rounded', () => {
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
  test.each(['cell.', ''])('the names of an RNNCell mean the same as those of layer 0, with the prefix %j', (prefix) => {
    const cell = renamed(renamed(torch, '_l0', ''), 'rnn.', prefix);
    expect(Object.keys(cell)[0]).toBe(`${prefix}weight_ih`);
    expect(imported({ ...cell, ...linear })).toEqual(imported({ ...torch, ...linear }));
  });
});

const REFUSALS: readonly Refusal[] = [
  [
    'a third layer after none',
    { ...torch, 'rnn.weight_ih_l1': tensor(3, 3), 'rnn.weight_hh_l1': tensor(3, 3), 'rnn.weight_hh_l3': tensor(3, 3) },
    'unknown_tensors',
    '/rnn.weight_ih_l2',
    /"rnn\.weight_ih_l2" is missing/,
  ],
  [
    'only a second layer of torch',
    renamed(torch, '_l0', '_l1'),
    'unknown_tensors',
    '/rnn.weight_ih_l0',
    /"rnn\.weight_ih_l0" is missing/,
  ],
  [
    'a reverse direction of one layer of two',
    { ...torch, ...renamed(torch, '_l0', '_l0_reverse'), 'rnn.weight_ih_l1': tensor(3, 6), 'rnn.weight_hh_l1': tensor(3, 3) },
    'unknown_tensors',
    '/rnn.weight_ih_l1_reverse',
    /"rnn\.weight_ih_l1_reverse" is missing/,
  ],
  [
    'two modules of torch',
    { ...torch, ...renamed(torch, 'rnn.', 'decoder.') },
    'layers_unconfirmed',
    '/rnn.weight_hh_l0',
    /recurrent layers "rnn", "decoder", .*\?layers=\[\{"type":"rnn","name":"rnn"\},\{"type":"rnn","name":"decoder"\}\]/,
  ],
  [
    'no weight_hh_l0',
    without(torch, 'rnn.weight_hh_l0'),
    'unknown_tensors',
    '/rnn.weight_hh_l0',
    /"rnn\.weight_hh_l0" is missing: a recurrent layer of torch has both/,
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
    /"rnn\.bias_ih_l0" is missing: a recurrent layer of torch has both biases or none/,
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
    'a tensor beside those of torch',
    { ...torch, ...linear, 'rnn.weight_hz_l0': tensor(1) },
    'unknown_tensors',
    '/rnn.weight_hz_l0',
    /also has "rnn\.weight_hz_l0", expected nothing beside .* one recurrent module/,
  ],
  [
    'a second Linear',
    { ...torch, ...linear, 'more.weight': tensor(1, 1), 'more.bias': tensor(1) },
    'unknown_tensors',
    '/more.weight',
    /also has "more\.weight", "more\.bias", expected .* a Linear behind it/,
  ],
  [
    'a Linear without a name of its own',
    { ...torch, weight: tensor(1, 3) },
    'unknown_tensors',
    '/weight',
    /also has "weight"/,
  ],
  [
    'a bias of torch as a row',
    { ...torch, 'rnn.bias_hh_l0': tensor(1, 3) },
    'shape_mismatch',
    '/rnn.bias_hh_l0',
    /"rnn\.bias_hh_l0" has shape \(1, 3\), expected a vector/,
  ],
  [
    'weight_hh_l0 that does not agree',
    { ...torch, 'rnn.weight_hh_l0': tensor(4, 4) },
    'shape_mismatch',
    '/rnn.weight_hh_l0',
    /expected \(3, 3\), because "rnn\.weight_ih_l0" \(H, D\) = \(3, 2\) makes H = 3/,
  ],
  [
    'a second bias that does not agree',
    { ...torch, 'rnn.bias_hh_l0': tensor(1) },
    'shape_mismatch',
    '/rnn.bias_hh_l0',
    /"rnn\.bias_hh_l0" has shape \(1,\), expected \(3,\)/,
  ],
  [
    'a Linear that is transposed',
    { ...torch, 'head.weight': tensor(3, 1) },
    'shape_mismatch',
    '/head.weight',
    /"head\.weight" has shape \(3, 1\), expected \(O, 3\)/,
  ],
  [
    'a projection in front that has the shape of a readout',
    { ...torch, 'proj.weight': tensor(2, 3), 'proj.bias': tensor(2) },
    'unknown_tensors',
    '/proj.weight',
    /also has "proj\.weight", "proj\.bias", expected .* certainly the readout.* add \?readout=proj to/,
  ],
  [
    'a Linear whose name does not say what it computes',
    { ...torch, 'fc.weight': tensor(1, 3), 'fc.bias': tensor(1) },
    'unknown_tensors',
    '/fc.weight',
    /If "fc\.weight" is of the Linear that computes y from h, say so: add \?readout=fc to/,
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
    'the bias of a Linear that does not agree',
    { ...torch, ...linear, 'head.bias': tensor(3) },
    'shape_mismatch',
    '/head.bias',
    /"head\.bias" has shape \(3,\), expected \(1,\), because "head\.weight" .* makes O = 1/,
  ],
  [
    'no hidden units',
    { weight_ih_l0: tensor(0, 2), weight_hh_l0: tensor(0, 0) },
    'shape_mismatch',
    '/weight_ih_l0',
    /"weight_ih_l0" has shape \(0, 2\), expected at least 1/,
  ],
  [
    'infinity, at its place in the file',
    { ...torch, 'rnn.weight_ih_l0': f32([3, 2], 0, 0, 0, 0, -Infinity, 0) },
    'out_of_range',
    '/rnn.weight_ih_l0',
    /"rnn\.weight_ih_l0" is -Infinity at \[2, 0\]/,
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

testRefusals('a checkpoint that is refused', REFUSALS);
