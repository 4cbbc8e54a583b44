// The periodic sweep: expired sessions become tombstones, and tombstones that are old enough are erased,
// in the order of their times. Answers never depend on how far it has come: every call compares times.
import { type Periodic, startPeriodic } from '../periodic.ts';
import type { Sessions } from './sessions.ts';

const INTERVAL_MS = 1_000;
/** Records in one batch. */
const BATCH_SIZE = 500;
/** Batches in one sweep; what is left waits for the next. */
const BATCHES_MAX = 40;

/** @param onError called when the store fails; the next sweep tries again */
export function startSweeper(sessions: Sessions, onError: (error: unknown) => void): Periodic {
  return startPeriodic(INTERVAL_MS, (stopping) => sweep(sessions, stopping), onError);
}

async function sweep(sessions: Sessions, stopping: AbortSignal): Promise<void> {
  for (let batch = 0; batch < BATCHES_MAX && !stopping.aborted; batch++) {
    const count = await sessions.sweep(BATCH_SIZE);
    if (count < BATCH_SIZE) return;
  }
}
