// Arrays that a framework wrote, for --check: read from NumPy's .npz or from JSON.
import { readInput } from '../files.ts';
import type { CheckArrays } from './check-array.ts';
import { readJsonArrays } from './json-arrays.ts';
import { isZipArchive, readNpz } from './npz.ts';
import { wrong } from './wrong.ts';

/** The file, and all arrays in it. */
const BYTES_MAX = 2 ** 29;

/** @throws CliError if the file is neither, is damaged, or has arrays that are no numbers */
export async function readArrays(path: string): Promise<CheckArrays> {
  const bytes = await readInput(path, 'The file of --check');
  if (bytes.length > BYTES_MAX)
    throw wrong(`${JSON.stringify(path)} has ${bytes.length} bytes, expected at most ${BYTES_MAX}.`);
  return isZipArchive(bytes) ? readNpz(bytes, path, BYTES_MAX) : readJsonArrays(bytes, path);
}
