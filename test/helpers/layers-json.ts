// Layers as requests have them, in JSON.
import { type Layer, type RecurrentWeights, gatesOf } from '../../src/layers.ts';
import { nested } from './recurrence.ts';

export function layersJson(layers: readonly Layer[]): Record<string, unknown>[] {
  return layers.map(layerJson);
}

function layerJson(layer: Layer): Record<string, unknown> {
  if ('weights' in layer) {
    const { type, D, H, direction, weights, backward } = layer;
    const columns = gatesOf(layer) * H;
    const directed = ({ W_x, W_h, b, b_hn }: RecurrentWeights) => ({
      W_x: nested(W_x, [D, columns]),
      W_h: nested(W_h, [H, columns]),
      b: [...b],
      // Of r and z both biases are in b.
      ...(b_hn && { b_h: [...new Float32Array(columns - H).fill(-0), ...b_hn] }),
    });
    return {
      type,
      direction,
      ...('activation' in layer && { activation: layer.activation }),
      ...('reset' in layer && { reset: layer.reset }),
      ...directed(weights),
      ...(backward && { backward: directed(backward) }),
    };
  }
  if (layer.type === 'embedding') return { type: 'embedding', E: nested(layer.E, [layer.V, layer.D]) };
  if (layer.type === 'affine') return { type: 'affine', scale: [...layer.scale], offset: [...layer.offset] };
  const { I, O, W, b, activation } = layer;
  return { type: 'dense', activation, W: nested(W, [I, O]), b: [...b] };
}
