// The layers of a checkpoint → layers as requests have them, their tensors in our layout, and a list of which tensors
// of the file each of ours is made of.
import { orderBlocks } from '../../codec/convert-tensor.ts';
import { type LayerSource, type RecurrentSource, type RecurrentSpec, GATES, recurrentWeights } from '../../layers.ts';
import type { TensorSource } from '../../tensor.ts';
import { FileSource, computedVector, finiteFloats, firstNotFinite, outOfRange } from './file-source.ts';
import {
  type FileTensor,
  type FoundBias,
  type FoundDense,
  type FoundDirection,
  type FoundLayer,
  type FoundNorm,
  type FoundRecurrent,
  type Layout,
  gateOrder,
} from './layer.ts';
import type { LayerSizes } from './layer-shapes.ts';
import { listNames } from './refusal.ts';

const NO_NUMBERS = new Float32Array();

/**
 * The tensors are read when they are copied, and may be out of range then.
 *
 * @param sizes as expectShapesAgree() returns them
 * @param index of the layer in the model
 */
export function convertLayer(layer: FoundLayer, sizes: LayerSizes, index: number): LayerSource {
  const place = `layers/${index}`;
  switch (layer.type) {
    case 'embedding':
      return { type: 'embedding', E: new FileSource(`${place}/E`, layer.E) };
    case 'affine': {
      if ('norm' in layer) return { type: 'affine', ...foldNorm(place, layer.norm) };
      const { scale, offset } = layer;
      const source = (name: string, part: FileTensor) => new FileSource(`${place}/${name}`, part);
      return { type: 'affine', scale: source('scale', scale), offset: source('offset', offset) };
    }
    case 'dense':
      return convertDense(layer, place);
    default:
      return convertRecurrent(layer, sizes, place);
  }
}

function convertDense({ activation, layout, W, b }: FoundDense, place: string): LayerSource {
  return {
    type: 'dense',
    activation,
    W: new FileSource(`${place}/W`, W, layout.isTransposed),
    b: b && new FileSource(`${place}/b`, b),
  };
}

function convertRecurrent(layer: FoundRecurrent, sizes: LayerSizes, place: string): LayerSource {
  const { type, direction, activation = 'tanh', reset = 'after' } = layer;
  const { D, H } = sizes as { D: number; H: number };
  const spec = { type, direction, activation, reset, D, H } as RecurrentSpec;
  const convert = (weights: FoundDirection, path: string) => convertDirection(weights, spec, layer.layout, path);
  const directed = {
    direction,
    weights: convert(layer.weights, place),
    backward: layer.backward && convert(layer.backward, `${place}/backward`),
  };
  if (type === 'rnn') return { type, activation, ...directed };
  return type === 'gru' ? { type, reset, ...directed } : { type, ...directed };
}

function convertDirection(
  found: FoundDirection,
  spec: RecurrentSpec,
  layout: Layout,
  place: string,
): RecurrentSource {
  const { H } = spec;
  const order = gateOrder(spec.type, layout);
  const matrix = (name: string, part: FileTensor) =>
    new FileSource(`${place}/${name}`, part, layout.isTransposed, order);
  const { b, b_h, b_hn } = found;
  const columns = GATES[spec.type].length * H;
  // A bias is read once, though a GRU has a part of it in b and a part in b_h.
  let read: Biases | undefined;
  const biases = () => (read ??= sumBiases(found, spec, order));
  const hasOwn = spec.type === 'gru' && spec.reset === 'after' && (b_h ?? b_hn) !== undefined;
  return {
    W_x: matrix('W_x', found.W_x),
    W_h: matrix('W_h', found.W_h),
    b: (b ?? b_h ?? b_hn) && computedVector(`${place}/b`, columns, () => biases().b),
    b_h: hasOwn ? computedVector(`${place}/b_h`, columns, () => biases().b_h) : undefined,
  };
}

interface Biases {
  readonly b: Float32Array;
  readonly b_h: Float32Array;
}

/**
 * The biases of a direction as float32, those that are only ever added as their sum, which is added in float64.
 *
 * @returns b (G H), and b_h (G H): what is added to it is -0, which changes no sum
 */
function sumBiases(
  found: FoundDirection,
  spec: RecurrentSpec,
  order: readonly number[] | undefined,
): Biases {
  const { H } = spec;
  const columns = GATES[spec.type].length * H;
  const read = (bias: FoundBias, count = columns) => {
    finiteFloats(bias.from);
    const numbers = bias.from.tensor.data.subarray(bias.start, bias.start + count);
    // b_hn is of one gate alone.
    return order && count === columns ? orderBlocks(numbers.slice(), columns, order) : numbers;
  };
  const b = found.b && read(found.b);
  const b_hn = found.b_hn && [...Array<number>(columns - H).fill(-0), ...read(found.b_hn, H)];
  const b_h = found.b_h ? read(found.b_h) : b_hn;
  const sum = recurrentWeights(spec, { W_x: NO_NUMBERS, W_h: NO_NUMBERS, b, b_h });
  const at = firstNotFinite(sum.b);
  if (at >= 0) {
    const names = [found.b, found.b_h ?? found.b_hn].flatMap((bias) => (bias ? [bias.from.name] : []));
    const value = (b?.[at] ?? 0) + (b_h?.[at] ?? 0);
    throw outOfRange(names, `The sum of tensors ${listNames(names)} is ${value} at [${at}]`);
  }
  const own = new Float32Array(columns).fill(-0);
  if (sum.b_hn) own.set(sum.b_hn, columns - H);
  return { b: sum.b, b_h: own };
}

/** In float64, then rounded. */
function foldNorm(place: string, norm: FoundNorm): { scale: TensorSource; offset: TensorSource } {
  const { mean, variance, weight, bias, eps } = norm;
  const D = mean.tensor.shape[0]!;
  const scaleAt = (j: number) => (weight?.tensor.data[j] ?? 1) / Math.sqrt(variance.tensor.data[j]! + eps);
  const read = (name: string, elementAt: (j: number) => number) =>
    computedVector(`${place}/${name}`, D, () => {
      for (const tensor of [mean, variance, weight, bias]) if (tensor) finiteFloats(tensor);
      const numbers = Float32Array.from({ length: D }, (_, j) => elementAt(j));
      const at = firstNotFinite(numbers);
      if (at < 0) return numbers;
      const found = `The ${name} of the batch normalisation is ${numbers[at]} at [${at}]`;
      throw outOfRange([variance.name], `${found}, because its variance is ${variance.tensor.data[at]} and eps ${eps}`);
    });
  return {
    scale: read('scale', scaleAt),
    offset: read('offset', (j) => (bias?.tensor.data[j] ?? 0) - mean.tensor.data[j]! * scaleAt(j)),
  };
}
