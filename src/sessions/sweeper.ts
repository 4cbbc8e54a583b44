// Expired sessions become tombstones, old tombstones are erased: a little every second, by the order of
// their times. What is asked for before that is answered by its own time, so nothing depends on this.
import { type Periodic, startPeriodic } from '../periodic.ts';
import type { Sessions } from './sessions.ts';

const INTERVAL_MS = 1_000;
const AT_ONCE = 500;
/** Of a round; what is left waits for the next. */
const BATCHES_MAX = 40;

/** @param onError is told when the store fails; the next round tries again */
export function startSweeper(sessions: Sessions, onError: (error: unknown) => void): Periodic {
  return startPeriodic(INTERVAL_MS, (stopping) => sweep(sessions, stopping), onError);
}

async function sweep(sessions: Sessions, stopping: AbortSignal): Promise<void> {
  for (let batch = 0; batch < BATCHES_MAX && !stopping.aborted; batch++) {
    const looked = await sessions.sweep(AT_ONCE);
    if (looked < AT_ONCE) return;
  }
}
