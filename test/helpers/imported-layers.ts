// The layers of an import with their tensors copied, as the service has them once a model is registered.
import type { Import } from '../../src/models/import/checkpoint.ts';
import { type Layer, type LayerSource, type RecurrentSource, type RecurrentSpec, recurrentWeights } from '../../src/layers.ts';
import type { TensorSource } from '../../src/tensor.ts';

export function importedLayers({ layers }: Import): Layer[] {
  return layers.map(copied);
}

function copied(layer: LayerSource): Layer {
  switch (layer.type) {
    case 'embedding': {
      const [V, D] = layer.E.shape as [number, number];
      return { type: 'embedding', V, D, E: numbersOf(layer.E) };
    }
    case 'affine': {
      const { scale, offset } = layer;
      return { type: 'affine', D: scale.shape[0]!, scale: numbersOf(scale), offset: numbersOf(offset) };
    }
    case 'dense': {
      const { activation, W, b } = layer;
      const [I, O] = W.shape as [number, number];
      return { type: 'dense', I, O, activation, W: numbersOf(W), b: b ? numbersOf(b) : new Float32Array(O) };
    }
    default: {
      const { weights, backward, ...options } = layer;
      const spec = { ...options, D: weights.W_x.shape[0]!, H: weights.W_h.shape[0]! } as RecurrentSpec;
      return {
        ...spec,
        weights: directionOf(spec, weights),
        ...(backward && { backward: directionOf(spec, backward) }),
      };
    }
  }
}

function directionOf(spec: RecurrentSpec, { W_x, W_h, b, b_h }: RecurrentSource) {
  return recurrentWeights(spec, {
    W_x: numbersOf(W_x),
    W_h: numbersOf(W_h),
    b: b && numbersOf(b),
    b_h: b_h && numbersOf(b_h),
  });
}

function numbersOf(source: TensorSource): Float32Array {
  const numbers = new Float32Array(source.shape.reduce((product, size) => product * size, 1));
  source.copyTo(numbers);
  return numbers;
}
