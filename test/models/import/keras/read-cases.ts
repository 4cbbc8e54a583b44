// For each row of the table of what is read from Keras: files, and the layers that they are.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { LayerJson } from '../../../helpers/framework-files.ts';
import type { LayerToWrite, Style } from '../../../helpers/keras-files.ts';
import {
  affine, asRnn, asTimeDistributed, bidirectional, count, dense, embedding, firstLastStates, gru, lstm, plain, reverse, rnn, vector, withConfig,
  withoutBias, written,
} from './stacks.ts';

export interface ReadCase {
  /** What the file is, as POST /v1/models takes it. */
  readonly layers: unknown;
  readonly file: readonly LayerToWrite[] | Uint8Array;
  readonly style?: Style;
  /** In the notes; none are expected otherwise. */
  readonly note?: string;
}

const fixtures = join(import.meta.dirname, '../../../fixtures');
const fixture = (name: string) => readFileSync(join(fixtures, 'keras', name));
const cell = (name: string) => JSON.parse(readFileSync(join(fixtures, 'cells', `${name}.json`), 'utf8')).layers;

/** @param change of the layers as they are written, the first of which is the input */
function read(layers: readonly LayerJson[], change: (file: LayerToWrite[]) => readonly LayerToWrite[] = (file) => file, note?: string): ReadCase {
  return { layers, file: change(written(...layers)), ...(note !== undefined && { note }) };
}

/** The first layer with another config. */
const first = (config: Record<string, unknown>) => ([input, layer, ...more]: LayerToWrite[]) => [input!, withConfig(layer!, config), ...more];
/** A layer in front. */
const before = (layer: LayerToWrite) => ([input, ...more]: LayerToWrite[]) => [input!, layer, ...more];
const afterFirst = (...layers: LayerToWrite[]) => ([input, layer, ...more]: LayerToWrite[]) => [input!, layer!, ...layers, ...more];

const NORMALIZED = affine([0.5, 1e7], [-0.25, 1e7]);
const MOMENTS = { mean: [0.5, -1], variance: [4, 0] };
const normalization = (config: Record<string, unknown>, hasWeights = true) =>
  plain('Normalization', { axis: [-1], ...config }, hasWeights ? [['', [vector('mean', 0.5, -1), vector('variance', 4, 0), count]]] : []);

const norm = { gamma: vector('gamma', 2, -1), beta: vector('beta', 0.25, 3), mean: vector('moving_mean', 1, -0.5), variance: vector('moving_variance', 3, 0.25) };
const folded = (gamma: number[], beta: number[]) => {
  const scale = [3, 0.25].map((variance, j) => gamma[j]! / Math.sqrt(variance + 0.001));
  return affine(scale, [1, -0.5].map((mean, j) => beta[j]! - mean * scale[j]!));
};

/** Of each, the outputs of the layer before in the shape that they have. */
const SAME_SHAPE = [plain('Reshape', { target_shape: [-1, 2] })];

