import { describe, expect, test } from 'vitest';
import {
  type Refusal,
  f32,
  imported,
  numbers,
  ours,
  readout,
  tensor,
  testRefusals,
  without,
} from './checkpoints.ts';

describe('the names of this server', () => {
  test('the tensors are taken as they are', () => {
    const model = imported({ ...ours, ...readout });
    expect(Object.keys(model)).toEqual(['W_x', 'W_h', 'b', 'W_y', 'b_y']);
    expect(model.W_x.shape).toEqual([2, 3]);
    expect(numbers(model.W_x)).toEqual([0.5, 1.5, 2.5, 3.5, 4.5, 5.5]);
    expect(model.W_h).toEqual({ shape: [3, 3], data: ours.W_h!.data });
    expect(model.W_y).toEqual({ shape: [3, 1], data: new Float32Array([0.5, 1.5, 2.5]) });
    expect(model.b_y).toEqual({ shape: [1], data: new Float32Array([0.5]) });
  });

  test('the bias may have the shape (1, H), or be missing, and the readout may be missing', () => {
    expect(imported({ ...ours, b: tensor(1, 3) }).b).toEqual({ shape: [3], data: ours.b!.data });
    expect(Object.keys(imported(without(ours, 'b')))).toEqual(['W_x', 'W_h']);
    const withoutB_y = imported({ ...ours, W_y: tensor(3, 2) });
    expect(Object.keys(withoutB_y)).toEqual(['W_x', 'W_h', 'b', 'W_y']);
  });
});

const REFUSALS: readonly Refusal[] = [
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
    'a tensor beside ours',
    { ...ours, 'a/b~c': tensor(1) },
    'unknown_tensors',
    '/a~1b~0c',
    /^The file also has "a\/b~c", expected nothing beside W_x, W_h, b, W_y and b_y\.$/,
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
    'the tensors of an LSTM',
    { W_x: tensor(2, 12), W_h: tensor(3, 12), b: tensor(12) },
    'layers_unconfirmed',
    '/W_h',
    /"W_h" has the shape of the W_h of an lstm, \(H, 4H\), .*\?layers=\[\{"type":"lstm","name":""\}\]/,
  ],
  [
    'the tensors of several layers, whose kinds names do not tell',
    { 'layers.0.W_x': tensor(2, 3), 'layers.0.W_h': tensor(3, 3) },
    'layers_unconfirmed',
    '/layers.0.W_x',
    /does not say what the layer of tensor "layers\.0\.W_x" computes: expected a description/,
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
    'a bias that does not agree',
    { ...ours, b: tensor(2) },
    'shape_mismatch',
    '/b',
    /"b" has shape \(2,\), expected \(3,\), because "W_x" .* makes H = 3/,
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
    /"b_y" has shape \(2,\), expected \(1,\), because "W_y" \(I, O\) = \(3, 1\) makes O = 1/,
  ],
  [
    'no inputs',
    { W_x: tensor(0, 3), W_h: tensor(3, 3) },
    'shape_mismatch',
    '/W_x',
    /"W_x" has shape \(0, 3\), expected at least 1 along each axis/,
  ],
  [
    'NaN',
    { ...ours, W_x: f32([2, 3], 0, 0, 0, 0, 0, NaN) },
    'out_of_range',
    '/W_x',
    /^Tensor "W_x" is NaN at \[1, 2\], expected a finite float32/,
  ],
  [
    'an infinite b_y',
    { ...ours, ...readout, b_y: f32([1], Infinity) },
    'out_of_range',
    '/b_y',
    /"b_y" is Infinity at \[0\]/,
  ],
];

testRefusals('a checkpoint that is refused', REFUSALS);
