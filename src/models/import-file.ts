// A model file → the source of a registration, whatever format it has. The format follows from the content.
import { type Entries, isZip, readEntries } from '../codec/pytorch/archive.ts';
import { isTorch, readStateDict } from '../codec/pytorch/state-dict.ts';
import { identifyFormat, isHdf5, isOnnx } from '../codec/safetensors/file-signatures.ts';
import { mayBeSafetensors } from '../codec/safetensors/header.ts';
import { CarryoverError, invalidRequest } from '../errors.ts';
import type { Lifetime } from '../lifetime.ts';
import { type Import, type ImportOptions, importCheckpoint } from './import/checkpoint.ts';
import { importInThread } from './import-thread/import-thread.ts';
import type { ThreadFormat } from './import-thread/messages.ts';
import { readModelFile } from './model-file.ts';

/** The request that brings the file; a file of the server's own has none. */
export interface ImportRequestParts {
  readonly lifetime: Lifetime;
  /** Whether the bytes of the file are still those of the request. */
  readonly isBodyHeld: () => boolean;
}

/**
 * The layers of a file of safetensors, torch.save, ONNX or Keras, and which of its tensors they are made of.
 *
 * @throws malformed_model_file · model_file_unsupported · invalid_request; as readModelFile(), importInThread()
 */
export async function importFile(
  bytes: Uint8Array,
  options: ImportOptions = {},
  request?: ImportRequestParts,
): Promise<Import> {
  const ofFormat = (format: ThreadFormat, title: string) => {
    expectNoOptions(options, title);
    return importInThread({ format, bytes }, request?.lifetime);
  };
  if (isZip(bytes)) {
    const entries = await readEntries(bytes);
    if (isTorch(entries)) return importCheckpoint(readStateDict(entries, request?.isBodyHeld), options);
    if (isKeras(entries)) return ofFormat('keras', 'Keras');
  }
  if (isHdf5(bytes)) return ofFormat('keras', 'Keras');
  if (isOnnx(bytes)) return ofFormat('onnx', 'ONNX');
  if (!mayBeSafetensors(bytes) && identifyFormat(bytes) === undefined) throw ofNoFormat(bytes);
  // What is of another format is refused with a line of Python that converts it.
  return readModelFile(bytes, options, request?.isBodyHeld);
}

function ofNoFormat(bytes: Uint8Array): CarryoverError {
  const start = Buffer.from(bytes.subarray(0, 8)).toString('hex').replaceAll(/(..)(?=.)/g, '$1 ');
  return new CarryoverError('malformed_model_file', {
    detail:
      `The file is of no format that is read (its first bytes are ${start}): expected safetensors, a state dict of ` +
      'torch.save, ONNX, or a model of Keras as .keras or .h5.',
  });
}

function isKeras(entries: Entries): boolean {
  return entries.has('config.json') && entries.has('model.weights.h5');
}

/** @throws invalid_request if a file that describes its layers comes with options that do the same */
function expectNoOptions(options: ImportOptions, title: string): void {
  const [option] = (['activation', 'readout', 'layers'] as const).filter((name) => options[name] !== undefined);
  if (option === undefined) return;
  throw invalidRequest(
    `\`${option}\` is about files that hold tensors alone; this one is of ${title} and describes its layers itself: ` +
      `expected no \`${option}\`.`,
  );
}
