// How much work costs as much as handing it to a worker and back: measured at every start, in a few
// milliseconds, because it differs between machines by a factor of ten.
import type { Pool } from '../pool/pool.ts';
import type { Work } from './scheduler.ts';

const ROUNDS = 25;
/** Whatever the hand-over costs, the calling thread is not held up longer than this. */
const HERE_MS_MAX = 0.05;

export interface Calibration {
  /** Median time of a job without rows, to a worker and back. */
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
  const steps: number[] = [];
  const [stepJob] = step.split(1);
  for (let round = 0; round < ROUNDS; round++) {
    let start = performance.now();
    await pool.tryRun(emptyJob, 1_000);
    handOvers.push(performance.now() - start);
    start = performance.now();
    runHere(stepJob!);
    steps.push(performance.now() - start);
  }
  const handOverMs = median(handOvers);
  const flopsPerMs = step.flops / median(steps);
  const hereFlopsMax = Math.round(Math.min(handOverMs, HERE_MS_MAX) * flopsPerMs);
  return { handOverMs, flopsPerMs, hereFlopsMax };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}
