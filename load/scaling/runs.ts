// Jobs through a pool: many of them as fast as it takes them, or one at a time.
import type { Job } from '../../src/wasm/job.ts';
import type { LinearMemory } from '../../src/wasm/memory.ts';
import { packModel } from '../packed-model.ts';
import type { Contestant } from '../parts/contestants.ts';
import { type SequenceCase, makeJob } from '../sequence-case.ts';
import { percentile } from '../statistics.ts';

export type Pools = ReadonlyMap<number, Contestant>;

/** One that runs and one that waits: a worker is never without. */
export const IN_FLIGHT_PER_WORKER = 2;

/** As many jobs as are in flight, so that no two threads write the same bytes. */
export async function withJobs(
  memory: LinearMemory,
  sequence: SequenceCase,
  count: number,
  use: (jobs: readonly Job[]) => Promise<void>,
): Promise<void> {
  const model = packModel(memory, sequence.weights);
  const jobs = Array.from({ length: count }, () => makeJob(memory, model, sequence));
  await use(jobs);
  for (const job of jobs) job.release();
  memory.free(model.panelsPtr);
}

/** How many jobs last for `seconds`: a multiple of the workers, so that all end together. */
export async function countFor(
  pool: Contestant,
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

/** Seconds for `count` runs; each job is handed over again as soon as it is back. */
export async function runAll({ run }: Contestant, jobs: readonly Job[], count: number): Promise<number> {
  const startMs = performance.now();
  let left = count;
  await Promise.all(
    jobs.map(async (job) => {
      while (left-- > 0) await run(job);
    }),
  );
  return (performance.now() - startMs) / 1000;
}

/** The median of one job after the other. */
export async function latencyMs({ run }: Contestant, job: Job, seconds: number): Promise<number> {
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
