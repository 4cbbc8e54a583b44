// Runs jobs through a pool: many in flight, or one at a time.
import type { Job } from '../../src/wasm/job.ts';
import type { LinearMemory } from '../../src/wasm/memory.ts';
import { packModel } from '../cases/packed-model.ts';
import type { Dispatcher } from '../dispatch/dispatchers.ts';
import { type SequenceCase, makeJob } from '../cases/sequence-case.ts';
import { percentile } from '../../src/cli/bench/statistics.ts';

export type Pools = ReadonlyMap<number, Dispatcher>;

/** One that runs and one that waits, so that no worker is idle. */
export const IN_FLIGHT_PER_WORKER = 2;

/** Calls `use` with `count` jobs, one for each in flight: no two threads may write the same bytes. */
export async function withJobs(
  memory: LinearMemory,
  sequence: SequenceCase,
  count: number,
  use: (jobs: readonly Job[]) => Promise<void>,
): Promise<void> {
  const model = packModel(memory, [sequence.layer]);
  const jobs = Array.from({ length: count }, () => makeJob(memory, model, sequence));
  await use(jobs);
  for (const job of jobs) job.release();
  memory.free(model.ptr);
}

/** The number of jobs that take `seconds`: a multiple of the workers, so that all end together. */
export async function countFor(
  pool: Dispatcher,
  jobs: readonly Job[],
  workers: number,
  seconds: number,
): Promise<number> {
  for (let count = jobs.length; ; count *= 2) {
    const took = await runAll(pool, jobs, count);
    if (took < seconds / 2) continue;
    const enough = Math.max(jobs.length, (count * seconds) / took);
    return Math.ceil(enough / workers) * workers;
  }
}

/** Seconds for `count` runs; each job is dispatched again as soon as it is done. */
export async function runAll({ run }: Dispatcher, jobs: readonly Job[], count: number): Promise<number> {
  const startMs = performance.now();
  let left = count;
  await Promise.all(
    jobs.map(async (job) => {
      while (left-- > 0) await run(job);
    }),
  );
  return (performance.now() - startMs) / 1000;
}

/** Median latency of a job alone, for `seconds` and at least three runs. */
export async function latencyMs({ run }: Dispatcher, job: Job, seconds: number): Promise<number> {
  const timesMs: number[] = [];
  const endMs = performance.now() + seconds * 1000;
  for (let startMs = performance.now(); startMs < endMs || timesMs.length < 3; ) {
    await run(job);
    const nowMs = performance.now();
    timesMs.push(nowMs - startMs);
    startMs = nowMs;
  }
  return percentile(timesMs, 50);
}
