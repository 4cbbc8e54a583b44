// A model file → the source of a registration, whatever format it has. The format follows from the content.
import { isZip, readEntries } from '../codec/pytorch/archive.ts';
import { isTorch, readStateDict } from '../codec/pytorch/state-dict.ts';
import { type Import, type ImportOptions, importCheckpoint } from './import/checkpoint.ts';
import { readModelFile } from './model-file.ts';

/**
 * The layers of a file of safetensors or of torch.save, and which of its tensors they are made of.
 *
 * @param isBodyHeld as readModelFile()
 * @throws malformed_model_file · model_file_unsupported; as readModelFile()
 */
export async function importFile(
  bytes: Uint8Array,
  options: ImportOptions = {},
  isBodyHeld?: () => boolean,
): Promise<Import> {
  if (isZip(bytes)) {
    const entries = await readEntries(bytes);
    if (isTorch(entries)) return importCheckpoint(readStateDict(entries, isBodyHeld), options);
  }
  // What is of another format is refused with a line of Python that converts it.
  return readModelFile(bytes, options, isBodyHeld);
}
