// The layers of a model as a request has them: options, and tensors that are still in the body. Their elements are
// copied once: to memory of their own, or to a block of linear memory in which workers hash and pack them.
import { setImmediate as nextIteration } from 'node:timers/promises';
import {
  type Layer,
  type LayerSource,
  type LayerSpec,
  type RecurrentSource,
  type RecurrentSpec,
  type RecurrentWeights,
  recurrentWeights,
} from '../layers.ts';
import { type TensorSource, formatShape } from '../tensor.ts';
import { countOf, layersWith } from '../wasm/layer-tensors.ts';

/** A model in the short form, without its readout: one tanh layer. */
export interface WeightsSource {
  /** (D, H) */
  readonly W_x: TensorSource;
  /** (H, H) */
  readonly W_h: TensorSource;
  /** (H,) or (1, H) */
  readonly b?: TensorSource | undefined;
}

/** A readout of the hidden state: a linear dense layer. */
export interface ReadoutSource {
  /** (H, O) */
  readonly W_y: TensorSource;
  /** (O,) */
  readonly b_y?: TensorSource | undefined;
}

/** A model as a list of layers. */
export interface LayersSource {
  readonly layers: readonly LayerSource[];
}

/** A model whose shapes agree. */
export interface ResolvedModel {
  readonly layers: readonly LayerSpec[];
  readonly sources: readonly LayerSource[];
  /** What its sizes follow from, for errors: `W_x (D, H) = (1, 2)`. */
  readonly origin: string;
}

/** A registered model: by the name or id that a request gives, or by the id that a session is pinned to. */
export type ModelRef = string | PinnedModel;

/** Of a session, which may use its model whoever has registered it. */
export interface PinnedModel {
  readonly modelId: string;
}

/** Copies of more numbers than this are followed by an iteration of the event loop. */
const SLICE_NUMBERS = 131_072;

/** Copies the tensors of a model into memory of their own. @throws out_of_range */
export function readLayers({ layers: specs, sources }: ResolvedModel): Layer[] {
  const layers = layersWith(specs, (_, shape) => new Float32Array(countOf(shape)));
  for (const [source, target] of copiesOf(sources, layers)) source.copyTo(target);
  writeBiases(sources, layers);
  return layers;
}

/**
 * Copies the tensors of a model into those of `layers`, without holding the event loop.
 *
 * @param copy as TensorCopier.copy
 */
export async function fillLayers(
  { sources }: ResolvedModel,
  layers: readonly Layer[],
  copy: (source: TensorSource, target: Float32Array) => Promise<void> | undefined,
): Promise<void> {
  let copied = 0;
  for (const [source, target] of copiesOf(sources, layers)) {
    await copy(source, target);
    copied += target.length;
    if (copied < SLICE_NUMBERS) continue;
    copied = 0;
    await nextIteration();
  }
  writeBiases(sources, layers);
}

/** All tensors but biases, and where their elements go. */
function* copiesOf(sources: readonly LayerSource[], layers: readonly Layer[]): Generator<[TensorSource, Float32Array]> {
  for (const [source, layer] of pairs(sources, layers)) {
    if (source.type === 'embedding' && layer.type === 'embedding') yield [source.E, layer.E];
    else if (source.type === 'dense' && layer.type === 'dense') yield [source.W, layer.W];
    else if (source.type === 'affine' && layer.type === 'affine') {
      yield [source.scale, layer.scale];
      yield [source.offset, layer.offset];
    } else {
      for (const [from, to] of directionsOf(source, layer)) {
        yield [from.W_x, to.W_x];
        yield [from.W_h, to.W_h];
      }
    }
  }
}

/** Biases have a row at most: they are short. */
function writeBiases(sources: readonly LayerSource[], layers: readonly Layer[]): void {
  for (const [source, layer] of pairs(sources, layers)) {
    if (source.type === 'dense' && layer.type === 'dense') layer.b.set(read(source.b) ?? zeros(layer.O));
    for (const [{ b, b_h }, to] of directionsOf(source, layer)) {
      const sum = recurrentWeights(layer as RecurrentSpec, { ...to, b: read(b), b_h: read(b_h) });
      to.b.set(sum.b);
      to.b_hn?.set(sum.b_hn!);
    }
  }
}

function pairs(sources: readonly LayerSource[], layers: readonly Layer[]): [LayerSource, Layer][] {
  return sources.map((source, k) => [source, layers[k]!]);
}

/** The directions of a recurrent layer; none of any other. */
function directionsOf(source: LayerSource, layer: Layer): [RecurrentSource, RecurrentWeights][] {
  if (!('weights' in source) || !('weights' in layer)) return [];
  const forward: [RecurrentSource, RecurrentWeights] = [source.weights, layer.weights];
  return source.backward ? [forward, [source.backward, layer.backward!]] : [forward];
}

function read(source: TensorSource | undefined): Float32Array | undefined {
  if (!source) return undefined;
  const numbers = zeros(countOf(source.shape));
  source.copyTo(numbers);
  return numbers;
}

const zeros = (count: number) => new Float32Array(count);

/** Axes with their sizes, e.g. `(D, 4H) = (3, 20)`. */
export function describeAxes(axes: readonly string[], shape: readonly number[]): string {
  return `${formatShape(axes)} = ${formatShape(shape)}`;
}
