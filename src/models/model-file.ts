// A model file in safetensors format → the source of a registration: its layer in our layout.
import { quote } from '../codec/safetensors/quote.ts';
import { SafetensorsError } from '../codec/safetensors/header.ts';
import { type SafetensorsFile, readSafetensorsFile } from '../codec/safetensors/read.ts';
import { invalidRequest } from '../errors.ts';
import type { TensorSource } from '../tensor.ts';
import { type Import, type ImportOptions, importCheckpoint } from './import/checkpoint.ts';
import type { ImportedTensor } from './import/layer.ts';
import { refusal } from './import/refusal.ts';
import { hintAbout } from './import/unsupported-tensors.ts';

/**
 * `activation` and `readout` may be stated by the request, by the metadata of the file, or by both alike.
 *
 * @throws malformed_safetensors · invalid_request · unknown_tensors · activation_unconfirmed ·
 *   activation_unsupported · shape_mismatch · out_of_range
 */
export function readModelFile(
  bytes: Uint8Array,
  options: ImportOptions = {},
  isBodyHeld?: () => boolean,
): Import {
  const { tensors, metadata } = readTensors(bytes, isBodyHeld);
  return importCheckpoint(tensors, {
    activation: agreed('activation', options.activation, metadata['activation']),
    readout: agreed('readout', options.readout, metadata['readout']),
  });
}

/** A value that may be stated in two places. @throws invalid_request if they differ */
function agreed(
  field: string,
  inRequest: string | undefined,
  inFile: string | undefined,
): string | undefined {
  if (inRequest === undefined || inFile === undefined || inRequest === inFile) {
    return inRequest ?? inFile;
  }
  throw invalidRequest(
    `The address says ${field} ${quote(inRequest)}, the __metadata__ of the file ${quote(inFile)}; ` +
      'expected the same, or one of them.',
  );
}

/** A tensor of an unsupported dtype is most often no weight: then the error says by its name what it is. */
function readTensors(bytes: Uint8Array, isBodyHeld?: () => boolean): SafetensorsFile {
  try {
    return readSafetensorsFile(bytes, isBodyHeld);
  } catch (error) {
    if (!(error instanceof SafetensorsError) || error.tensor === undefined) throw error;
    const hint = hintAbout([error.tensor], quote);
    if (hint === '') throw error;
    throw refusal('unknown_tensors', [error.tensor], `${error.message}${hint}`);
  }
}

/**
 * The weights and the readout of a file, and which of its tensors they are made of.
 *
 * @param isBodyHeld if given, tensors are read in place as long as it says so; see readSafetensorsFile()
 * @throws as readModelFile()
 */
export function modelFileSource(bytes: Uint8Array, options?: ImportOptions, isBodyHeld?: () => boolean) {
  const { model, tensors } = readModelFile(bytes, options, isBodyHeld);
  const { W_x, W_h, b, W_y, b_y } = model;
  return {
    tensors,
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

function fileTensor(name: string, axes: string, tensor: ImportedTensor): TensorSource {
  const { shape } = tensor;
  return {
    name,
    axes,
    shape,
    copyTo: (target) => target.set(tensor.data),
    raw: () => tensor.raw?.(),
  };
}
