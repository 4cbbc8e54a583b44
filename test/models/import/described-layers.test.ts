// Files whose layers are described: what a description may say, what follows from names, and what is refused.
import { describe, expect, test } from 'vitest';
import type { LayerSource } from '../../../src/layers.ts';
import { importCheckpoint } from '../../../src/models/import/checkpoint.ts';
import {
  type Tensors,
  errorOf,
  f32,
  f64,
  linear,
  numbers,
  readTensor,
  renamed,
  tensor,
  torch,
  without,
} from './checkpoints.ts';

const described = (tensors: Tensors, ...layers: object[]) =>
  importCheckpoint(new Map(Object.entries(tensors)), { layers: JSON.stringify(layers) });
const refused = (tensors: Tensors, ...layers: object[]) => errorOf(() => described(tensors, ...layers)) as any;

/** The kinds of layers, with their sizes. */
const kinds = (layers: readonly LayerSource[]) =>
  layers.map((layer) => {
    if ('weights' in layer) return `${layer.type} ${layer.weights.W_x.shape[0]}→${layer.weights.W_h.shape[0]} ${layer.direction}`;
    if (layer.type === 'dense') return `dense ${layer.W.shape.join('→')} ${layer.activation}`;
    return `${layer.type} ${(layer.type === 'embedding' ? layer.E : layer.scale).shape.join('→')}`;
  });

/** D = 2, H = 3 in one direction; `l` is behind the names. */
const lstm = (prefix: string, D: number, l = '_l0'): Tensors => ({
  [`${prefix}weight_ih${l}`]: tensor(12, D),
  [`${prefix}weight_hh${l}`]: tensor(12, 3),
  [`${prefix}bias_ih${l}`]: tensor(12),
  [`${prefix}bias_hh${l}`]: tensor(12),
});
const gru = (prefix: string, D: number): Tensors => ({ [`${prefix}weight_ih_l0`]: tensor(9, D), [`${prefix}weight_hh_l0`]: tensor(9, 3) });

