import { describe, expect, test } from 'vitest';
import {
  type Refusal,
  type Tensors,
  f64,
  imported,
  keras,
  ours,
  readout,
  renamed,
  tensor,
  testRefusals,
  without,
} from './checkpoints.ts';

describe('names of Keras', () => {
  test('the tensors of Keras are taken as they are', () => {
    expect(imported(keras)).toEqual(imported(ours));
  });

  const paths = ['', 'simple_rnn/simple_rnn_cell/', 'layers.0.cell.'];
  test.each(paths)('the names may have the prefix %j', (path) => {
    expect(imported(renamed(keras, 'rnn/cell/', path))).toEqual(imported(ours));
  });

  test('the names may end in :0, as Keras 2 writes them', () => {
    expect(imported(renamed(keras, /$/, ':0'))).toEqual(imported(ours));
  });

  test('the names may be numbers, as Keras 3 writes them, with the Dense that the call states', () => {
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

  test.each(['dense/kernel', 'dense/kernel:0', 'dense.kernel'])('the readout may be named %s', (name) => {
    const dense = { [name]: tensor(3, 1), [name.replace('kernel', 'bias')]: tensor(1) };
    expect(imported({ ...keras, ...dense }, 'dense')).toEqual(imported({ ...ours, ...readout }));
  });

  test('what is passed over in names is passed over in that of the readout, too', () => {
    const file = renamed(renamed({ ...keras, 'dense/kernel': tensor(3, 1) }, /\//g, '.'), /^/, 'model.');
    expect(imported(file, 'model.dense')).toEqual(imported({ ...ours, W_y: tensor(3, 1) }));
  });

  test('the bias may be missing', () => {
    expect(Object.keys(imported(without(keras, 'rnn/cell/bias')))).toEqual(['W_x', 'W_h']);
  });
});

const REFUSALS: readonly Refusal[] = [
  [
    'two layers of Keras',
    { ...keras, ...renamed(keras, 'rnn/', 'rnn_1/') },
    'layers_unconfirmed',
    '/rnn~1cell~1recurrent_kernel',
    /recurrent layers "rnn", "rnn_1", .*\?layers=\[\{"type":"rnn","name":"rnn"\},\{"type":"rnn","name":"rnn_1"\}\]/,
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
    'a Dense layer',
    { 'd/kernel': tensor(3, 1), 'd/bias': tensor(1), ...keras },
    'unknown_tensors',
    '/d~1kernel',
    /also has "d\/kernel", "d\/bias", expected nothing beside .* add \?readout=d to/,
  ],
  [
    'the bias of another layer of Keras',
    { ...without(keras, 'rnn/cell/bias'), 'd/bias': tensor(3) },
    'unknown_tensors',
    '/d~1bias',
    /also has "d\/bias"/,
  ],
  [
    'recurrent_kernel that does not agree',
    { ...keras, 'rnn/cell/recurrent_kernel': tensor(2, 2) },
    'shape_mismatch',
    '/rnn~1cell~1recurrent_kernel',
    /expected \(3, 3\), because "rnn\/cell\/kernel" \(D, H\) = \(2, 3\) makes H = 3/,
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
    'a float64 beyond float32',
    { ...keras, 'rnn/cell/bias': f64([3], 0, 1e39, 0) },
    'out_of_range',
    '/rnn~1cell~1bias',
    /"rnn\/cell\/bias" is 1e\+39 at \[1\], .* largest magnitude is 3\.4028235e38/,
  ],
];

testRefusals('a checkpoint that is refused', REFUSALS);
