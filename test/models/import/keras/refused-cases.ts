// For each row of the table of what is refused of Keras: files, and the reason.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { File, Group } from 'h5wasm';
import type { ErrorCode } from '../../../../src/error-kinds.ts';
import { type LayerToWrite, type ModelToWrite, type Style, groupIn, hdf5, kerasFile, zip } from '../../../helpers/keras-files.ts';
import type { LayerJson } from '../../../helpers/framework-files.ts';
import { bidirectional, dense, embedding, firstLastStates, gru, lstm, plain, rnn, vector, withConfig, written } from './stacks.ts';

export interface RefusedCase {
  readonly file: () => Promise<Uint8Array> | Uint8Array;
  /** In the detail. */
  readonly part: string;
  readonly code?: ErrorCode;
}

const fixture = (name: string) => readFileSync(join(import.meta.dirname, '../../../fixtures/keras', name));

/** @param change of the layers as they are written, the first of which is the input */
function refused(part: string, layers: readonly LayerJson[], change: (file: LayerToWrite[]) => readonly LayerToWrite[], style: Style = 'a .keras of Keras 3'): RefusedCase {
  return { part, file: () => kerasFile(style, change(written(...layers))) };
}

const first = (config: Record<string, unknown>) => ([input, layer, ...more]: LayerToWrite[]) => [input!, withConfig(layer!, config), ...more];
const second = (config: Record<string, unknown>) => ([input, layer, next, ...more]: LayerToWrite[]) => [input!, layer!, withConfig(next!, config), ...more];
const behind = (part: string, ...layers: LayerToWrite[]) => refused(part, [lstm()], (file) => [...file, ...layers]);

/** A functional model of an lstm and a dense layer. */
function graph(part: string, model: (model: ModelToWrite) => void, style: Style = 'a functional .keras of Keras 3'): RefusedCase {
  return { part, file: () => kerasFile(style, written(lstm(), dense()), { model }) };
}

interface LayerEntry {
  name: string;
  inbound_nodes: { args: unknown[]; kwargs: Record<string, unknown> }[];
}

const entryOf = (model: ModelToWrite, name: string) => (model.config.layers as unknown as LayerEntry[]).find((layer) => layer.name === name)!;
const tensorOf = (name: string, output = 0) => ({ class_name: '__keras_tensor__', config: { keras_history: [name, 0, output] } });

/** A .h5 of a dense layer, whose kernel is made by `fill`. */
const weights = (part: string, fill: (group: Group, file: File) => void): RefusedCase => ({
  part,
  file: () =>
    hdf5((file) => {
      const kernel = { name: 'dense', units: 2, activation: 'linear', use_bias: false };
      const model = { class_name: 'Sequential', config: { layers: [{ class_name: 'Dense', config: kernel }] } };
      file.create_attribute('model_config', JSON.stringify(model));
      const group = groupIn(file, 'model_weights/dense');
      group.create_attribute('weight_names', ['kernel']);
      fill(group, file);
    }),
});

const KERNEL = { data: Float32Array.of(1, 2, 3, 4), shape: [2, 2] };