describe('modules of torch', () => {
  test('a Sequential has numbers for names', () => {
    const file = { '0.weight': tensor(7, 2), ...lstm('1.', 2), '3.weight': tensor(5, 3), '3.bias': tensor(5) };
    const layers = [{ type: 'embedding', name: '0' }, { type: 'lstm', name: '1' }, { type: 'dense', name: '3', activation: 'relu' }];
    expect(kinds(described(file, ...layers).layers)).toEqual(['embedding 7→2', 'lstm 2→3 forward', 'dense 3→5 relu']);
    const unsaid = errorOf(() => importCheckpoint(new Map(Object.entries(file)))) as Error;
    expect(unsaid.message).toMatch(/also has "0\.weight", "3\.weight", "3\.bias".*Describe all layers .*\{"type":"lstm","name":"1"\}/);
  });

  test('a module of several layers is one entry, in the advice as in the description', () => {
    const file = { ...lstm('rnn.', 2), ...lstm('rnn.', 3, '_l1'), 'fc.weight': tensor(4, 3) };
    const { message } = errorOf(() => importCheckpoint(new Map(Object.entries(file)))) as Error;
    const [, advised] = /\?layers=(\[.*?\]) to the address/.exec(message)!;
    const layers = [...(JSON.parse(advised!) as Record<string, unknown>[]), { type: 'dense', name: 'fc' }];
    expect(kinds(described(file, ...layers).layers)).toEqual(['lstm 2→3 forward', 'lstm 3→3 forward', 'dense 3→4 linear']);
  });

  test('several modules are computed in the order of the description, and in no other', () => {
    const file = { ...lstm('lstm2.', 3), ...lstm('lstm1.', 2), 'fc.weight': tensor(4, 3) };
    const layers = [{ type: 'lstm', name: 'lstm1' }, { type: 'lstm', name: 'lstm2' }, { type: 'dense', name: 'fc' }];
    const { layers: found, tensors } = described(file, ...layers);
    expect(kinds(found)).toEqual(['lstm 2→3 forward', 'lstm 3→3 forward', 'dense 3→4 linear']);
    expect(tensors['layers.1.W_x']).toBe('lstm2.weight_ih_l0 (transposed)');
    const unsaid = errorOf(() => importCheckpoint(new Map(Object.entries(file))));
    expect(unsaid).toMatchObject({ code: 'layers_unconfirmed' });
    const turned = refused(file, layers[1]!, layers[0]!, layers[2]!);
    expect(turned).toMatchObject({ code: 'shape_mismatch' });
    expect(turned.message).toMatch(/"lstm1\.weight_ih_l0" has shape \(12, 2\), expected \(4H, 3\), because "lstm2\.weight_ih_l0" .* makes H = 3/);
  });

  test('a module of several layers in two directions is one entry', () => {
    const file = {
      ...lstm('rnn.', 2),
      ...lstm('rnn.', 2, '_l0_reverse'),
      ...lstm('rnn.', 6, '_l1'),
      ...lstm('rnn.', 6, '_l1_reverse'),
    };
    const { layers, tensors } = described(file, { type: 'lstm', name: 'rnn' });
    expect(kinds(layers)).toEqual(['lstm 2→3 bidirectional', 'lstm 6→3 bidirectional']);
    expect(tensors['layers.1.backward.W_h']).toBe('rnn.weight_hh_l1_reverse (transposed)');
  });

  test('cells have the names of modules without a layer number', () => {
    const file = { ...lstm('cell.', 2, ''), 'head.weight': tensor(1, 3) };
    expect(kinds(importCheckpoint(new Map(Object.entries(file))).layers)).toEqual(['lstm 2→3 forward', 'dense 3→1 linear']);
    const two = { ...lstm('a.', 2, ''), ...lstm('b.', 3, '') };
    expect(kinds(described(two, { type: 'lstm', name: 'a' }, { type: 'lstm', name: 'b' }).layers)).toHaveLength(2);
  });

  test.each(['module.', '_orig_mod.', 'model.', 'module._orig_mod.model.'])('the prefix %s may be said or left out', (prefix) => {
    const file = renamed({ ...lstm('lstm.', 2), ...linear }, /^/, prefix);
    for (const said of ['', prefix]) {
      const layers = [{ type: 'lstm', name: `${said}lstm` }, { type: 'dense', name: `${said}head` }];
      expect(kinds(described(file, ...layers).layers)).toEqual(['lstm 2→3 forward', 'dense 3→1 linear']);
    }
    expect(kinds(importCheckpoint(new Map(Object.entries(file))).layers)).toHaveLength(2);
  });

  test('a part that torch.compile has wrapped is found at its path', () => {
    const file = { ...lstm('encoder._orig_mod.lstm.', 2), ...renamed(linear, 'head', 'encoder._orig_mod.head') };
    expect(kinds(described(file, { type: 'lstm', name: 'encoder.lstm' }, { type: 'dense', name: 'encoder.head' }).layers)).toHaveLength(2);
  });

  test('the order of gates and of the two biases is that of torch', () => {
    const file = {
      weight_ih_l0: f32([3, 1], 1, 2, 3),
      weight_hh_l0: f32([3, 1], 4, 5, 6),
      bias_ih_l0: f32([3], 0.5, 1.5, 2.5),
      bias_hh_l0: f32([3], 10, 20, 30),
    };
    const [layer] = described(file, { type: 'gru', name: '' }).layers as any;
    const { W_x, W_h, b, b_h } = layer.weights;
    expect([W_x, W_h].map((source) => numbers(readTensor(source)))).toEqual([[1, 2, 3], [4, 5, 6]]);
    expect(numbers(readTensor(b))).toEqual([10.5, 21.5, 2.5]);
    expect(numbers(readTensor(b_h))).toEqual([-0, -0, 30]);
  });

  test('a head may share the weight of the embedding, if the description names it', () => {
    const file = { 'embedding.weight': tensor(7, 3), ...lstm('lstm.', 3), 'head.bias': tensor(7) };
    const layers = [{ type: 'embedding', name: 'embedding' }, { type: 'lstm', name: 'lstm' }];
    const tied = { type: 'dense', name: 'head', weight: 'embedding.weight' };
    const { layers: found, tensors } = described(file, ...layers, tied);
    expect(kinds(found)).toEqual(['embedding 7→3', 'lstm 3→3 forward', 'dense 3→7 linear']);
    expect(tensors).toMatchObject({ 'layers.0.E': 'embedding.weight', 'layers.2.W': 'embedding.weight (transposed)', 'layers.2.b': 'head.bias' });
    expect(refused(file, ...layers, { type: 'dense', name: 'head' }).message).toMatch(/said to be "head": expected the tensor .*"head\.weight" \(torch\)/);
    expect(refused(file, ...layers, { type: 'dense', name: 'embedding' }).message).toMatch(/"embedding\.weight" is of an earlier layer.* "weight": "embedding\.weight"/);
    const unsaid = errorOf(() => importCheckpoint(new Map(Object.entries(file)))) as Error;
    expect(unsaid.message).toMatch(/"head\.weight" is missing.* shares the weight of the embedding/);
  });

  test('a batch normalisation is folded into scale and offset, in float64', () => {
    const file = {
      'bn.weight': f32([2], 2, 0.5),
      'bn.bias': f32([2], 1, -1),
      'bn.running_mean': f32([2], 3, 4),
      'bn.running_var': f32([2], 0.25, 16),
      'bn.num_batches_tracked': { dtype: 'I64', shape: [], data: new Float64Array([9]) } as const,
      ...gru('gru.', 2),
    };
    const { layers, tensors } = described(file, { type: 'affine', name: 'bn', eps: 0 }, { type: 'gru', name: 'gru' });
    const [affine] = layers as any;
    expect(numbers(readTensor(affine.scale))).toEqual([4, 0.125]);
    expect(numbers(readTensor(affine.offset))).toEqual([-11, -1.5]);
    expect(tensors['layers.0.scale']).toBe('bn.weight, bn.running_var (folded)');
    const without_eps = refused(file, { type: 'affine', name: 'bn' }, { type: 'gru', name: 'gru' });
    expect(without_eps.message).toMatch(/batch normalisation, whose eps is in no file/);
    const bare = without(file, 'bn.weight', 'bn.bias');
    const [plain] = described(bare, { type: 'affine', name: 'bn', eps: 0 }, { type: 'gru', name: 'gru' }).layers as any;
    expect([numbers(readTensor(plain.scale)), numbers(readTensor(plain.offset))]).toEqual([[2, 0.25], [-6, -1]]);
    const negative = { ...file, 'bn.running_var': f32([2], 1, -1) };
    const [broken] = described(negative, { type: 'affine', name: 'bn', eps: 0 }, { type: 'gru', name: 'gru' }).layers as any;
    expect(errorOf(() => readTensor(broken.scale))).toMatchObject({ code: 'out_of_range' });
  });
});

