import { expect, test } from 'vitest';
import { SEED } from '../helpers/seed.ts';
import { runRandomJobs } from './random-jobs.ts';

test('a thousand random jobs, wherever they run, have the bits of the reference', async () => {
  const { jobs, rows, wrongRows, here, split } = await runRandomJobs(1_000, SEED);
  expect(wrongRows).toBe(0);
  expect(jobs).toBe(1_000);
  expect(rows).toBeGreaterThan(5_000);
  expect(here).toBeGreaterThan(50);
  expect(split).toBeGreaterThan(50);
});