export const REFUSED: Readonly<Record<string, readonly RefusedCase[]>> = {
  '`Embedding`, `mask_zero=True`': [refused('has mask_zero=True', [embedding(), lstm()], first({ mask_zero: true }))],
  '`Masking`': [refused('skips steps by their values', [lstm()], ([input, layer]) => [input!, plain('Masking', { mask_value: 0 }), layer!])],
  'other activations, e.g. `hard_sigmoid`': [
    refused('has recurrent_activation "hard_sigmoid", expected "sigmoid"', [lstm()], first({ recurrent_activation: 'hard_sigmoid' })),
    refused('has recurrent_activation (missing), expected "sigmoid"', [gru()], first({ recurrent_activation: undefined })),
    refused('has activation "relu", expected "tanh"', [gru()], first({ activation: 'relu' })),
    refused('has activation "linear", expected "tanh" or "relu"', [rnn()], first({ activation: null })),
    refused('has activation "gelu", expected "linear" or "relu"', [lstm(), dense()], second({ activation: 'gelu' })),
    refused('has activation an object', [lstm(), dense()], second({ activation: { class_name: 'function', config: 'mine' } })),
    refused('Layer "leakyrelu" (LeakyReLU) is not computed', [lstm(), dense()], (file) => [...file, plain('LeakyReLU')]),
    refused('a max_value, a negative_slope or a threshold', [lstm(), dense()], (file) => [...file, plain('ReLU', { max_value: 6 })]),
  ],
  '`Bidirectional`, `merge_mode` "sum", "ave", "mul" or none': ['sum', 'ave', 'mul', null].map((mode) =>
    refused(`has merge_mode ${JSON.stringify(mode)}, expected "concat"`, [bidirectional(lstm())], first({ merge_mode: mode })),
  ),
  '`return_sequences=False` before a recurrent layer': [
    refused('follows "layer_0", which returns only its last step', [lstm(), gru()], first({ return_sequences: false })),
    refused('follows "layer_0", which returns only its last step', [bidirectional(lstm()), lstm(4)], firstLastStates),
  ],
  'an activation by itself, not behind a linear `Dense`': [
    behind('is an activation of its own', plain('Activation', { activation: 'relu' })),
    refused('is an activation of its own', [lstm(), dense('relu')], (file) => [...file, plain('Softmax', { axis: -1 })]),
  ],
  '`LayerNormalization`, `GroupNormalization`, `UnitNormalization`': ['LayerNormalization', 'GroupNormalization', 'UnitNormalization'].map((name) =>
    behind('normalises each step over its features', plain(name, { axis: -1 })),
  ),
  '`BatchNormalization`, `Normalization`, `Softmax` over other axes': [
    behind('is over the axes [1], expected the features', plain('BatchNormalization', { axis: 1, epsilon: 0.001 })),
    behind('is over the axes [1, 2], expected the features', plain('Normalization', { axis: [1, 2] })),
    refused('is over the axis 1, expected the last', [lstm(), dense()], (file) => [...file, plain('Softmax', { axis: 1 })]),
  ],
  '`Reshape`, `Flatten`, `Permute`, `RepeatVector` to another shape': [
    behind('gives its input the shape [4]', plain('Reshape', { target_shape: [4] })),
    behind('gives its input the shape [-1, 1]', plain('Reshape', { target_shape: [-1, 1] })),
    behind('joins all steps', plain('Flatten')),
    behind('exchanges axes', plain('Permute')),
    behind('repeats one step', plain('RepeatVector')),
  ],
  '`CuDNNLSTM`, `CuDNNGRU`': ['CuDNNLSTM', 'CuDNNGRU'].map((name) => behind('is of cuDNN', plain(name))),
  '`Conv1D`, pooling, attention': [
    behind('is a convolution', plain('Conv1D')),
    behind('reads several steps at once', plain('GlobalAveragePooling1D')),
    behind('is an attention', plain('MultiHeadAttention')),
  ],
  '`Lambda` and classes of your own': [
    behind('is Python code', plain('Lambda')),
    behind('is not computed, expected one of InputLayer, Embedding', plain('MyLayer')),
    graph('is of a class of its own code', (model) => {
      model.config.layers[0]!['module'] = 'my_layers';
    }),
  ],
  'several inputs, outputs or paths, shared layers, `initial_state`': [
    graph('several inputs', (model) => {
      model.config.input_layers = [['input', 0, 0], ['layer_0', 0, 0]];
    }),
    graph('several outputs', (model) => {
      model.config.output_layers = { a: ['layer_0', 0, 0], b: ['layer_1', 0, 0] };
    }),
    graph('is beside the one path', (model) => {
      model.config.output_layers = [['layer_0', 0, 0]];
    }),
    graph('is called 2 times', (model) => {
      const { inbound_nodes } = entryOf(model, 'layer_1');
      inbound_nodes.push(inbound_nodes[0]!);
    }),
    graph('reads 2 tensors', (model) => {
      entryOf(model, 'layer_0').inbound_nodes[0]!.kwargs['initial_state'] = [tensorOf('input')];
    }),
    graph('reads 2 tensors', (model) => {
      (entryOf(model, 'layer_0') as { inbound_nodes: unknown }).inbound_nodes = [[['input', 0, 0, { initial_state: [['input', 0, 0]] }]]];
    }, 'a .keras of Keras 2.13'),
    graph('another output of "layer_0" than its first', (model) => {
      entryOf(model, 'layer_1').inbound_nodes[0]!.args = [tensorOf('layer_0', 1)];
    }),
    behind('joins several tensors', plain('Concatenate')),
  ],
  '`training=True` in a call': [
    graph('is called with training=True', (model) => {
      entryOf(model, 'layer_0').inbound_nodes[0]!.kwargs['training'] = true;
    }),
    graph('is called with training=True', (model) => {
      (entryOf(model, 'layer_0') as { inbound_nodes: unknown }).inbound_nodes = [[['input', 0, 0, { training: true }]]];
    }, 'a .keras of Keras 2.13'),
  ],
  'a subclassed model': [
    graph('has a model of class "MyModel"', (model) => {
      model.class_name = 'MyModel';
    }),
  ],
  'weights alone, e.g. `.weights.h5`': [{ part: 'has weights alone', file: () => hdf5((file) => groupIn(file, 'layers/dense/vars')) }],
  'quantized layers': [
    refused('has 3 tensors at "layers/dense/vars", expected 2: kernel, bias', [lstm(), dense()], ([input, layer, head]) => [
      input!, layer!, { ...head!, parts: [['', [...head!.parts[0]![1], vector('kernel_scale', 1, 1)]]] },
    ]),
    weights('expected one of float16, float32, float64 or bfloat16', (group) => {
      group.create_dataset({ name: 'kernel', data: Int8Array.of(1, 2, 3, 4), shape: [2, 2] });
    }),
  ],
  'links, external and virtual datasets, other filters': [
    weights('has a link to another place at "model_weights/dense/kernel"', (group, file) => {
      file.create_dataset({ name: 'elsewhere', ...KERNEL });
      group.create_soft_link('/elsewhere', 'kernel');
    }),
    weights('has a link to another place at "model_weights/dense/kernel"', (group) => {
      group.create_external_link('other.h5', '/kernel', 'kernel');
    }),
    { part: 'cannot be read', code: 'malformed_model_file', file: () => fixture('refused-external-file.h5') },
    { part: 'whose elements are in other files', file: () => fixture('refused-virtual.h5') },
    { part: 'behind the filters 32000; expected gzip', file: () => fixture('refused-lzf.h5') },
    { part: 'in 100000 chunks', file: () => fixture('refused-many-chunks.h5') },
  ],
  'more than four times the size of the file': [
    { part: 'of 4398046511104 bytes', file: () => fixture('refused-huge.h5') },
    { part: 'of 4194304 bytes; expected at most', file: () => fixture('refused-zeros.h5') },
    {
      part: 'bytes inflated; expected at most',
      file: () => zip({ 'config.json': Buffer.from('{}'), 'model.weights.h5': { content: Buffer.alloc(4 * 2 ** 20), deflates: true } }),
    },
  ],
};
