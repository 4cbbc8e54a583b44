// A registered model as one file in the store: safetensors in float32, with the names of carryover-names.ts.
import { readSafetensorsFile } from '../codec/safetensors/read.ts';
import { writeSafetensorsInSlices } from '../codec/safetensors/write.ts';
import { CarryoverError } from '../errors.ts';
import type { Readout, TensorView, Weights } from '../tensor.ts';
import { weightsIdInSlices } from './weights-id.ts';

/** Writes in slices, between which the event loop runs. The result shares no memory with the weights. */
export function writeStoredFile({ D, H, W_x, W_h, b }: Weights, readout?: Readout): Promise<Buffer> {
  return writeSafetensorsInSlices({
    W_x: tensor([D, H], W_x),
    W_h: tensor([H, H], W_h),
    b: tensor([H], b),
    W_y: readout && tensor([H, readout.O], readout.W_y),
    b_y: readout && tensor([readout.O], readout.b_y),
  });
}

interface StoredWeights {
  readonly weights: Weights;
  readonly readout?: Readout;
}

/**
 * Reads the weights of a file and checks their digest, in slices as writeStoredFile(). The weights may share
 * memory with the file.
 *
 * @throws model_corrupt if the file is damaged or has weights with another id
 */
export async function readStoredFile(id: string, file: Uint8Array): Promise<StoredWeights> {
  try {
    return await readIntact(id, file);
  } catch (cause) {
    // The server wrote the file, so its damage is never reported as an error of the request.
    throw new CarryoverError('model_corrupt', {
      detail: `The stored file of model ${id} is damaged (${(cause as Error).message}); it is not served.`,
      cause,
    });
  }
}

async function readIntact(id: string, file: Uint8Array): Promise<StoredWeights> {
  const { tensors } = readSafetensorsFile(file, () => true);
  const data = (name: string) => {
    const numbers = tensors.get(name)?.data;
    return numbers instanceof Float32Array ? numbers : new Float32Array();
  };
  const [D = 0, H = 0] = tensors.get('W_x')?.shape ?? [];
  const weights = { D, H, W_x: data('W_x'), W_h: data('W_h'), b: data('b') };
  const O = tensors.get('W_y')?.shape[1];
  const readout = O === undefined ? undefined : { O, W_y: data('W_y'), b_y: data('b_y') };
  const found = await weightsIdInSlices(weights, readout);
  if (found !== id) throw new Error('its weights have another digest');
  return readout ? { weights, readout } : { weights };
}

function tensor(shape: readonly number[], data: Float32Array): TensorView {
  const strides = shape.length === 1 ? [1] : [shape[1]!, 1];
  return { shape, strides, data };
}
