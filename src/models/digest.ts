// Content addressing: the same weights have the same id, whoever sends them.
import { createHash } from 'node:crypto';
import type { Weights } from '../tensor.ts';

/** `sha256:<hex>` over D, H (u32) and the float32 values of W_x, W_h and b, all little-endian. */
export function weightsId({ D, H, W_x, W_h, b }: Weights): string {
  const hash = createHash('sha256').update(new Uint32Array([D, H]));
  for (const values of [W_x, W_h, b]) hash.update(values);
  return `sha256:${hash.digest('hex')}`;
}
