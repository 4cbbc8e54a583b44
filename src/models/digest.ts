// Content addressing: the same weights have the same id, whoever sends them.
import { createHash } from 'node:crypto';
import type { Readout, Weights } from '../tensor.ts';

/**
 * `sha256:<hex>` over D, H (u32) and the float32 values of W_x, W_h and b, all little-endian; with a
 * readout then also O (u32), W_y and b_y.
 */
export function weightsId({ D, H, W_x, W_h, b }: Weights, readout?: Readout): string {
  const hash = createHash('sha256').update(new Uint32Array([D, H]));
  for (const values of [W_x, W_h, b]) hash.update(values);
  if (readout) {
    hash.update(new Uint32Array([readout.O])).update(readout.W_y).update(readout.b_y);
  }
  return `sha256:${hash.digest('hex')}`;
}
