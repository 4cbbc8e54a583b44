// How much work costs as much as handing it to a worker and back: measured at every start, in some
// twenty milliseconds, because it differs between machines by a factor of ten.
//
// To a worker that sleeps, as most are found between requests: waking it, and the event loop behind its
// answer, goes through the kernel twice. (A round trip to a worker that looks for its next job takes a
// tenth of that, and would say that work is better handed over that is not.)
import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from '../pool/pool.ts';

const HAND_OVERS = 15;
/** Long enough for a worker to fall asleep. */
const PAUSE_MS = 1;
/** Whatever the hand-over costs, the calling thread is not held up longer than this. */
const HERE_MS_MAX = 0.1;

export type JobRunner = Pick<Pool, 'tryRun'>;

/** Median time of a job, to a sleeping worker and back. @param emptyJob one without rows */
export async function measureDispatchMs(workers: JobRunner, emptyJob: number): Promise<number> {
  const handOvers: number[] = [];
  for (let round = 0; round < HAND_OVERS; round++) {
    await sleep(PAUSE_MS);
    const start = performance.now();
    await workers.tryRun(emptyJob, 1_000);
    handOvers.push(performance.now() - start);
  }
  return median(handOvers);
}

/** Work up to this is better done on the calling thread. */
export function inlineFlopsMaxOf(handOverMs: number, flopsPerMs: number): number {
  return Math.round(Math.min(handOverMs, HERE_MS_MAX) * flopsPerMs);
}

/** Median time of a run on this thread, in ms. */
export function medianMs(run: () => void, rounds: number): number {
  const times = Array.from({ length: rounds }, () => {
    const start = performance.now();
    run();
    return performance.now() - start;
  });
  return median(times);
}

/** The upper one of an even number. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}
