// How much work costs as much as handing it to a worker and back: measured at every start, in some
// twenty milliseconds, because it differs between machines by a factor of ten.
//
// To a worker that sleeps, as most are found between requests: waking it, and the event loop behind its
// answer, goes through the kernel twice. (A round trip to a worker that looks for its next job takes a
// tenth of that, and would say that work is better handed over that is not.)
import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from '../pool/pool.ts';
import type { Work } from './scheduler.ts';

const HAND_OVERS = 15;
const STEPS = 25;
/** Long enough for a worker to fall asleep. */
const PAUSE_MS = 1;
/** Whatever the hand-over costs, the calling thread is not held up longer than this. */
const HERE_MS_MAX = 0.1;

export interface Calibration {
  /** Median time of a job without rows, to a sleeping worker and back. */
  readonly handOverMs: number;
  /** Median speed of a step on this thread. */
  readonly flopsPerMs: number;
  /** Work up to this is better done here. */
  readonly hereFlopsMax: number;
}

/**
 * @param emptyJob a job of no rows: the hand-over alone
 * @param step     a step of one row, of some thousand operations
 */
export async function calibrate(
  pool: Pool,
  runHere: (job: number) => void,
  emptyJob: number,
  step: Work,
): Promise<Calibration> {
  const handOvers: number[] = [];
  for (let round = 0; round < HAND_OVERS; round++) {
    await sleep(PAUSE_MS);
    const start = performance.now();
    await pool.tryRun(emptyJob, 1_000);
    handOvers.push(performance.now() - start);
  }
  const [stepJob] = step.split(1);
  const steps = Array.from({ length: STEPS }, () => {
    const start = performance.now();
    runHere(stepJob!);
    return performance.now() - start;
  });
  const handOverMs = median(handOvers);
  const flopsPerMs = step.flops / median(steps);
  const hereFlopsMax = Math.round(Math.min(handOverMs, HERE_MS_MAX) * flopsPerMs);
  return { handOverMs, flopsPerMs, hereFlopsMax };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}
