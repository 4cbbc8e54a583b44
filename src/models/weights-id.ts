// The id of a model is a digest of its weights, so the same weights have the same id (content addressing).
import { createHash } from 'node:crypto';
import { setImmediate as nextIteration } from 'node:timers/promises';
import type { Readout, Weights } from '../tensor.ts';

/** Numbers hashed at once: 512 KiB take a millisecond on a processor without SHA instructions. */
const SLICE_NUMBERS = 131_072;

/**
 * `sha256:<hex>` over D, H (u32) and the float32 values of W_x, W_h and b, all little-endian; with a
 * readout then also O (u32), W_y and b_y.
 */
export function weightsId(weights: Weights, readout?: Readout): string {
  const hash = createHash('sha256');
  for (const values of valuesOf(weights, readout)) hash.update(values);
  return `sha256:${hash.digest('hex')}`;
}

/** weightsId() in slices, between which the event loop runs. */
export async function weightsIdInSlices(weights: Weights, readout?: Readout): Promise<string> {
  const hash = createHash('sha256');
  for (const values of valuesOf(weights, readout)) {
    for (let at = 0; at < values.length; at += SLICE_NUMBERS) {
      hash.update(values.subarray(at, at + SLICE_NUMBERS));
      if (values.length > SLICE_NUMBERS) await nextIteration();
    }
  }
  return `sha256:${hash.digest('hex')}`;
}

function valuesOf({ D, H, W_x, W_h, b }: Weights, readout?: Readout): (Uint32Array | Float32Array)[] {
  const values = [Uint32Array.of(D, H), W_x, W_h, b];
  return readout ? [...values, Uint32Array.of(readout.O), readout.W_y, readout.b_y] : values;
}
