// Model files: safetensors bytes → tensors in our layout, as a source for registration.
import type { TensorSource } from '../tensor.ts';
import type { ImportedTensor } from './import-layer.ts';
import { readModelFile } from './import-names.ts';

/**
 * The weights and the readout of a file.
 *
 * @throws malformed_safetensors · unknown_tensors · shape_mismatch · out_of_range
 */
export function modelFileSource(bytes: Uint8Array) {
  const { W_x, W_h, b, W_y, b_y } = readModelFile(bytes);
  return {
    weights: {
      W_x: fileTensor('W_x', 'DH', W_x),
      W_h: fileTensor('W_h', 'HH', W_h),
      b: b && fileTensor('b', 'H', b),
    },
    readout: W_y && {
      W_y: fileTensor('W_y', 'HO', W_y),
      b_y: b_y && fileTensor('b_y', 'O', b_y),
    },
  };
}

function fileTensor(name: string, axes: string, { shape, data }: ImportedTensor): TensorSource {
  return { name, axes, shape, copyTo: (target) => target.set(data) };
}
