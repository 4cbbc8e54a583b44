// An ONNX file → its layers.
import { CarryoverError } from '../../../errors.ts';
import type { FoundFile } from '../found-file.ts';

/** @throws model_file_unsupported */
export function readOnnx(_bytes: Uint8Array): FoundFile {
  throw new CarryoverError('model_file_unsupported', { detail: 'Files of ONNX are not read yet.' });
}
