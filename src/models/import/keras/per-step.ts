// The layers of Keras that compute each step by itself: Embedding, Dense, and activations behind a Dense.
import { quoteValue } from '../../../codec/safetensors/quote.ts';
import type { DenseActivation } from '../../../layers.ts';
import { activationOf } from './activations.ts';
import type { Chain } from './chain.ts';
import { layerNotRead, malformed } from './errors.ts';
import { type JsonObject, fieldOf, flagOf, isObject, textOf } from './json.ts';
import type { KerasLayer } from './keras-layer.ts';
import type { KerasWeights } from './weights.ts';

const DENSE_ACTIVATIONS = ['linear', 'relu', 'tanh', 'sigmoid', 'softmax'] as const;
const LAYOUT = { isTransposed: false };

export function addEmbedding(layer: KerasLayer, chain: Chain, weights: KerasWeights): void {
  if (!chain.isEmpty) throw layerNotRead(layer, 'follows another layer, expected an Embedding only as the first one');
  if (flagOf(layer.config, 'mask_zero')) {
    throw layerNotRead(
      layer,
      'has mask_zero=True: steps with row number 0 are skipped wherever they are; expected mask_zero=False, and the ' +
        'number of steps of each row as `lengths` in requests',
    );
  }
  if (chain.rank === 3) throw layerNotRead(layer, 'reads several row numbers in a step, expected one: Input(shape=(steps,))');
  const [tensors] = weights.read(layer, [{ path: '', roles: ['embeddings'] }]);
  const E = tensors![0]!;
  chain.add({ type: 'embedding', E: { ...E, axes: ['V', 'D'] } });
  chain.features = E.tensor.shape[1];
  chain.rank = 3;
}

/** @param path of the Dense in the layer: `layer` in a TimeDistributed */
export function addDense(layer: KerasLayer, chain: Chain, weights: KerasWeights, config = layer.config, path = ''): void {
  const activation = activationOf(layer, 'activation', DENSE_ACTIVATIONS, config);
  const roles = flagOf(config, 'use_bias', true) ? ['kernel', 'bias'] : ['kernel'];
  const [tensors] = weights.read(layer, [{ path, roles }]);
  const [W, b] = [tensors![0]!, tensors![1]];
  const units = fieldOf(config, 'units') ?? fieldOf(config, 'output_dim');
  if (W.tensor.shape[1] !== units) {
    throw malformed(`says that layer ${quoteValue(layer.name)} has ${quoteValue(units)} units, and its weights have ${W.tensor.shape[1]}`);
  }
  chain.add({ type: 'dense', activation, layout: LAYOUT, W: { ...W, axes: ['I', 'O'] }, b: b && { ...b, axes: ['O'] } });
  chain.features = W.tensor.shape[1];
}

/** A layer that is applied to each step, which a Dense is anyhow. */
export function addTimeDistributed(layer: KerasLayer, chain: Chain, weights: KerasWeights): void {
  const inner = fieldOf(layer.config, 'layer');
  const config = isObject(inner) ? fieldOf(inner, 'config') : undefined;
  const className = isObject(inner) ? textOf(inner, 'class_name') : undefined;
  if (className === undefined || !isObject(config)) throw malformed('has a TimeDistributed without its layer');
  if (className === 'Dense') addDense(layer, chain, weights, config, 'layer');
  else if (className === 'Activation') fuse(layer, chain, activationOf(layer, 'activation', DENSE_ACTIVATIONS, config));
  else if (className !== 'Dropout') throw layerNotRead(layer, `is around a ${quoteValue(className)}, expected Dense`);
}

export function addActivation(layer: KerasLayer, chain: Chain): void {
  fuse(layer, chain, activationOf(layer, 'activation', DENSE_ACTIVATIONS));
}

export function addReLU(layer: KerasLayer, chain: Chain): void {
  const { config } = layer;
  const maximum = fieldOf(config, 'max_value') ?? null;
  if (maximum !== null || !isZero(config, 'negative_slope') || !isZero(config, 'threshold')) {
    throw layerNotRead(layer, 'has a max_value, a negative_slope or a threshold, expected a ReLU without');
  }
  fuse(layer, chain, 'relu');
}

export function addSoftmax(layer: KerasLayer, chain: Chain): void {
  const axis = fieldOf(layer.config, 'axis') ?? -1;
  const last = chain.rank === undefined ? -1 : chain.rank - 1;
  if (axis !== -1 && axis !== last) throw layerNotRead(layer, `is over the axis ${quoteValue(axis)}, expected the last, -1`);
  fuse(layer, chain, 'softmax');
}

const isZero = (config: JsonObject, field: string) => (fieldOf(config, field) ?? 0) === 0;

function fuse(layer: KerasLayer, chain: Chain, activation: DenseActivation): void {
  if (activation === 'linear') return;
  const dense = chain.linearDense;
  if (!dense) throw layerNotRead(layer, 'is an activation of its own, expected one right behind a Dense with activation="linear"');
  chain.replaceLast({ ...dense, activation });
}
