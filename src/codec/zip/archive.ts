// The entries of a zip archive, as they are stored, each checked to be within the file and not to share its bytes.
import yauzl from 'yauzl';
import { CarryoverError } from '../../errors.ts';
import { quote } from '../safetensors/quote.ts';

/** Of torch a file for each storage, and some more; of Keras a handful. */
const ENTRIES_MAX = 4_096;

/** The two methods that are in use. https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT */
export const STORED = 0;
export const DEFLATED = 8;

/** Whether a file begins as zip archives do. */
export function isZip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x50 && bytes[1] === 0x4b && bytes[2] === 0x03 && bytes[3] === 0x04;
}

/**
 * Calls `visit` for each entry.
 *
 * @param visit is given what finds the bytes of the entry, in place, compressed if it is; may throw an Error whose
 *   message says what is wrong with the archive
 * @throws malformed_model_file · model_file_unsupported if there are too many · what `visit` throws, if a CarryoverError
 */
export async function visitEntries(
  bytes: Uint8Array,
  visit: (entry: yauzl.Entry, contentOf: () => Promise<Uint8Array>) => Promise<void>,
): Promise<void> {
  try {
    const archive = await yauzl.fromBufferPromise(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    if (archive.entryCount > ENTRIES_MAX) throw notRead(`has ${archive.entryCount} entries, and at most ${ENTRIES_MAX} are read`);
    let bytesLeft = bytes.length;
    for await (const entry of archive.eachEntry()) {
      const { fileName, compressedSize } = entry;
      // Entries that share their bytes would be read as often as there are of them.
      bytesLeft -= compressedSize;
      if (bytesLeft < 0) throw new Error('its entries overlap');
      await visit(entry, async () => {
        const { fileDataStart } = await archive.readLocalFileHeaderPromise(entry, { minimal: true });
        const end = fileDataStart + compressedSize;
        if (end > bytes.length) throw new Error(`it ends within ${quote(fileName)}`);
        return bytes.subarray(fileDataStart, end);
      });
    }
  } catch (cause) {
    if (cause instanceof CarryoverError) throw cause;
    const detail = `The file is a zip archive, but not a whole one: ${(cause as Error).message}.`;
    throw new CarryoverError('malformed_model_file', { detail, cause });
  }
}

/** The archive is whole, but has something that is not read. */
export function notRead(what: string): CarryoverError {
  return new CarryoverError('model_file_unsupported', { detail: `The zip archive ${what}.` });
}
