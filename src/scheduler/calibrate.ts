// Measures what the dispatch of a job to a worker costs, at every start and within some twenty milliseconds, as it
// differs between machines by a factor of ten: work that costs less runs inline.
//
// The job is sent to a worker that sleeps, as most do between requests: waking it, and resuming the event loop with its
// reply, takes two system calls. A round trip to a worker that spins takes a tenth of that; with that figure, work
// would be dispatched that is faster inline.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from '../pool/pool.ts';

const ROUNDS = 15;
/** Long enough for a worker to go to sleep. */
const PAUSE_MS = 1;
/** The longest time for which inline work may block the event loop, whatever a dispatch costs. */
const INLINE_MS_MAX = 0.1;

export type JobRunner = Pick<Pool, 'tryRun'>;

/**
 * Median time of the round trip of a job to a sleeping worker, in ms.
 *
 * @param emptyJob address of the record of a job without rows
 */
export async function measureDispatchMs(workers: JobRunner, emptyJob: number): Promise<number> {
  const dispatches: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    await sleep(PAUSE_MS);
    const start = performance.now();
    await workers.tryRun(emptyJob, 1_000);
    dispatches.push(performance.now() - start);
  }
  return median(dispatches);
}

/** How many operations take as long as a dispatch: work of up to this many is faster inline. */
export function inlineFlopsMaxOf(dispatchMs: number, flopsPerMs: number): number {
  return Math.round(Math.min(dispatchMs, INLINE_MS_MAX) * flopsPerMs);
}

/** Median time of a call on this thread, in ms. */
export function medianMs(run: () => void, rounds: number): number {
  const times = Array.from({ length: rounds }, () => {
    const start = performance.now();
    run();
    return performance.now() - start;
  });
  return median(times);
}

/** The median; of an even number of values the upper one of the two in the middle. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}