describe('layers of Keras', () => {
  const keras = (path: string, D: number, columns: number, bias?: Tensors[string]): Tensors => ({
    [`${path}/kernel`]: tensor(D, columns),
    [`${path}/recurrent_kernel`]: tensor(3, columns),
    ...(bias && { [`${path}/bias`]: bias }),
  });

  test('the reset of a GRU follows from its bias, and a contradiction is refused', () => {
    const after = keras('gru/gru_cell', 2, 9, tensor(2, 9));
    const before = keras('gru/gru_cell', 2, 9, tensor(9));
    const none = keras('gru/gru_cell', 2, 9);
    const layer = { type: 'gru', name: 'gru' };
    expect(described(after, layer).layers).toMatchObject([{ reset: 'after' }]);
    expect(described(before, layer).layers).toMatchObject([{ reset: 'before' }]);
    expect(described(none, { ...layer, reset: 'before' }).layers).toMatchObject([{ reset: 'before' }]);
    expect(refused(after, { ...layer, reset: 'before' }).message).toMatch(/reset is "before", expected "after", because its bias is of the shape/);
    expect(refused(none, layer)).toMatchObject({ code: 'layers_unconfirmed' });
  });

  test('the gates of a GRU stand as z, r, n, and both biases beneath each other', () => {
    const file = {
      'gru/gru_cell/kernel': f32([1, 3], 1, 2, 3),
      'gru/gru_cell/recurrent_kernel': f32([1, 3], 4, 5, 6),
      'gru/gru_cell/bias': f64([2, 3], 0.5, 1.5, 2.5, 10, 20, 30),
    };
    const { layers, tensors } = described(file, { type: 'gru', name: 'gru' });
    const { W_x, W_h, b, b_h } = (layers[0] as any).weights;
    expect([W_x, W_h].map((source) => numbers(readTensor(source)))).toEqual([[2, 1, 3], [5, 4, 6]]);
    expect(numbers(readTensor(b))).toEqual([21.5, 10.5, 2.5]);
    expect(numbers(readTensor(b_h))).toEqual([-0, -0, 30]);
    expect(tensors).toEqual({
      'layers.0.W_x': 'gru/gru_cell/kernel (z, r, n → r, z, n)',
      'layers.0.W_h': 'gru/gru_cell/recurrent_kernel (z, r, n → r, z, n)',
      'layers.0.b': 'gru/gru_cell/bias[0] (z, r, n → r, z, n)',
      'layers.0.b_h': 'gru/gru_cell/bias[1] (z, r, n → r, z, n)',
    });
  });

  test('a Bidirectional has both directions, and a lone one is refused unless it is described', () => {
    const forward = keras('bidirectional/forward_lstm/lstm_cell', 2, 12, tensor(12));
    const backward = keras('bidirectional/backward_lstm/lstm_cell_1', 2, 12, tensor(12));
    const both = { ...forward, ...backward };
    expect(kinds(described(both, { type: 'lstm', name: 'bidirectional' }).layers)).toEqual(['lstm 2→3 bidirectional']);
    const half = errorOf(() => importCheckpoint(new Map(Object.entries(forward)), { activation: 'tanh' })) as any;
    expect(half.code).toBe('unknown_tensors');
    expect(half.message).toMatch(/is of one direction of a Bidirectional, and the other is missing/);
    expect(kinds(described(forward, { type: 'lstm', name: 'bidirectional/forward_lstm' }).layers)).toEqual(['lstm 2→3 forward']);
    const merge = errorOf(() => importCheckpoint(new Map(Object.entries(both)), { activation: 'tanh' })) as any;
    expect(merge).toMatchObject({ code: 'layers_unconfirmed' });
    expect(merge.message).toMatch(/merge_mode "concat"/);
    expect(refused(both, { type: 'lstm', name: 'bidirectional', direction: 'forward' }).message).toMatch(
      /direction is "forward", but the file has tensors of both directions/,
    );
  });

  test('a Bidirectional whose own path is left out has the path of its directions', () => {
    const both = (number: string, D: number) => ({
      ...keras(`forward_lstm${number}/lstm_cell`, D, 12, tensor(12)),
      ...keras(`backward_lstm${number}/lstm_cell`, D, 12, tensor(12)),
    });
    const file = { ...both('', 2), ...both('_1', 6) };
    const layers = [{ type: 'lstm', name: 'lstm' }, { type: 'lstm', name: 'lstm_1' }];
    expect(kinds(described(file, ...layers).layers)).toEqual(['lstm 2→3 bidirectional', 'lstm 6→3 bidirectional']);
    const unsaid = errorOf(() => importCheckpoint(new Map(Object.entries(file)), { activation: 'tanh' })) as any;
    expect(unsaid.code).toBe('layers_unconfirmed');
    expect(unsaid.message).toContain('[{"type":"lstm","name":"lstm"},{"type":"lstm","name":"lstm_1"}]');
  });

  test('the directions of a Bidirectional may have names of their own', () => {
    const file = { ...keras('b/forward_left/lstm_cell', 2, 12), ...keras('b/backward_right/lstm_cell', 2, 12) };
    expect(kinds(described(file, { type: 'lstm', name: 'b' }).layers)).toEqual(['lstm 2→3 bidirectional']);
    const three = { ...file, ...keras('b/forward_more/lstm_cell', 2, 12) };
    const error = errorOf(() => importCheckpoint(new Map(Object.entries(three)), { activation: 'tanh' })) as any;
    expect(error).toMatchObject({ code: 'layers_unconfirmed' });
  });

  test('the activation of a Dense has to be stated, and a cell that its path names is not another', () => {
    const file = { ...keras('lstm/lstm_cell', 2, 12, tensor(12)), 'dense/kernel': tensor(3, 1) };
    const dense = { type: 'dense', name: 'dense' };
    expect(refused(file, { type: 'lstm', name: 'lstm' }, dense)).toMatchObject({ code: 'activation_unconfirmed' });
    expect(kinds(described(file, { type: 'lstm', name: 'lstm' }, { ...dense, activation: 'sigmoid' }).layers)[1]).toBe('dense 3→1 sigmoid');
    const misnamed = { 'a/gru_cell/kernel': tensor(2, 12), 'a/gru_cell/recurrent_kernel': tensor(3, 12) };
    const error = errorOf(() => importCheckpoint(new Map(Object.entries(misnamed)), { activation: 'tanh' })) as any;
    expect(error.message).toMatch(/has shape \(3, 12\), as an lstm has, expected \(H, 3H\) of a gru/);
  });

  test('two cells at one path are named by their own paths', () => {
    const file = { ...keras('rnn/lstm_cell', 2, 12), ...keras('rnn/lstm_cell_1', 3, 12) };
    const layers = ['rnn/lstm_cell', 'rnn/lstm_cell_1'].map((name) => ({ type: 'lstm', name }));
    expect(kinds(described(file, ...layers).layers)).toEqual(['lstm 2→3 forward', 'lstm 3→3 forward']);
    expect(refused(file, { type: 'lstm', name: 'rnn' }).message).toMatch(/is the path of several cells, expected that of one: "rnn\/lstm_cell", "rnn\/lstm_cell_1"/);
  });
});

