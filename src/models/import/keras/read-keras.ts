// A Keras file → its layers.
import { CarryoverError } from '../../../errors.ts';
import type { FoundFile } from '../found-file.ts';

/** @throws model_file_unsupported */
export async function readKeras(_bytes: Uint8Array): Promise<FoundFile> {
  throw new CarryoverError('model_file_unsupported', { detail: 'Files of Keras are not read yet.' });
}
