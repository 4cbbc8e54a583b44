// The layers of a Keras model with their weights → layers as found in a file, one class after the other.
//
// To add a class: one row in READERS.
import type { FoundFile } from '../found-file.ts';
import { addBatchNormalization, addNormalization, addRescaling } from './affine.ts';
import { Chain } from './chain.ts';
import type { KerasLayer } from './keras-layer.ts';
import { addActivation, addDense, addEmbedding, addReLU, addSoftmax, addTimeDistributed } from './per-step.ts';
import { addFlatten, addReshape, readInput } from './plumbing.ts';
import { addBidirectional, addRecurrent } from './recurrent.ts';
import { refuse } from './refused.ts';
import type { KerasWeights } from './weights.ts';

type Reader = (layer: KerasLayer, chain: Chain, weights: KerasWeights) => void;

/** For layers that change nothing when a model is used. */
const nothing: Reader = () => {};

const READERS: ReadonlyMap<string, Reader> = new Map<string, Reader>([
  ['InputLayer', nothing],
  ['Embedding', addEmbedding],
  ['Dense', (layer, chain, weights) => addDense(layer, chain, weights)],
  ['TimeDistributed', addTimeDistributed],
  ['SimpleRNN', addRecurrent],
  ['GRU', addRecurrent],
  ['LSTM', addRecurrent],
  ['RNN', addRecurrent],
  ['Bidirectional', addBidirectional],
  ['Normalization', addNormalization],
  ['Rescaling', addRescaling],
  ['BatchNormalization', addBatchNormalization],
  ['Activation', addActivation],
  ['ReLU', addReLU],
  ['Softmax', addSoftmax],
  ['Dropout', nothing],
  ['SpatialDropout1D', nothing],
  ['AlphaDropout', nothing],
  ['GaussianDropout', nothing],
  ['GaussianNoise', nothing],
  ['ActivityRegularization', nothing],
  ['Identity', nothing],
  ['Reshape', addReshape],
  ['Flatten', addFlatten],
]);

/** @throws malformed_model_file · model_file_unsupported */
export function foundLayers(layers: readonly KerasLayer[], weights: KerasWeights): FoundFile {
  const chain = new Chain();
  for (const layer of layers) {
    if (chain.isEmpty) readInput(layer, chain);
    const reader = READERS.get(layer.className) ?? refuse(layer, [...READERS.keys()]);
    reader(layer, chain, weights);
  }
  return chain.found();
}
