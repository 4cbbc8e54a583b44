import { expect, test } from 'vitest';
import { SEED } from '../helpers/seed.ts';
import { runRandomJobs } from './random-jobs.ts';

test('a thousand random jobs have the bits of the reference, inline, on a worker and split', async () => {
  const { jobs, rows, wrongRows, inline, split, wide } = await runRandomJobs(1_000, SEED);
  expect(wrongRows).toBe(0);
  expect(jobs).toBe(1_000);
  expect(rows).toBeGreaterThan(5_000);
  expect(inline).toBeGreaterThan(50);
  expect(split).toBeGreaterThan(50);
  expect(Math.min(...Object.values(wide))).toBeGreaterThan(0);
});
