// The entries of a zip archive that are stored uncompressed, in place, their checksums compared in slices between which
// the event loop runs.
import { setImmediate as nextIteration } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import { quote } from '../safetensors/quote.ts';
import { STORED, visitEntries } from './archive.ts';

/** Its checksum takes less than a millisecond. */
const SLICE_BYTES = 2 ** 20;
const NOT_STORED = new Uint8Array();

/** The bytes of an archive's entries, by their names. */
export type Entries = ReadonlyMap<string, Uint8Array>;

/** A compressed entry is empty. @throws malformed_model_file · model_file_unsupported as visitEntries() */
export async function readStoredEntries(bytes: Uint8Array): Promise<Entries> {
  const entries = new Map<string, Uint8Array>();
  await visitEntries(bytes, async (entry, contentOf) => {
    const { fileName, compressionMethod, crc32: expected } = entry;
    if (compressionMethod !== STORED || entry.isEncrypted()) {
      entries.set(fileName, NOT_STORED);
      return;
    }
    const content = await contentOf();
    if ((await checksumOf(content)) !== expected) throw new Error(`${quote(fileName)} has another checksum`);
    entries.set(fileName, content);
  });
  return entries;
}

async function checksumOf(content: Uint8Array): Promise<number> {
  let checksum = 0;
  for (let at = 0; at < content.length; at += SLICE_BYTES) {
    if (at > 0) await nextIteration();
    checksum = crc32(content.subarray(at, at + SLICE_BYTES), checksum);
  }
  return checksum;
}