describe('names of this server', () => {
  const file = {
    'layers.0.scale': tensor(2),
    'layers.0.offset': tensor(2),
    'layers.1.W_x': tensor(2, 9),
    'layers.1.W_h': tensor(3, 9),
    'layers.1.b': tensor(9),
    'layers.1.b_hn': tensor(3),
    'layers.2.W': tensor(3, 1),
  };

  test('without a name an entry is found by its number, and the description of a stored model is one', () => {
    const stored = [
      { type: 'affine', D: 2 },
      { type: 'gru', D: 2, H: 3, direction: 'forward', reset: 'after' },
      { type: 'dense', I: 3, O: 1, activation: 'linear' },
    ];
    const { layers } = described(file, ...stored);
    expect(kinds(layers)).toEqual(['affine 2', 'gru 2→3 forward', 'dense 3→1 linear']);
    const { b, b_h } = (layers[1] as any).weights;
    expect(numbers(readTensor(b))).toEqual(numbers(file['layers.1.b'] as any));
    expect(numbers(readTensor(b_h))).toEqual([-0, -0, -0, -0, -0, -0, 0.5, 1.5, 2.5]);
    expect(refused(file, stored[0]!, { ...stored[1], H: 4 }, stored[2]!).message).toBe('layers[1].H is 4, expected 3, which the tensors of the layer make it.');
  });

  test('tensors may be named by themselves, those of torch beside them', () => {
    const mixed = { 'mean.s': tensor(2), 'mean.o': tensor(2), ...gru('gru.', 2), ...linear };
    const layers = [{ type: 'affine', scale: 'mean.s', offset: 'mean.o' }, { type: 'gru', name: 'gru' }, { type: 'dense', name: 'head' }];
    expect(kinds(described(mixed, ...layers).layers)).toEqual(['affine 2', 'gru 2→3 forward', 'dense 3→1 linear']);
    const single = { a: tensor(2, 12), b: tensor(3, 12), c: tensor(2, 12), d: tensor(3, 12) };
    const both = { type: 'lstm', W_x: 'a', W_h: 'b', direction: 'bidirectional', backward: { W_x: 'c', W_h: 'd' } };
    expect(kinds(described(single, both).layers)).toEqual(['lstm 2→3 bidirectional']);
    const ofTorch = { type: 'gru', weight_ih: 'gru.weight_ih_l0', weight_hh: 'gru.weight_hh_l0', direction: 'reverse' };
    expect(kinds(described(gru('gru.', 2), ofTorch).layers)).toEqual(['gru 2→3 reverse']);
  });
});

