// SHA-256 of what a call was sent with, in base64url: a repeated call is recognised by it.
import { createHash, hash } from 'node:crypto';
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
  for (let offset = 0; offset < data.length; offset += SLICE_BYTES) {
    if (offset > 0) await nextIteration();
    slices.update(data.subarray(offset, offset + SLICE_BYTES));
  }
  return slices.digest('base64url');
}
