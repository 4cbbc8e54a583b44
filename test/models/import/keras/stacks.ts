// Small layers in JSON, as Keras writes them, and changes of what it writes.
import { type LayerJson, randomOf } from '../../../helpers/framework-files.ts';
import type { LayerToWrite, Variable } from '../../../helpers/keras-files.ts';
import { kerasLayers } from '../../../helpers/keras-layers.ts';
import { layersInJson } from '../../../helpers/model-layers.ts';

const { matrix, numbers } = randomOf(20_151);
/** Inputs and hidden units of all layers: each can follow each. */
export const D = 2;
const H = D;

export const embedding = (): LayerJson => ({ type: 'embedding', E: matrix(3, D) });
export const affine = (scale: number[], offset: number[]): LayerJson => ({ type: 'affine', scale, offset });
export const dense = (activation = 'linear', inputs = D): LayerJson => ({ type: 'dense', W: matrix(inputs, D), b: numbers(D), activation });
const direction = (gates: number, inputs = D) => ({ W_x: matrix(inputs, gates * H), W_h: matrix(H, gates * H), b: numbers(gates * H) });
export const rnn = (activation = 'tanh'): LayerJson => ({ type: 'rnn', activation, ...direction(1) });
export const gru = (reset: string = 'after'): LayerJson => ({ type: 'gru', reset, ...direction(3), ...(reset === 'after' ? { b_h: numbers(3 * H) } : {}) });
export const lstm = (inputs = D): LayerJson => ({ type: 'lstm', ...direction(4, inputs) });
export const reverse = (layer: LayerJson): LayerJson => ({ ...(layer as Recurrent), direction: 'reverse' });

type Recurrent = Extract<LayerJson, { W_x: unknown }>;

export function bidirectional(layer: LayerJson): LayerJson {
  const { reset } = layer as Recurrent;
  const other = layer.type === 'gru' ? gru(reset) : layer.type === 'lstm' ? lstm() : rnn();
  const { W_x, W_h, b, b_h } = other as Recurrent;
  const backward = { W_x, W_h, ...(b && { b }), ...(b_h && { b_h }) };
  return { ...(layer as Recurrent), direction: 'bidirectional', backward };
}

export function withoutBias(layer: LayerJson): LayerJson {
  const { b: _, b_h: __, ...rest } = layer as Recurrent;
  return rest;
}

/** With an input in front. */
export const written = (...layers: LayerJson[]): LayerToWrite[] => kerasLayers(layersInJson(layers));

/** Of any layers, also if none is recurrent: written beside an lstm. */
export const one = (layer: LayerJson): LayerToWrite => (layer.type === 'embedding' ? written(layer, lstm())[1]! : written(lstm(), layer)[2]!);

export const withConfig = (layer: LayerToWrite, config: Record<string, unknown>): LayerToWrite => ({
  ...layer,
  config: { ...layer.config, ...config },
});

export const plain = (className: string, config: Record<string, unknown> = {}, parts: LayerToWrite['parts'] = []): LayerToWrite => ({
  className,
  name: className.toLowerCase(),
  config,
  parts,
});

export const vector = (role: string, ...values: number[]): Variable => ({ role, shape: [values.length], data: Float32Array.from(values) });
export const count: Variable = { role: 'count', shape: [], data: Int32Array.of(7) };

/** Steps that its cell computes, as layers.RNN(cell). */
export function asRnn({ className, name, config, parts }: LayerToWrite): LayerToWrite {
  const { return_sequences, go_backwards, ...cell } = config;
  return { className: 'RNN', name, config: { return_sequences, go_backwards, cell: { class_name: `${className}Cell`, config: cell } }, parts };
}

export function asTimeDistributed({ className, name, config, parts }: LayerToWrite): LayerToWrite {
  const layer = { class_name: className, config };
  return { className: 'TimeDistributed', name, config: { layer }, parts: parts.map(([, variables]) => ['layer', variables]) };
}

/** The first layer, which is bidirectional, with its last states alone. */
export function firstLastStates([input, both, ...more]: LayerToWrite[]): LayerToWrite[] {
  const inner = (one: unknown) => ({ ...(one as object), config: { ...(one as { config: object }).config, return_sequences: false } });
  const { layer, backward_layer } = both!.config;
  return [input!, withConfig(both!, { layer: inner(layer), backward_layer: inner(backward_layer) }), ...more];
}
