// What has become of a change, by what Redis has answered.
import { CarryoverError } from '../../errors.ts';
import type { Answer } from './connection.ts';
import { DONE, TOO_OLD } from './record-scripts.ts';

/**
 * Whether a change was made.
 *
 * @throws store_unavailable, applied `unknown`, if it was sent before and that may have made it
 */
export function isDone(outcome: unknown, { isRepeat }: Answer): boolean {
  if (outcome === TOO_OLD && isRepeat) {
    throw new CarryoverError('store_unavailable', {
      detail: 'An answer of Redis was lost, and others have changed the session since: read it.',
      applied: 'unknown',
    });
  }
  return outcome === DONE;
}

/** Rethrows with applied `no`: without its record the index makes no session. */
export function nothingApplied(error: CarryoverError): never {
  if (error.applied === 'no') throw error;
  const { code, message: detail, cause } = error;
  throw new CarryoverError(code, { detail, cause, applied: 'no' });
}
