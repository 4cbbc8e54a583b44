import { expect, test } from 'vitest';
import { soak } from './soak.ts';

test('twenty thousand jobs over a hundred models leave the memory as it was', () => {
  const { rssMiB, grownMiB, bytesLeft } = soak(20_000, 100);
  expect(rssMiB[1] - rssMiB[0]).toBeLessThan(64);
  expect(grownMiB[1]).toBe(grownMiB[0]);
  // The cache counts what it packed; the allocator rounds each block up to 64 bytes.
  expect(bytesLeft).toBeLessThan(100 * 64);
});
