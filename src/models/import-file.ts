// A model file → the source of a registration, whatever format it has. The format follows from the content.
import { isTorch, readStateDict } from '../codec/pytorch/state-dict.ts';
import { identifyFormat, isHdf5, isOnnx } from '../codec/safetensors/file-signatures.ts';
import { mayBeSafetensors } from '../codec/safetensors/header.ts';
import { isZip } from '../codec/zip/archive.ts';
import { type Entries, readStoredEntries } from '../codec/zip/stored-entries.ts';
import { CarryoverError, invalidRequest } from '../errors.ts';
import type { Lifetime } from '../lifetime.ts';
import { type Import, type ImportOptions, importCheckpoint } from './import/checkpoint.ts';
import { importInThread } from './import-thread/import-thread.ts';
import { readModelFile } from './model-file.ts';

/** Formats by which imports are counted; `other` is a file of no format that is read. */
export const FILE_FORMATS = ['safetensors', 'torch', 'onnx', 'keras', 'other'] as const;

export type FileFormat = (typeof FILE_FORMATS)[number];

/** Called at the end of each import. @param error undefined if the file was read */
export type ImportListener = (format: FileFormat, error: unknown) => void;

/** The request that brings the file; a file of the server's own has none. */
export interface ImportRequestParts {
  readonly lifetime: Lifetime;
  /** Whether the bytes of the file are still those of the request. */
  readonly isBodyHeld: () => boolean;
  readonly onImport?: ImportListener | undefined;
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
  let format: FileFormat = 'other';
  try {
    const file = await fileOf(bytes);
    ({ format } = file);
    const imported = await importAs(file, bytes, options, request);
    request?.onImport?.(format, undefined);
    return imported;
  } catch (error) {
    request?.onImport?.(format, error);
    throw error;
  }
}

interface RecognisedFile {
  readonly format: FileFormat;
  /** Of a zip archive of torch. */
  readonly entries?: Entries;
}

/** @throws malformed_model_file of a damaged zip archive */
async function fileOf(bytes: Uint8Array): Promise<RecognisedFile> {
  if (isZip(bytes)) {
    const entries = await readStoredEntries(bytes);
    if (isTorch(entries)) return { format: 'torch', entries };
    if (isKeras(entries)) return { format: 'keras' };
  }
  if (isHdf5(bytes)) return { format: 'keras' };
  if (isOnnx(bytes)) return { format: 'onnx' };
  return { format: mayBeSafetensors(bytes) ? 'safetensors' : 'other' };
}

async function importAs(
  { format, entries }: RecognisedFile,
  bytes: Uint8Array,
  options: ImportOptions,
  request: ImportRequestParts | undefined,
): Promise<Import> {
  if (entries) return importCheckpoint(readStateDict(entries, request?.isBodyHeld), options);
  if (format === 'keras' || format === 'onnx') {
    expectNoOptions(options, format === 'keras' ? 'Keras' : 'ONNX');
    return importInThread({ format, bytes }, request?.lifetime);
  }
  if (format === 'other' && identifyFormat(bytes) === undefined) throw ofNoFormat(bytes);
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
