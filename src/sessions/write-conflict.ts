// Where other processes share the store, one of two that change a session is first. The other begins
// again, with what it finds then.
import { CarryoverError } from '../errors.ts';

/** Not an error that is told: another process was faster, so the call begins again. */
export const WRITE_CONFLICT = Symbol('overtaken');

/** With several processes a change may lose against others; it gives up after as many times. */
const ATTEMPTS_MAX = 100;

/**
 * Runs `attempt` again for as long as it throws WRITE_CONFLICT.
 *
 * @param errorOf what an error of `attempt` means: WRITE_CONFLICT, or the error to throw
 * @throws session_busy after ATTEMPTS_MAX conflicts in a row · what `attempt` throws
 */
export async function retryOnConflict<Result>(
  id: string,
  attempt: () => Promise<Result>,
  errorOf: (error: unknown) => unknown = (error) => error,
): Promise<Result> {
  for (let attempts = 0; attempts < ATTEMPTS_MAX; attempts++) {
    try {
      return await attempt();
    } catch (thrown) {
      const error = errorOf(thrown);
      if (error !== WRITE_CONFLICT) throw error;
    }
  }
  throw new CarryoverError('session_busy', {
    detail: `Other processes keep changing session ${id}; nothing was applied.`,
  });
}
