import { describe, expect, test } from 'vitest';
import type { Job } from '../../src/wasm/job.ts';
import { LEAK_BYTES_MAX, soak } from './soak.ts';
import { sized } from '../helpers/long.ts';

const JOBS = sized({ short: 60_000, long: 200_000 });
const MODELS = 100;
const ATTEMPTS = 3;

test(`${JOBS} jobs over ${MODELS} models leak no memory`, () => {
  const heapBytes: number[] = [];
  // V8 may keep compiled code meanwhile, once, and some 60 kB of it are 2 bytes a job of the short form; a leak is found each time.
  while (heapBytes.length < ATTEMPTS && !(Math.min(...heapBytes) < LEAK_BYTES_MAX)) {
    const { heapBytesPerJob, linearBytesPerJob, grownBytes } = soak(JOBS, MODELS);
    heapBytes.push(heapBytesPerJob);
    expect(linearBytesPerJob).toBeLessThan(LEAK_BYTES_MAX);
    expect(grownBytes).toBe(0);
  }
  expect(Math.min(...heapBytes), heapBytes.join(', ')).toBeLessThan(LEAK_BYTES_MAX);
});

describe('control: a leak is found when', () => {
  const jobs = JOBS / 2;

  test.each([
    ['an object', (job: Job) => ({ job: job.ptr })],
    ['a view', (job: Job) => job.x.slice()],
  ])('every 4th job leaves %s behind', (_, keep) => {
    const kept: object[] = [];
    let count = 0;
    const onRun = (job: Job) => {
      if (count++ % 4 === 0) kept.push(keep(job));
    };
    expect(soak(jobs, MODELS, { onRun }).heapBytesPerJob).toBeGreaterThan(LEAK_BYTES_MAX);
    expect(kept).toHaveLength(jobs / 4);
  });

  test('every 1,000th job leaves its block behind', () => {
    const release = (job: Job, index: number) => {
      if (index % 1_000 !== 0) job.release();
    };
    expect(soak(jobs, MODELS, { release }).linearBytesPerJob).toBeGreaterThan(LEAK_BYTES_MAX);
  });
});
