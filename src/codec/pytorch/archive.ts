// The entries of a zip archive in place, their checksums compared. torch.save stores them uncompressed.
import { setImmediate as nextIteration } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import yauzl from 'yauzl';
import { CarryoverError } from '../../errors.ts';
import { notRead } from './errors.ts';

/** A file for each storage, and some more. */
const ENTRIES_MAX = 4_096;
const STORED = 0;
/** Its checksum takes less than a millisecond. */
const SLICE_BYTES = 2 ** 20;

/** The bytes of an archive's entries, by their names, with the folder around all of them. */
export type Entries = ReadonlyMap<string, Uint8Array>;

/** Whether a file begins as zip archives do. */
export function isZip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x50 && bytes[1] === 0x4b && bytes[2] === 0x03 && bytes[3] === 0x04;
}

/** A compressed entry is empty. @throws malformed_model_file · model_file_unsupported if there are too many */
export async function readEntries(bytes: Uint8Array): Promise<Entries> {
  const entries = new Map<string, Uint8Array>();
  try {
    const archive = await yauzl.fromBufferPromise(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    if (archive.entryCount > ENTRIES_MAX) throw notRead(`has ${archive.entryCount} files, and at most ${ENTRIES_MAX} are read`);
    let bytesLeft = bytes.length;
    for await (const entry of archive.eachEntry()) {
      const { fileName, compressionMethod, compressedSize } = entry;
      // Entries that share their bytes would be read as often as there are of them.
      bytesLeft -= compressedSize;
      if (bytesLeft < 0) throw new Error('its entries overlap');
      // Only of other archives, which are recognised by the names.
      const isInPlace = compressionMethod === STORED && !entry.isEncrypted();
      const { fileDataStart } = await archive.readLocalFileHeaderPromise(entry, { minimal: true });
      const end = fileDataStart + compressedSize;
      if (end > bytes.length) throw new Error(`it ends within ${JSON.stringify(fileName.slice(0, 80))}`);
      const content = isInPlace ? bytes.subarray(fileDataStart, end) : COMPRESSED;
      if (isInPlace && (await checksumOf(content)) !== entry.crc32) {
        throw new Error(`${JSON.stringify(fileName.slice(0, 80))} has another checksum`);
      }
      entries.set(fileName, content);
    }
  } catch (cause) {
    if (cause instanceof CarryoverError) throw cause;
    throw new CarryoverError('malformed_model_file', {
      detail: `The file is a zip archive, but not a whole one: ${(cause as Error).message}`,
      cause,
    });
  }
  return entries;
}

const COMPRESSED = new Uint8Array();

async function checksumOf(content: Uint8Array): Promise<number> {
  let checksum = 0;
  for (let at = 0; at < content.length; at += SLICE_BYTES) {
    if (at > 0) await nextIteration();
    checksum = crc32(content.subarray(at, at + SLICE_BYTES), checksum);
  }
  return checksum;
}
