// Several arrays in a zip archive, as numpy.savez() and savez_compressed() write them: an entry `x.npy` is the array x.
import { crc32 } from 'node:zlib';
import yauzl from 'yauzl';
import { quote } from '../../codec/safetensors/quote.ts';
import { CliError } from '../cli-error.ts';
import type { CheckArrays, CheckArray } from './check-array.ts';
import { readNpy } from './npy.ts';
import { wrong } from './wrong.ts';

const ENTRIES_MAX = 256;
const ENDING = '.npy';

/** Whether a file begins as zip archives do. */
export function isZipArchive(bytes: Uint8Array): boolean {
  return bytes[0] === 0x50 && bytes[1] === 0x4b;
}

/** @param bytesMax of all arrays, inflated · @throws CliError */
export async function readNpz(bytes: Buffer, path: string, bytesMax: number): Promise<CheckArrays> {
  const arrays = new Map<string, CheckArray>();
  let left = bytesMax;
  try {
    const archive = await yauzl.fromBufferPromise(bytes);
    if (archive.entryCount > ENTRIES_MAX)
      throw wrong(`${quote(path)} has ${archive.entryCount} entries, expected at most ${ENTRIES_MAX}.`);
    for await (const entry of archive.eachEntry()) {
      const { fileName, uncompressedSize } = entry;
      if (!fileName.endsWith(ENDING))
        throw wrong(`${quote(path)} has the entry ${quote(fileName)}, expected arrays (*.npy) only.`);
      left -= uncompressedSize;
      if (left < 0) throw wrong(`The arrays of ${quote(path)} have more than ${bytesMax} bytes, expected at most as many.`);
      const name = fileName.slice(0, -ENDING.length);
      arrays.set(name, readNpy(await inflated(archive, entry), name));
    }
  } catch (cause) {
    if (cause instanceof CliError) throw cause;
    throw wrong(`${quote(path)} is a damaged zip archive (${(cause as Error).message}): write it again.`, cause);
  }
  return arrays;
}

/** The content of an entry; yauzl compares its size with the one declared while it inflates. */
async function inflated(archive: yauzl.ZipFile, entry: yauzl.Entry): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of await archive.openReadStreamPromise(entry)) chunks.push(chunk as Buffer);
  const content = Buffer.concat(chunks);
  if (crc32(content) !== entry.crc32) throw new Error(`${quote(entry.fileName)} has another checksum`);
  return content;
}
