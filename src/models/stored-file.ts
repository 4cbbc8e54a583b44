// A registered model as one file for a store: safetensors with our names, float32.
import { readSafetensors } from '../codec/safetensors.ts';
import { writeSafetensorsInSlices } from '../codec/safetensors-write.ts';
import type { Readout, TensorView, Weights } from '../tensor.ts';
import { weightsId } from './digest.ts';

/** In slices, so that the event loop is not held. The file has its memory for itself. */
export function writeStoredFile({ D, H, W_x, W_h, b }: Weights, readout?: Readout): Promise<Buffer> {
  return writeSafetensorsInSlices({
    W_x: tensor([D, H], W_x),
    W_h: tensor([H, H], W_h),
    b: tensor([H], b),
    W_y: readout && tensor([H, readout.O], readout.W_y),
    b_y: readout && tensor([readout.O], readout.b_y),
  });
}

/** @throws Error if these are not the weights with this id */
export function readStoredFile(id: string, file: Uint8Array): { weights: Weights; readout?: Readout } {
  const tensors = readSafetensors(Buffer.from(file));
  const data = (name: string) => Float32Array.from(tensors.get(name)?.data ?? []);
  const [D = 0, H = 0] = tensors.get('W_x')?.shape ?? [];
  const weights = { D, H, W_x: data('W_x'), W_h: data('W_h'), b: data('b') };
  const O = tensors.get('W_y')?.shape[1];
  const readout = O === undefined ? undefined : { O, W_y: data('W_y'), b_y: data('b_y') };
  if (weightsId(weights, readout) !== id) throw new Error(`The stored model ${id} is damaged.`);
  return readout ? { weights, readout } : { weights };
}

function tensor(shape: readonly number[], data: Float32Array): TensorView {
  const strides = shape.length === 1 ? [1] : [shape[1]!, 1];
  return { shape, strides, data };
}
