// The model files that are registered at the start: those of MODELS_DIR under their file names; and the built-in
// models.
import { closeSync, openSync, readFileSync, readSync, readdirSync } from 'node:fs';
import { basename, extname, join } from 'node:path';
import { identifyFormat } from '../codec/safetensors/file-signatures.ts';

export interface ModelFile {
  /** The file's name without its ending. */
  readonly name: string;
  readonly path: string;
  /** @throws Error if the file cannot be read, or is one of another format */
  readonly read: () => Uint8Array;
}

const ENDING = '.safetensors';
/** A `.bin` or `.ckpt` may be of torch.save too, or anything else. */
const ENDINGS = [ENDING, '.pt', '.pth', '.onnx', '.keras', '.h5', '.hdf5'];
/** Endings of checkpoints in formats that are not supported. */
const UNSUPPORTED_ENDINGS = ['.bin', '.ckpt', '.gguf', '.npy', '.npz', '.pkl'];
/** Bytes at the start of a file by which its format is recognised. */
const SIGNATURE_BYTES = 512;

/** A model that is part of this server. */
export interface BuiltInModel extends ModelFile {
  readonly id: string;
}

/** Those of the demos; demo/README.md says what each computes. */
export const BUILT_IN_MODELS = {
  sunspots: builtIn('sunspots', '5f5b91192b7fac5682cf56ab4e9c16a99c6cbb8344a30cff4e0001e793d8fbb4'),
  weather: builtIn('weather', 'e01a28829e42c76c51b5a3b1971da0792302a04860dfdd8a69e860d5590904f0'),
  austen: builtIn('austen', 'd957ed7e50d6da8b6c609619018ee8ff3e54de371e37912f671361a37b521d2f'),
} as const;

/**
 * The model files of a folder, by name; none if `folder` is empty. Files of unsupported formats are
 * included: reading one throws an error that says how to convert it.
 *
 * @throws Error if the folder is not readable
 */
export function modelFilesOf(folder: string): ModelFile[] {
  if (folder === '') return [];
  return filesIn(folder).flatMap((file) => {
    const path = join(folder, file);
    const ending = ENDINGS.find((known) => file.endsWith(known));
    if (ending !== undefined) return [fileWith(ending, path)];
    return UNSUPPORTED_ENDINGS.includes(extname(file)) ? [unsupportedFile(path)] : [];
  });
}

function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder).toSorted();
  } catch (error) {
    throw new Error(
      `MODELS_DIR is not a folder that can be read: ${(error as Error).message}. Expected one with ` +
        `model files, or no MODELS_DIR.`,
      { cause: error },
    );
  }
}

function builtIn(name: string, digest: string): BuiltInModel {
  return { ...fileWith(ENDING, join(import.meta.dirname, `demo/${name}${ENDING}`)), id: `sha256:${digest}` };
}

function fileWith(ending: string, path: string): ModelFile {
  return { name: basename(path, ending), path, read: () => readFileSync(path) };
}

function unsupportedFile(path: string): ModelFile {
  const read = () => {
    const format = identifyFormat(startOf(path)) ?? 'It is of another format.';
    throw new Error(`Only *${ENDINGS.join(', *')} files are models here. ${format}`);
  };
  return { name: basename(path, extname(path)), path, read };
}

function startOf(path: string): Uint8Array {
  const file = openSync(path, 'r');
  try {
    const start = Buffer.alloc(SIGNATURE_BYTES);
    return start.subarray(0, readSync(file, start));
  } finally {
    closeSync(file);
  }
}
