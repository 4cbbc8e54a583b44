// Optimistic concurrency: where processes share a store, a commit compares revisions, and of two
// concurrent changes of a session one is committed. The other is attempted again on what the store has then.
import { CarryoverError } from '../errors.ts';

/** Thrown when the record has another revision than the one that was read. Clients never see it. */
export const WRITE_CONFLICT = Symbol('write conflict');

/** A change that meets this many conflicts in a row is refused. */
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
