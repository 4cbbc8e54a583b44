import { expect, test } from 'vitest';
import { runRandomJobs } from './random-jobs.ts';

test('a thousand random jobs, wherever they run, have the bits of the reference', async () => {
  const seed = Date.now() % 2 ** 31;
  const { jobs, rows, wrongRows, here, split } = await runRandomJobs(1_000, seed);
  expect(wrongRows, `seed ${seed}`).toBe(0);
  expect(jobs).toBe(1_000);
  expect(rows).toBeGreaterThan(5_000);
  expect(here).toBeGreaterThan(50);
  expect(split).toBeGreaterThan(50);
});
