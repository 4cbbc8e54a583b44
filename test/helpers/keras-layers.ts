// Layers of this service → the layers of Keras that compute the same, with their weights in the layout of Keras.
import { type CellType, GATES, type Layer, type RecurrentLayer, type RecurrentWeights } from '../../src/layers.ts';
import type { LayerToWrite, Variable } from './keras-files.ts';

const CLASSES = { rnn: 'SimpleRNN', gru: 'GRU', lstm: 'LSTM' } as const;

/** With an input in front. */
export function kerasLayers(layers: readonly Layer[]): LayerToWrite[] {
  const [first] = layers;
  const inputs = first!.type === 'embedding' ? [] : [first!.type === 'dense' ? first!.I : first!.D];
  const input = { className: 'InputLayer', name: 'input', config: { batch_shape: [null, null, ...inputs] }, parts: [] };
  return [input, ...layers.map((layer, k) => kerasLayer(layer, `layer_${k}`))];
}

export function kerasLayer(layer: Layer, name: string): LayerToWrite {
  switch (layer.type) {
    case 'embedding': {
      const { V, D, E } = layer;
      const config = { input_dim: V, output_dim: D, mask_zero: false };
      return { className: 'Embedding', name, config, parts: [['', [variable('embeddings', [V, D], E)]]] };
    }
    case 'affine':
      return { className: 'Rescaling', name, config: { scale: [...layer.scale], offset: [...layer.offset] }, parts: [] };
    case 'dense': {
      const { I, O, activation, W, b } = layer;
      const config = { units: O, activation, use_bias: true };
      return { className: 'Dense', name, config, parts: [['', [variable('kernel', [I, O], W), variable('bias', [O], b)]]] };
    }
    default:
      return recurrentLayer(layer, name);
  }
}

function recurrentLayer(layer: RecurrentLayer, name: string): LayerToWrite {
  const { type, H, direction, weights, backward } = layer;
  const usesBias = [weights, backward].some((one) => one && [...one.b, ...(one.b_hn ?? [])].some((value) => value !== 0));
  const config = {
    name,
    units: H,
    activation: layer.type === 'rnn' ? layer.activation : 'tanh',
    use_bias: usesBias,
    return_sequences: true,
    go_backwards: direction === 'reverse',
    ...(type !== 'rnn' && { recurrent_activation: 'sigmoid' }),
    ...(layer.type === 'gru' && { reset_after: layer.reset === 'after' }),
  };
  const className = CLASSES[type];
  const variables = (one: RecurrentWeights) => variablesOf(layer, one, usesBias);
  if (!backward) return { className, name, config, parts: [['cell', variables(weights)]] };
  const inner = (prefix: string, goesBackwards: boolean) => ({
    class_name: className,
    config: { ...config, name: `${prefix}_${name}`, go_backwards: goesBackwards },
  });
  return {
    className: 'Bidirectional',
    name,
    config: { merge_mode: 'concat', layer: inner('forward', false), backward_layer: inner('backward', true) },
    parts: [['forward_layer/cell', variables(weights)], ['backward_layer/cell', variables(backward)]],
  };
}

function variablesOf({ type, D, H }: RecurrentLayer, { W_x, W_h, b, b_hn }: RecurrentWeights, usesBias: boolean): Variable[] {
  const columns = GATES[type].length * H;
  const placed = (numbers: Float32Array) => zFirst(type, numbers, columns, H);
  const kernels = [variable('kernel', [D, columns], placed(W_x)), variable('recurrent_kernel', [H, columns], placed(W_h))];
  if (!usesBias) return kernels;
  if (!b_hn) return [...kernels, variable('bias', [columns], placed(b))];
  // -0 changes no number to which it is added.
  const own = Float32Array.from({ length: columns }, (_, j) => (j < 2 * H ? -0 : b_hn[j - 2 * H]!));
  return [...kernels, variable('bias', [2, columns], Float32Array.from([...placed(b), ...placed(own)]))];
}

/** Rows of a GRU: r, z, n → z, r, n. */
function zFirst(type: CellType, numbers: Float32Array, columns: number, H: number): Float32Array {
  if (type !== 'gru') return numbers;
  return numbers.map((_, i) => {
    const j = i % columns;
    return numbers[j < H ? i + H : j < 2 * H ? i - H : i]!;
  });
}

const variable = (role: string, shape: number[], data: Float32Array): Variable => ({ role, shape, data });