describe('what is refused', () => {
  const file = { ...lstm('lstm.', 2), ...linear };
  const [rnnEntry, head] = [{ type: 'lstm', name: 'lstm' }, { type: 'dense', name: 'head' }];

  test.each([
    ['a tensor of no layer', [rnnEntry], 'unknown_tensors', /also has "head\.weight", "head\.bias", expected a description that names/],
    ['a layer that is not there', [rnnEntry, head, { type: 'dense', name: 'out' }], 'unknown_tensors', /layers\[2\] \(dense\) is said to be "out": expected the tensor "out\.W" \(ours\) or "out\.weight"/],
    ['a layer without a name', [rnnEntry, { type: 'dense' }], 'unknown_tensors', /layers\[1\] \(dense\) has no name: expected the tensor "layers\.1\.W" \(ours\)/],
    ['another cell', [{ type: 'gru', name: 'lstm' }, head], 'shape_mismatch', /\(12, 3\), as an lstm has, expected \(3H, H\) of a gru/],
    ['a tensor that is not there', [rnnEntry, { ...head, weight: 'nope' }], 'unknown_tensors', /layers\[1\]\.weight names tensor "nope", which is missing/],
    ['roles of several conventions', [rnnEntry, { ...head, W: 'head.weight', bias: 'head.bias' }], 'invalid_request', /names tensors as "W", "bias", expected/],
    ['both directions of one', [{ ...rnnEntry, direction: 'bidirectional' }, head], 'invalid_request', /but the file has tensors of one direction: expected forward or reverse/],
    ['no list', { type: 'lstm' }, 'invalid_request', /^layers is an object, expected a list of layers/],
    ['no layers', [], 'invalid_request', /has 0 layers, expected 1 to 32/],
    ['a layer that is no object', ['lstm'], 'invalid_request', /^layers\[0\] is "lstm", expected an object with a type/],
    ['an unknown type', [{ type: 'conv', name: 'lstm' }], 'invalid_request', /layers\[0\]\.type is "conv", expected embedding, affine, dense, rnn, gru or lstm/],
    ['no type', [{ name: 'lstm' }], 'invalid_request', /layers\[0\]\.type is \(missing\), expected/],
    ['an unknown field', [{ ...rnnEntry, units: 3 }], 'invalid_request', /layers\[0\] has the field "units", expected only type, name, direction/],
    ['an activation that is not computed', [rnnEntry, { ...head, activation: 'gelu' }], 'invalid_request', /layers\[1\]\.activation is "gelu", expected linear, relu/],
    ['an activation of an lstm', [{ ...rnnEntry, activation: 'relu' }, head], 'invalid_request', /has the field "activation"/],
    ['a name that is no text', [{ type: 'lstm', name: 3 }], 'invalid_request', /layers\[0\]\.name is 3, expected the path/],
    ['numbers in place of a name', [rnnEntry, { type: 'dense', W: [[1]] }], 'invalid_request', /layers\[1\]\.W is \[an array\], expected the name of a tensor/],
    ['a size of text', [{ ...rnnEntry, H: '3' }], 'invalid_request', /layers\[0\]\.H is "3", expected a whole number/],
    ['a wrong size', [{ ...rnnEntry, D: 3 }, head], 'invalid_request', /layers\[0\]\.D is 3, expected 2/],
    ['a negative eps', [{ type: 'affine', name: 'lstm', eps: -1 }], 'invalid_request', /layers\[0\]\.eps is -1, expected a number of at least 0/],
  ])('refused: %s', (_, layers, code, message) => {
    const options = { layers: JSON.stringify(layers) };
    const error = errorOf(() => importCheckpoint(new Map(Object.entries(file)), options)) as any;
    expect(error).toMatchObject({ code });
    expect(error.message).toMatch(message);
  });

  test.each([
    ['no JSON', '[{"type":', /is not the JSON expected/],
    ['a key twice', '[{"type":"lstm","type":"gru","name":"lstm"}]', /is not the JSON expected: .*type/],
    ['a key of prototypes', '[{"type":"lstm","name":"lstm","__proto__":{}}]', /has the field "__proto__"/],
    ['a deep list', '['.repeat(50_000), /is not the JSON expected/],
  ])('a description that is %s is refused', (_, layers, message) => {
    const error = errorOf(() => importCheckpoint(new Map(Object.entries(file)), { layers })) as any;
    expect(error).toMatchObject({ code: 'invalid_request' });
    expect(error.message).toMatch(message);
  });

  test('a description comes without activation and readout, which it tells itself', () => {
    const layers = JSON.stringify([rnnEntry, head]);
    for (const other of [{ activation: 'tanh' }, { readout: 'head' }]) {
      const error = errorOf(() => importCheckpoint(new Map(Object.entries(file)), { layers, ...other })) as any;
      expect(error).toMatchObject({ code: 'invalid_request' });
    }
  });

  test('a layer whose tensors two conventions have is refused', () => {
    const both = { ...file, 'head/kernel': tensor(3, 1) };
    const error = refused(both, rnnEntry, head);
    expect(error).toMatchObject({ code: 'unknown_tensors', errors: [{ pointer: '/head' }] });
    expect(error.message).toBe(
      'layers[1] may be "head.weight" (torch) or "head/kernel" (Keras), and the file has both: expected one of them.',
    );
  });

  test('an rnn of torch needs its activation', () => {
    expect(refused(torch, { type: 'rnn', name: 'rnn' })).toMatchObject({ code: 'activation_unconfirmed' });
    expect(described(torch, { type: 'rnn', name: 'rnn', activation: 'relu' }).layers).toMatchObject([{ activation: 'relu' }]);
  });
});
