// SHA-256 of what a call was sent with, in base64url: a repeated call is recognised by it.
import { type Hash, createHash, hash } from 'node:crypto';
import { setImmediate as nextIteration } from 'node:timers/promises';

/** What is hashed in one event-loop iteration, in about 1 ms. */
const SLICE_BYTES = 1024 * 1024;

export function sha256(data: string | Buffer): string {
  return hash('sha256', data, 'base64url');
}

/** The same as sha256(), without holding the event loop however long `data` is. */
export async function sha256InSlices(data: Buffer): Promise<string> {
  if (data.length <= SLICE_BYTES) return sha256(data);
  const slices = createHash('sha256');
  await updateInSlices(slices, () => data);
  return slices.digest('base64url');
}

/** As hash.update(data()), in several iterations of the event loop; `data` is called in each, and returns the same bytes. */
export async function updateInSlices(hashed: Hash, data: () => Uint8Array | Float32Array): Promise<void> {
  for (let offset = 0, end = SLICE_BYTES; offset < end; offset += SLICE_BYTES) {
    if (offset > 0) await nextIteration();
    const { buffer, byteOffset, byteLength } = data();
    end = byteLength;
    hashed.update(Buffer.from(buffer, byteOffset, byteLength).subarray(offset, offset + SLICE_BYTES));
  }
}
