// Entries of a zip archive by their names, inflated within a bound, their checksums compared.
import { crc32, inflateRawSync } from 'node:zlib';
import yauzl from 'yauzl';
import { CarryoverError } from '../../errors.ts';
import { quote } from '../safetensors/quote.ts';

const ENTRIES_MAX = 4_096;
const STORED = 0;
const DEFLATED = 8;

/**
 * @param names of the entries that are read; all others are left where they are
 * @param bytesMax of all of them together, inflated
 * @returns those that are there; in place if they are not compressed
 * @throws malformed_model_file · model_file_unsupported for an archive that is encrypted, or larger than it may be
 */
export async function readZipEntries(
  bytes: Uint8Array,
  names: readonly string[],
  bytesMax: number,
): Promise<ReadonlyMap<string, Uint8Array>> {
  const found = new Map<string, Uint8Array>();
  try {
    const archive = await yauzl.fromBufferPromise(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    if (archive.entryCount > ENTRIES_MAX) throw notRead(`has ${archive.entryCount} entries, at most ${ENTRIES_MAX} are read`);
    let [compressedLeft, bytesLeft] = [bytes.length, bytesMax];
    for await (const entry of archive.eachEntry()) {
      // Entries that share their bytes would be read as often as there are of them.
      compressedLeft -= entry.compressedSize;
      if (compressedLeft < 0) throw new Error('its entries overlap');
      if (!names.includes(entry.fileName)) continue;
      if (found.has(entry.fileName)) throw new Error(`it has two entries ${quote(entry.fileName)}`);
      bytesLeft -= entry.uncompressedSize;
      if (bytesLeft < 0) throw tooLarge(entry, bytesMax);
      const { fileDataStart } = await archive.readLocalFileHeaderPromise(entry, { minimal: true });
      const end = fileDataStart + entry.compressedSize;
      if (end > bytes.length) throw new Error(`it ends within ${quote(entry.fileName)}`);
      found.set(entry.fileName, inflate(entry, bytes.subarray(fileDataStart, end)));
    }
  } catch (cause) {
    if (cause instanceof CarryoverError) throw cause;
    const detail = `The file is a zip archive, but not a whole one: ${(cause as Error).message}.`;
    throw new CarryoverError('malformed_model_file', { detail, cause });
  }
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

function notRead(what: string): CarryoverError {
  return new CarryoverError('model_file_unsupported', { detail: `The zip archive ${what}.` });
}

function tooLarge({ fileName, uncompressedSize }: yauzl.Entry, bytesMax: number): CarryoverError {
  return notRead(
    `says that ${quote(fileName)} has ${uncompressedSize} bytes inflated; expected at most ${bytesMax} in all, ` +
      'for weights hardly compress: save the file again, without compression',
  );
}
