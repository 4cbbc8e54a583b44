// The activations of a Keras layer by their names.
import { quoteValue } from '../../../codec/safetensors/quote.ts';
import { layerNotRead } from './errors.ts';
import { fieldOf } from './json.ts';
import type { KerasLayer } from './keras-layer.ts';

/**
 * @param field of the config
 * @param accepted names; none is `linear`
 * @throws model_file_unsupported
 */
export function activationOf<A extends string>(layer: KerasLayer, field: string, accepted: readonly A[], config = layer.config): A {
  const value = fieldOf(config, field) === null ? 'linear' : fieldOf(config, field);
  const found = accepted.find((name) => name === value);
  if (found !== undefined) return found;
  throw layerNotRead(layer, `has ${field} ${quoteValue(value)}, expected ${accepted.map((name) => `"${name}"`).join(' or ')}`);
}
