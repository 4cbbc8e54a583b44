// The tensors of a model in a fixed order and under fixed names, and its layers without them as text. The id of a
// model is a digest of both, its stored file has both, and a block of its weights is laid out by both.
//
//   layers.0.E                                embedding
//   layers.1.scale, .offset                   affine
//   layers.2.W, .b                            dense
//   layers.3.W_x, .W_h, .b, .b_hn             recurrent; b_hn only of a gru with reset after
//   layers.3.backward.W_x, …                  the reverse direction of a bidirectional layer
import { type Layer, type LayerSpec, type RecurrentSpec, gatesOf, isRecurrent } from '../layers.ts';

/** As the tensors of a model in the short form are called in files. */
export const SHORT_NAMES: Readonly<Record<string, string>> = {
  'layers.0.W_x': 'W_x',
  'layers.0.W_h': 'W_h',
  'layers.0.b': 'b',
  'layers.1.W': 'W_y',
  'layers.1.b': 'b_y',
};

/** Row-major, every bias as it is after those that are only ever added were added. */
export interface LayerTensor {
  /** Where it is in the model, e.g. `layers.0.backward.W_h`. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

type Shapes = Readonly<Record<string, readonly number[]>>;

/** The layers without their weights, the keys of each in a fixed order. */
export function specsOf(layers: readonly LayerSpec[]): LayerSpec[] {
  return layers.map(specOf);
}

/** A model without its weights as JSON without white space: equal models have equal texts. */
export function describeLayers(layers: readonly LayerSpec[]): string {
  return JSON.stringify(specsOf(layers));
}

/** All tensors of a model in their order, in place. */
export function tensorsOf(layers: readonly Layer[]): LayerTensor[] {
  const tensors: LayerTensor[] = [];
  for (const [k, layer] of layers.entries()) {
    for (const [prefix, weights] of weightsOf(layer)) {
      for (const [name, shape] of Object.entries(shapesOf(layer))) {
        tensors.push({ name: `layers.${k}.${prefix}${name}`, shape, data: weights[name]! });
      }
    }
  }
  return tensors;
}

/**
 * Layers whose tensors are what `floats` returns.
 *
 * @param floats is called once for each tensor, in their order
 */
export function layersWith(
  specs: readonly LayerSpec[],
  floats: (name: string, shape: readonly number[], layer: number) => Float32Array,
): Layer[] {
  return specs.map((spec, k) => {
    const tensors = (prefix: string) =>
      mapValues(shapesOf(spec), (name, shape) => floats(`layers.${k}.${prefix}${name}`, shape, k));
    if (!isRecurrent(spec)) return { ...spec, ...tensors('') } as Layer;
    const weights = tensors('');
    if (spec.direction !== 'bidirectional') return { ...spec, weights } as unknown as Layer;
    return { ...spec, weights, backward: tensors('backward.') } as unknown as Layer;
  });
}

/** How many numbers a tensor has. */
export function countOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

function specOf(layer: LayerSpec): LayerSpec {
  const { type } = layer;
  switch (type) {
    case 'embedding':
      return { type, V: layer.V, D: layer.D };
    case 'affine':
      return { type, D: layer.D };
    case 'dense':
      return { type, I: layer.I, O: layer.O, activation: layer.activation };
    case 'rnn':
      return { type, D: layer.D, H: layer.H, direction: layer.direction, activation: layer.activation };
    case 'gru':
      return { type, D: layer.D, H: layer.H, direction: layer.direction, reset: layer.reset };
    case 'lstm':
      return { type, D: layer.D, H: layer.H, direction: layer.direction };
  }
}

/** The tensors of a layer, of one direction of it if it is recurrent, in their order. */
function shapesOf(spec: LayerSpec): Shapes {
  if (isRecurrent(spec)) return recurrentShapes(spec);
  switch (spec.type) {
    case 'embedding':
      return { E: [spec.V, spec.D] };
    case 'affine':
      return { scale: [spec.D], offset: [spec.D] };
    case 'dense':
      return { W: [spec.I, spec.O], b: [spec.O] };
  }
}

function recurrentShapes(spec: RecurrentSpec): Shapes {
  const { D, H } = spec;
  const columns = gatesOf(spec) * H;
  const hasOwnBias = spec.type === 'gru' && spec.reset === 'after';
  return { W_x: [D, columns], W_h: [H, columns], b: [columns], ...(hasOwnBias && { b_hn: [H] }) };
}

/** The tensors of each direction of a layer by their names, and what is before those names. */
function weightsOf(layer: Layer): [prefix: string, tensors: Readonly<Record<string, Float32Array>>][] {
  const named = (tensors: object) => tensors as Readonly<Record<string, Float32Array>>;
  if (!('weights' in layer)) return [['', named(layer)]];
  const { weights, backward } = layer;
  return backward ? [['', named(weights)], ['backward.', named(backward)]] : [['', named(weights)]];
}

function mapValues(shapes: Shapes, valueOf: (name: string, shape: readonly number[]) => Float32Array) {
  return Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, valueOf(name, shape)]));
}
