// The digest by which a repeated item of a batch is recognised: stored ones must stay valid.
import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { tensorFromJson } from '../../../src/codec/json/tensor.ts';
import { clientClosed } from '../../../src/errors.ts';
import { keyOfItem, keyOfLargeItem } from '../../../src/http/sessions/idempotency-key.ts';
import type { TensorSource } from '../../../src/tensor.ts';

/** 2.4 MB: more than is hashed at once. */
const [N, D] = [3, 200_000];
const NUMBERS = Float32Array.from({ length: N * D }, (_, i) => Math.sin(i));
const BODY = { session: 'AAAAAAAAAAAAAAAAAAAAAA', trace: false, x: [[1]] };

/** @param inPlace the numbers where they are; undefined if they must be copied */
function sourceOf(inPlace: () => Float32Array | undefined): TensorSource {
  return { name: 'x', axes: 'ND', shape: [N, D], copyTo: (target) => target.set(NUMBERS), inPlace };
}

const DIGEST = createHash('sha256')
  .update(`item {"session":"AAAAAAAAAAAAAAAAAAAAAA","trace":false} ND ${N},${D} `)
  .update(NUMBERS)
  .digest('base64url');

test('is that of its fields and of x, at once or in slices, where it is or copied', async () => {
  const arrays = Array.from({ length: N }, (_, n) => [...NUMBERS.subarray(n * D, (n + 1) * D)]);
  for (const x of [tensorFromJson('x', 'ND', arrays), sourceOf(() => NUMBERS), sourceOf(() => undefined)]) {
    expect(keyOfItem('k', BODY, x)).toEqual({ key: 'k', digest: DIGEST });
    expect(await keyOfLargeItem('k', BODY, x)).toEqual({ key: 'k', digest: DIGEST });
  }
  expect(await keyOfLargeItem(undefined, BODY, sourceOf(() => NUMBERS))).toBeUndefined();
});

test('a request that ends while x is hashed has no key', async () => {
  let reads = 0;
  const x = sourceOf(() => {
    if (++reads > 2) throw clientClosed();
    return NUMBERS;
  });
  await expect(keyOfLargeItem('k', BODY, x)).rejects.toMatchObject({ code: 'client_closed' });
});
