// The id of a model is a digest of its layers with their weights, so the same model has the same id (content
// addressing). openapi/README.md describes it for clients, and test/models/digest.test.ts computes it from there.
import { createHash } from 'node:crypto';
import { setImmediate as nextIteration } from 'node:timers/promises';
import type { Layer } from '../layers.ts';
import { hashedParts } from '../wasm/weights-block.ts';

/** Numbers hashed at once: 512 KiB take a millisecond on a processor without SHA instructions. */
const SLICE_NUMBERS = 131_072;

/**
 * `sha256:<hex>` over the description of the layers and all their tensors, as they are in a block of weights
 * (wasm/weights-block.ts). For one tanh layer, with or without a linear dense layer, it is over D, H (u32) and the
 * float32 values of W_x, W_h and b, all little-endian; with a dense layer then also O (u32), W_y and b_y.
 */
export function modelId(layers: readonly Layer[]): string {
  const hash = createHash('sha256');
  for (const values of hashedParts(layers)) hash.update(values);
  return `sha256:${hash.digest('hex')}`;
}

/** modelId() in slices, between which the event loop runs. */
export async function modelIdInSlices(layers: readonly Layer[]): Promise<string> {
  const hash = createHash('sha256');
  for (const values of hashedParts(layers)) {
    for (let at = 0; at < values.length; at += SLICE_NUMBERS) {
      hash.update(values.subarray(at, at + SLICE_NUMBERS));
      if (values.length > SLICE_NUMBERS) await nextIteration();
    }
  }
  return `sha256:${hash.digest('hex')}`;
}
