// The layers and states of a request in JSON, as sources of tensors.
import type { Static } from 'typebox';
import { type Matrix, type Vector, tensorFromJson } from '../../codec/json/tensor.ts';
import type { LayersSource } from '../../engine/model-source.ts';
import type { GivenStates, StatesSource } from '../../engine/states.ts';
import type { LayerSource, RecurrentSource } from '../../layers.ts';
import type { TensorSource } from '../../tensor.ts';
import type { Layer, LayeredWeights } from '../schemas/layers.ts';

/**
 * @param place of the list in the body, e.g. `weights/layers`
 * @throws ragged_array
 */
export function layersSource({ layers }: Static<typeof LayeredWeights>, place = 'layers'): LayersSource {
  return { layers: layers.map((layer, k) => layerSource(layer, `${place}/${k}`)) };
}

function layerSource(layer: Static<typeof Layer>, place: string): LayerSource {
  const { type } = layer;
  switch (type) {
    case 'embedding':
      return { type, E: tensorFromJson(`${place}/E`, 'VD', layer.E) };
    case 'affine': {
      const scale = tensorFromJson(`${place}/scale`, 'D', layer.scale);
      return { type, scale, offset: tensorFromJson(`${place}/offset`, 'D', layer.offset) };
    }
    case 'dense': {
      const { W, b, activation = 'linear' } = layer;
      const bias = b && tensorFromJson(`${place}/b`, 'O', b);
      return { type, activation, W: tensorFromJson(`${place}/W`, 'IO', W), b: bias };
    }
    default: {
      const { direction = 'forward', backward } = layer;
      const directed = {
        direction,
        weights: recurrentSource(layer, place),
        backward: backward && recurrentSource(backward, `${place}/backward`),
      };
      if (type === 'rnn') return { type, activation: layer.activation ?? 'tanh', ...directed };
      return type === 'gru' ? { type, reset: layer.reset ?? 'after', ...directed } : { type, ...directed };
    }
  }
}

interface RecurrentJson {
  readonly W_x: Matrix;
  readonly W_h: Matrix;
  readonly b?: Vector;
  readonly b_h?: Vector;
}

/** The columns are those of all gates, G. */
function recurrentSource({ W_x, W_h, b, b_h }: RecurrentJson, place: string): RecurrentSource {
  return {
    W_x: tensorFromJson(`${place}/W_x`, 'DG', W_x),
    W_h: tensorFromJson(`${place}/W_h`, 'HG', W_h),
    b: b && tensorFromJson(`${place}/b`, 'G', b),
    b_h: b_h && tensorFromJson(`${place}/b_h`, 'G', b_h),
  };
}

/**
 * The states of one layer, (N, H), or of several, a list of such tensors.
 *
 * @throws ragged_array
 */
export function statesSource(name: 'h' | 'c', states: Matrix | readonly (Matrix | null)[]): StatesSource {
  if (!isList(states)) return tensorFromJson(name, 'NH', states);
  return states.map((state, k) => state && tensorFromJson(`${name}/${k}`, 'NH', state));
}

/** The states of a request in JSON. @throws ragged_array */
export function statesOfBody({ h, c }: {
  readonly h?: Parameters<typeof statesSource>[1];
  readonly c?: Parameters<typeof statesSource>[1];
}): GivenStates {
  return { h: h && statesSource('h', h), c: c && statesSource('c', c) };
}

/** x of a step or sequence: without D if its elements are numbers of rows of an embedding. */
export function inputSource(axes: string, x: Vector | Matrix | readonly Matrix[]): TensorSource {
  return tensorFromJson('x', axes.slice(0, depthOf(x)), x);
}

function isList(states: Matrix | readonly (Matrix | null)[]): states is readonly (Matrix | null)[] {
  const [first] = states;
  return first === null || Array.isArray(first![0]);
}

function depthOf(value: unknown): number {
  let depth = 0;
  for (let inner = value; Array.isArray(inner); inner = inner[0]) depth++;
  return depth;
}
