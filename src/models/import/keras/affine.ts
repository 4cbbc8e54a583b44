// The layers of Keras that scale and shift each feature: x ∘ scale + offset. Both are computed in float64, then rounded.
//
//   Normalization        (x - mean) / max(√variance, 1e-7)
//   Rescaling            x scale + offset
//   BatchNormalization   (x - mean) / √(variance + epsilon) ∘ gamma + beta
import { quoteValue } from '../../../codec/safetensors/quote.ts';
import type { FileTensor } from '../layer.ts';
import type { Chain } from './chain.ts';
import { layerNotRead, malformed } from './errors.ts';
import { fieldOf, flagOf, isObject } from './json.ts';
import type { KerasLayer } from './keras-layer.ts';
import type { KerasWeights, NamedTensor } from './weights.ts';

const DEVIATION_MIN = 1e-7;
const VECTOR_MAX = 65_536;
const AXES = ['D'];

export function addNormalization(layer: KerasLayer, chain: Chain, weights: KerasWeights): void {
  const axes = [fieldOf(layer.config, 'axis') ?? []].flat();
  if (axes.length > 0) expectLastAxis(layer, chain, axes);
  const given = fieldOf(layer.config, 'mean') ?? null;
  const [mean, variance] =
    given === null
      ? weights.read(layer, [{ path: '', roles: ['mean', 'variance'], unread: 1 }])[0]!
      : [constant(layer, 'mean'), constant(layer, 'variance')];
  const D = sizeOf(layer, chain, mean!, variance!);
  const deviation = (j: number) => Math.max(Math.sqrt(at(variance!, j)), DEVIATION_MIN);
  if (flagOf(layer.config, 'invert')) {
    const scale = computed(`${variance!.name} (√)`, D, deviation);
    chain.add({ type: 'affine', scale, offset: computed(mean!.name, D, (j) => at(mean!, j)) });
    return;
  }
  const scale = computed(`${variance!.name} (1 / √)`, D, (j) => 1 / deviation(j));
  const offset = computed(`${mean!.name}, ${variance!.name} (-mean / √)`, D, (j) => -at(mean!, j) / deviation(j));
  chain.add({ type: 'affine', scale, offset });
}

export function addRescaling(layer: KerasLayer, chain: Chain): void {
  const [scale, offset] = [constant(layer, 'scale'), constant(layer, 'offset', 0)];
  const D = sizeOf(layer, chain, scale, offset);
  const filled = (one: NamedTensor) => computed(one.name, D, (j) => at(one, j));
  chain.add({ type: 'affine', scale: filled(scale), offset: filled(offset) });
}

export function addBatchNormalization(layer: KerasLayer, chain: Chain, weights: KerasWeights): void {
  const { config } = layer;
  expectLastAxis(layer, chain, [fieldOf(config, 'axis') ?? -1].flat());
  if (flagOf(config, 'renorm')) throw layerNotRead(layer, 'has renorm=True, expected renorm=False');
  const eps = fieldOf(config, 'epsilon');
  if (typeof eps !== 'number') throw malformed(`has no epsilon of its layer ${quoteValue(layer.name)}`);
  const [scales, centers] = [flagOf(config, 'scale', true), flagOf(config, 'center', true)];
  const roles = [...(scales ? ['gamma'] : []), ...(centers ? ['beta'] : []), 'moving_mean', 'moving_variance'];
  const [tensors] = weights.read(layer, [{ path: '', roles }]);
  const of = (role: string): FileTensor | undefined => {
    const k = roles.indexOf(role);
    return k < 0 ? undefined : { ...tensors![k]!, axes: AXES };
  };
  const [mean, variance] = [of('moving_mean')!, of('moving_variance')!];
  chain.add({ type: 'affine', norm: { mean, variance, weight: of('gamma'), bias: of('beta'), eps } });
  chain.features = mean.tensor.shape[0];
}

function expectLastAxis(layer: KerasLayer, { rank }: Chain, axes: readonly unknown[]): void {
  const [axis] = axes;
  if (axes.length === 1 && (axis === -1 || (rank !== undefined && axis === rank - 1))) return;
  throw layerNotRead(layer, `is over the axes ${quoteValue(axes)}, expected the features, axis=-1`);
}

/** Features: those of the vectors, or of what the layer reads if both are one number. */
function sizeOf(layer: KerasLayer, chain: Chain, ...tensors: readonly NamedTensor[]): number {
  const sizes = tensors.map(({ tensor }) => tensor.data.length);
  const D = sizes.find((size) => size !== 1) ?? chain.features;
  if (D === undefined) throw layerNotRead(layer, 'has one number for all features, expected the number of features in the shape of the input');
  if (D > VECTOR_MAX) throw layerNotRead(layer, `has ${D} features, expected at most ${VECTOR_MAX}`);
  if (sizes.some((size) => size !== 1 && size !== D)) {
    throw malformed(`has vectors of ${sizes.join(' and ')} numbers in its layer ${quoteValue(layer.name)}, expected the same`);
  }
  chain.features = D;
  return D;
}

/** One number stands for all. */
const at = ({ tensor: { data } }: NamedTensor, j: number) => (data.length === 1 ? data[0]! : data[j]!);

function computed(name: string, D: number, elementAt: (j: number) => number): FileTensor {
  return { name, axes: AXES, tensor: { dtype: 'F64', shape: [D], data: Float64Array.from({ length: D }, (_, j) => elementAt(j)) } };
}

/** A number or a vector in the config, where NumPy's arrays are objects. */
function constant(layer: KerasLayer, field: string, fallback?: number): NamedTensor {
  const value = fieldOf(layer.config, field) ?? fallback;
  const config = isObject(value) ? fieldOf(value, 'config') : undefined;
  let numbers = isObject(config) ? fieldOf(config, 'value') : value;
  // Axes before the features, of size 1.
  while (Array.isArray(numbers) && numbers.length === 1 && Array.isArray(numbers[0])) [numbers] = numbers;
  const vector: unknown[] = Array.isArray(numbers) ? numbers : [numbers];
  if (vector.length === 0 || !vector.every((one) => typeof one === 'number')) {
    throw layerNotRead(layer, `has ${quoteValue(value)} as its ${field}, expected a number or one for each feature`);
  }
  const data = Float64Array.from(vector);
  return { name: `${layer.name}.${field}`, tensor: { dtype: 'F64', shape: [data.length], data } };
}
