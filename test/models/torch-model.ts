// The model of the sunspots, as torch saved it: an nn.RNN of H units and a linear head, read without the importer.
import { type SafeTensor, readSafetensors } from '../../src/codec/safetensors/read.ts';
import type { Weights } from '../../src/tensor.ts';

export interface Model {
  readonly weights: Weights;
  /** y = h W_y^T + b_y for one row h (H) */
  readonly readout: (h: Float32Array) => number;
}

/**
 * torch multiplies by the transposes, z = x W_ih^T + b_ih + h W_hh^T + b_hh, so W_x = W_ih^T and W_h = W_hh^T.
 * W_hh is square: its shape does not show whether it is transposed, only its name does.
 *
 * b is the sum of torch's two biases, added in float64 and rounded once.
 */
export function readModel(file: Uint8Array): Model {
  const tensors = readSafetensors(file);
  const W_ih = take(tensors, 'rnn.weight_ih_l0');
  const W_hh = take(tensors, 'rnn.weight_hh_l0');
  const b_ih = take(tensors, 'rnn.bias_ih_l0').data;
  const b_hh = take(tensors, 'rnn.bias_hh_l0').data;
  const W_y = take(tensors, 'head.weight').data;
  const b_y = take(tensors, 'head.bias').data;
  const [H, D] = W_ih.shape as [number, number];
  const weights = {
    D,
    H,
    W_x: transpose(W_ih),
    W_h: transpose(W_hh),
    b: Float32Array.from({ length: H }, (_, j) => b_ih[j]! + b_hh[j]!),
  };
  return { weights, readout: (h) => h.reduce((sum, h_j, j) => sum + h_j * W_y[j]!, b_y[0]!) };
}

function take(tensors: ReadonlyMap<string, SafeTensor>, name: string): SafeTensor {
  const tensor = tensors.get(name);
  if (tensor) return tensor;
  throw new Error(`The model has no ${name}; it has ${[...tensors.keys()].join(', ')}.`);
}

/** (rows, columns) → (columns, rows) */
function transpose({ shape, data }: SafeTensor): Float32Array {
  const [rows, columns] = shape as [number, number];
  const result = new Float32Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) result[j * rows + i] = data[i * columns + j]!;
  }
  return result;
}
