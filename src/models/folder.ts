// Model files at the start: the built-in demo model, and those of MODELS_DIR under their file names.
import { readFileSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';

export interface ModelFile {
  /** The file's name without its ending. */
  readonly name: string;
  readonly path: string;
  /** @throws Error if the file cannot be read */
  readonly read: () => Uint8Array;
}

const ENDING = '.safetensors';

/** A one-month-ahead forecast of the monthly sunspot number / 100, D = 1, H = 32, with a readout. */
export const DEMO_MODEL = modelFile(join(import.meta.dirname, `demo/sunspots${ENDING}`));

/** The model files of a folder, by name; none if `folder` is empty. @throws Error if it is not readable */
export function modelFilesOf(folder: string): ModelFile[] {
  if (folder === '') return [];
  return readdirSync(folder)
    .filter((file) => file.endsWith(ENDING))
    .toSorted()
    .map((file) => modelFile(join(folder, file)));
}

function modelFile(path: string): ModelFile {
  return { name: basename(path, ENDING), path, read: () => readFileSync(path) };
}
