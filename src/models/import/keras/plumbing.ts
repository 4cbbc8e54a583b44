// The layers of Keras that compute nothing: inputs, what works in training alone, and changes of shape that change none.
import { quoteValue } from '../../../codec/safetensors/quote.ts';
import type { Chain } from './chain.ts';
import { layerNotRead } from './errors.ts';
import { fieldOf, flagOf } from './json.ts';
import type { KerasLayer } from './keras-layer.ts';

/** Also for a first layer that has the shape of the input in its own config, as in a Sequential of Keras 2. */
export function readInput(layer: KerasLayer, chain: Chain): void {
  const { config } = layer;
  const shape = fieldOf(config, 'batch_shape') ?? fieldOf(config, 'batch_input_shape');
  if (!Array.isArray(shape)) return;
  if (flagOf(config, 'ragged') || flagOf(config, 'sparse')) throw layerNotRead(layer, 'is ragged or sparse, expected a dense input');
  if (shape.length > 3) {
    throw layerNotRead(layer, `has the shape ${quoteValue(shape)}, expected (batch, steps, features), or (batch, steps) of row numbers`);
  }
  const sizes = shape.map((size: unknown) => (typeof size === 'number' ? size : undefined));
  chain.rank = shape.length;
  chain.steps = sizes[1];
  chain.features = sizes[2];
}

export function addReshape(layer: KerasLayer, chain: Chain): void {
  const target = fieldOf(layer.config, 'target_shape');
  const [first, second] = Array.isArray(target) ? (target as unknown[]) : [];
  const { rank, steps, features } = chain;
  const isFeatures = (size: unknown) => features !== undefined && (size === features || size === -1);
  const sizes = Array.isArray(target) ? target.length : 0;
  const ofStep = rank === 2 && sizes === 1 && isFeatures(first);
  const ofSteps = rank === 3 && sizes === 2 && isFeatures(second) && (steps === undefined ? first === -1 && second !== -1 : first === steps || first === -1);
  if (!ofStep && !ofSteps) throw layerNotRead(layer, `gives its input the shape ${quoteValue(target)}, expected no Reshape that changes it`);
}

export function addFlatten(layer: KerasLayer, chain: Chain): void {
  if (chain.rank !== 2) throw layerNotRead(layer, 'joins all steps into one vector, expected layers that read steps');
}
