// Layers as requests have them, in JSON.
import type { Layer as LayerJson } from '../../src/client/index.ts';
import { type Layer, type RecurrentWeights, gatesOf } from '../../src/layers.ts';

export function layersJson(layers: readonly Layer[]): LayerJson[] {
  return layers.map(layerJson);
}

function layerJson(layer: Layer): LayerJson {
  if ('weights' in layer) {
    const { type, H, direction, weights, backward } = layer;
    const columns = gatesOf(layer) * H;
    const directed = ({ W_x, W_h, b, b_hn }: RecurrentWeights) => ({
      W_x: rowsOf(W_x, columns),
      W_h: rowsOf(W_h, columns),
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
    } as LayerJson;
  }
  if (layer.type === 'embedding') return { type: 'embedding', E: rowsOf(layer.E, layer.D) };
  if (layer.type === 'affine') return { type: 'affine', scale: [...layer.scale], offset: [...layer.offset] };
  const { O, W, b, activation } = layer;
  return { type: 'dense', activation, W: rowsOf(W, O), b: [...b] };
}

/** A matrix of so many columns, row by row. */
function rowsOf(data: Float32Array, columns: number): number[][] {
  return Array.from({ length: data.length / columns }, (_, n) => [...data.subarray(n * columns, (n + 1) * columns)]);
}
