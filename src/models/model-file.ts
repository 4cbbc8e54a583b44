// A model file in safetensors format → the source of a registration: its layers in our layout.
import { quote } from '../codec/safetensors/quote.ts';
import { SafetensorsError } from '../codec/safetensors/header.ts';
import { type SafetensorsFile, readSafetensorsFile } from '../codec/safetensors/read.ts';
import { invalidRequest } from '../errors.ts';
import { DTYPES, type Dtype, FLOAT_DTYPES } from '../tensor.ts';
import { type Import, type ImportOptions, importCheckpoint } from './import/checkpoint.ts';
import { refusal } from './import/refusal.ts';
import { hintAbout } from './import/unsupported-tensors.ts';

/** The metadata field with the description of the layers. */
export const LAYERS_FIELD = 'carryover.layers';

/**
 * The layers of a file, and which of its tensors they are made of. `activation`, `readout` and the description of the
 * layers may be stated by the request, by the metadata of the file, or by both alike.
 *
 * @param isBodyHeld if given, tensors are read in place as long as it says so; see readSafetensorsFile()
 * @throws malformed_safetensors · invalid_request · unknown_tensors · layers_unconfirmed · activation_unconfirmed ·
 *   activation_unsupported · shape_mismatch · limit_exceeded
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
    layers: agreed('layers', options.layers, metadata[LAYERS_FIELD]),
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

/** Of a batch normalisation of torch, which counts its training steps; the only integers that belong to a layer. */
const COUNTER = /num_batches_tracked$/;

function expectFloats(name: string, dtype: Dtype): void {
  if ((FLOAT_DTYPES as readonly Dtype[]).includes(dtype)) return;
  const expected = `${FLOAT_DTYPES.slice(0, -1).join(', ')} or ${FLOAT_DTYPES.at(-1)}`;
  throw new SafetensorsError(`Tensor ${quote(name)} has dtype "${dtype}", expected ${expected}.`, { tensor: name });
}

/** A tensor of an unsupported dtype is most often no weight: then the error says by its name what it is. */
function readTensors(bytes: Uint8Array, isBodyHeld?: () => boolean): SafetensorsFile {
  try {
    const file = readSafetensorsFile(bytes, isBodyHeld, DTYPES);
    for (const [name, { dtype }] of file.tensors) if (!COUNTER.test(name)) expectFloats(name, dtype);
    return file;
  } catch (error) {
    if (!(error instanceof SafetensorsError) || error.tensor === undefined) throw error;
    const hint = hintAbout([error.tensor], quote);
    if (hint === '') throw error;
    throw refusal('unknown_tensors', [error.tensor], `${error.message}${hint}`);
  }
}
