// Entries of a zip archive by their names, inflated within a bound, their checksums compared.
import { crc32, inflateRawSync } from 'node:zlib';
import type yauzl from 'yauzl';
import type { CarryoverError } from '../../errors.ts';
import { quote } from '../safetensors/quote.ts';
import { DEFLATED, STORED, notRead, visitEntries } from './archive.ts';

/**
 * @param names of the entries that are read; all others are left where they are
 * @param bytesMax of all of them together, inflated
 * @returns those that are there; in place if they are not compressed
 * @throws malformed_model_file · model_file_unsupported for an archive that is encrypted, or larger than it may be
 */
export async function readInflatedEntries(
  bytes: Uint8Array,
  names: readonly string[],
  bytesMax: number,
): Promise<ReadonlyMap<string, Uint8Array>> {
  const found = new Map<string, Uint8Array>();
  let bytesLeft = bytesMax;
  await visitEntries(bytes, async (entry, contentOf) => {
    if (!names.includes(entry.fileName)) return;
    if (found.has(entry.fileName)) throw new Error(`it has two entries ${quote(entry.fileName)}`);
    bytesLeft -= entry.uncompressedSize;
    if (bytesLeft < 0) throw tooLarge(entry, bytesMax);
    found.set(entry.fileName, inflate(entry, await contentOf()));
  });
  return found;
}

/** No more than the entry states is ever inflated. */
function inflate(entry: yauzl.Entry, content: Uint8Array): Uint8Array {
  const { fileName, compressionMethod, uncompressedSize } = entry;
  if (entry.isEncrypted()) throw notRead(`has its entry ${quote(fileName)} encrypted`);
  if (compressionMethod !== STORED && compressionMethod !== DEFLATED) {
    throw notRead(`has its entry ${quote(fileName)} compressed by method ${compressionMethod}, and only deflate is read`);
  }
  const inflated = compressionMethod === STORED ? content : inflateWithin(content, uncompressedSize);
  if (inflated?.length !== uncompressedSize) throw new Error(`${quote(fileName)} has another size than it states`);
  if (crc32(inflated) !== entry.crc32) throw new Error(`${quote(fileName)} has another checksum`);
  return inflated;
}

/** Undefined if it has more bytes. */
function inflateWithin(content: Uint8Array, bytesMax: number): Uint8Array | undefined {
  try {
    return inflateRawSync(content, { maxOutputLength: Math.max(1, bytesMax) });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') return undefined;
    throw error;
  }
}

function tooLarge({ fileName, uncompressedSize }: yauzl.Entry, bytesMax: number): CarryoverError {
  return notRead(
    `says that ${quote(fileName)} has ${uncompressedSize} bytes inflated; expected at most ${bytesMax} in all, ` +
      'for weights hardly compress: save the file again, without compression',
  );
}