export const READ: Readonly<Record<string, readonly ReadCase[]>> = {
  '`InputLayer`': [read([affine([3, 3], [1, 1]), lstm()], first({ scale: 3, offset: 1 }))],
  '`Embedding`': [read([embedding(), lstm()])],
  '`Dense`: linear, relu, tanh, sigmoid, softmax': ['linear', 'relu', 'tanh', 'sigmoid', 'softmax'].map((activation) => read([lstm(), dense(activation)])),
  '`TimeDistributed` around `Dense`': [read([lstm(), dense('relu')], ([input, layer, head]) => [input!, layer!, asTimeDistributed(head!)])],
  '`SimpleRNN`: tanh, relu': [read([rnn('tanh'), dense()]), read([rnn('relu')])],
  '`GRU`, `reset_after=True`': [read([gru('after')])],
  '`GRU`, `reset_after=False`': [read([gru('before')]), read([gru('before')], first({ reset_after: undefined }))],
  '`LSTM`': [read([lstm()])],
  '`RNN` around `SimpleRNNCell`, `GRUCell`, `LSTMCell`': [rnn('relu'), gru('after'), lstm()].map((layer) =>
    read([layer], ([input, recurrent]) => [input!, asRnn(recurrent!)]),
  ),
  '`use_bias=False`': [rnn(), gru('before'), lstm()].map((layer) => read([withoutBias(layer)])),
  '`Bidirectional`, `merge_mode="concat"`': [
    ...[rnn(), gru('after'), gru('before'), lstm()].map((layer) => read([bidirectional(layer), dense('tanh', 4)])),
    read([bidirectional(lstm())], first({ backward_layer: undefined })),
    read([bidirectional(lstm()), lstm(4)], ([input, both, layer]) => [input!, both!, withConfig(layer!, { return_sequences: false })], 'of which it is the last'),
  ],
  '`go_backwards=True`': [
    read([reverse(lstm()), dense()], undefined, 'from the last to the first'),
    read([reverse(lstm()), reverse(gru())], ([input, one, other]) => [input!, one!, withConfig(other!, { go_backwards: false })], 'from the last to the first'),
    read([reverse(lstm()), lstm()], ([input, one, other]) => [input!, one!, withConfig(other!, { go_backwards: true })]),
    read([reverse(lstm()), dense()], first({ return_sequences: false }), 'of which it is the first'),
  ],
  '`return_sequences=False` on the last recurrent layer': [
    read([lstm(), dense()], first({ return_sequences: false }), 'of which it is the last'),
    read([gru()], first({ return_sequences: undefined }), 'of which it is the last'),
  ],
  '`Bidirectional`, `return_sequences=False`': [
    read([bidirectional(lstm()), dense('sigmoid', 4)], firstLastStates, 'returns the last state of each direction alone'),
    read([bidirectional(gru())], firstLastStates, 'returns the last state of each direction alone'),
  ],
  '`stateful=True`': [read([lstm()], first({ stateful: true }), 'the service does so in sessions')],
  '`return_state`, `unroll`, `time_major`, `dropout`, `recurrent_dropout`': [
    {
      ...read([lstm(), dense()], first({ return_state: true, unroll: true, time_major: true, dropout: 0.5, recurrent_dropout: 0.5 })),
      style: 'a functional .keras of Keras 3',
    },
  ],
  '`Normalization`': [
    inFrontOf(NORMALIZED, normalization({})),
    inFrontOf(NORMALIZED, normalization({ axis: -1, ...MOMENTS }, false)),
    inFrontOf(NORMALIZED, normalization({ axis: [2], mean: [[[0.5, -1]]], variance: [[[4, 0]]] }, false)),
    inFrontOf(affine([2, 2], [0.5, 0.5]), normalization({ axis: null, mean: 0.5, variance: 4, invert: true }, false)),
    inFrontOf(affine([0.5, 0.5], [-0.25, -0.25]), normalization({ axis: [], mean: 0.5, variance: 4 }, false)),
  ],
  '`Rescaling`': [
    read([affine([0.1, 3], [0, -1]), lstm()]),
    inFrontOf(affine([1 / 255, 1 / 255], [0, 0]), plain('Rescaling', { scale: 1 / 255, offset: 0 })),
    inFrontOf(affine([0.1, 3], [1, 1]), plain('Rescaling', { scale: { class_name: '__numpy__', config: { value: [0.1, 3], dtype: 'float32' } }, offset: 1 })),
  ],
  '`BatchNormalization`': [
    inFrontOf(folded([2, -1], [0.25, 3]), plain('BatchNormalization', { axis: -1, epsilon: 0.001 }, [['', [norm.gamma, norm.beta, norm.mean, norm.variance]]])),
    inFrontOf(folded([1, 1], [0.25, 3]), plain('BatchNormalization', { axis: [2], epsilon: 0.001, scale: false }, [['', [norm.beta, norm.mean, norm.variance]]])),
    inFrontOf(folded([2, -1], [0, 0]), plain('BatchNormalization', { axis: 2, epsilon: 0.001, center: false }, [['', [norm.gamma, norm.mean, norm.variance]]])),
  ],
  '`Activation`, `ReLU`, `Softmax` behind a linear `Dense`': [
    fused('sigmoid', plain('Activation', { activation: 'sigmoid' })),
    fused('tanh', plain('Dropout', { rate: 0.5 }), plain('Activation', { activation: 'tanh' })),
    fused('relu', plain('ReLU', { max_value: null, negative_slope: 0, threshold: 0 })),
    fused('softmax', plain('Softmax', { axis: -1 })),
    fused('linear', plain('Activation', { activation: 'linear' })),
    fused('relu', asTimeDistributed(plain('Activation', { activation: 'relu' }))),
  ],
  '`Dropout`, `SpatialDropout1D`, `GaussianNoise`, `ActivityRegularization`, `Identity`': [
    read([lstm(), dense()], afterFirst(...['Dropout', 'SpatialDropout1D', 'GaussianNoise', 'ActivityRegularization', 'Identity'].map((name) => plain(name)))),
  ],
  '`Reshape`, `Flatten` to the same shape': [
    read([lstm(), dense()], afterFirst(...SAME_SHAPE)),
    read([lstm(), dense()], (file) => afterFirst(plain('Flatten'), plain('Reshape', { target_shape: [2] }))(first({ return_sequences: false })(file)), 'the last'),
  ],
  'a Sequential or functional model among the layers': (['a .keras of Keras 3', 'a .keras of Keras 2.13', 'a .h5 of Keras 2'] as const).map((style) => ({
    ...read([lstm(), gru(), dense('tanh')], ([input, ...inner]) => [input!, { ...plain('Sequential'), layers: inner.slice(0, 2) }, inner[2]!]),
    style,
  })),
  'float16, bfloat16, float64': [
    { layers: rounded(cell('lstm-one-unit'), (value) => Math.f16round(value)), file: fixture('half.keras') },
    { layers: rounded(cell('lstm-one-unit'), cutToBfloat16), file: fixture('bfloat16.keras') },
    { layers: rounded(cell('lstm-one-unit'), (value) => value), file: fixture('double.keras') },
  ],
  'chunks with gzip, shuffle, fletcher32': [{ layers: cell('gru-tails'), file: fixture('gru-tails.h5') }],
};

/** An lstm behind a layer that is an affine one. */
function inFrontOf(expected: LayerJson, layer: LayerToWrite): ReadCase {
  const behind = lstm();
  return { layers: [expected, behind], file: before(layer)(written(behind)) };
}

/** A dense layer whose activation is that of a layer behind it. */
function fused(activation: string, ...layers: LayerToWrite[]): ReadCase {
  const stack = [lstm(), dense()];
  const [recurrent, head] = stack as [LayerJson, LayerJson];
  return { layers: [recurrent, { ...head, activation }], file: [...written(...stack), ...layers] };
}

/** An lstm with b for the sum of its biases, and all numbers in another type. */
function rounded(layers: readonly { W_x: number[][]; W_h: number[][]; b: number[]; b_h: number[] }[], round: (value: number) => number) {
  return layers.map(({ W_x, W_h, b, b_h }) => {
    const matrix = (rows: number[][]) => rows.map((row) => row.map(round));
    return { type: 'lstm', W_x: matrix(W_x), W_h: matrix(W_h), b: b.map((value, j) => round(Math.fround(Math.fround(value) + Math.fround(b_h[j]!)))) };
  });
}

/** The upper half of a float32. */
function cutToBfloat16(value: number): number {
  const bits = new DataView(new ArrayBuffer(4));
  bits.setFloat32(0, value);
  bits.setUint16(2, 0);
  return bits.getFloat32(0);
}
