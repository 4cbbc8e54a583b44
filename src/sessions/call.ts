// What a call on a session says besides what it wants, and the refusals that follow from it.
import { CarryoverError, type ErrorCode } from '../errors.ts';
import type { Lifetime } from '../lifetime.ts';
import { type CallKey, type KeptAnswer, type Session, type Tombstone, etagOf } from './session.ts';

export interface Call {
  /** The ETag that the session must have. */
  readonly ifMatch?: string | undefined;
  readonly key?: CallKey | undefined;
  /** Once it is over nobody waits for the answer any more: nothing is committed then. */
  readonly lifetime: Lifetime;
}

/**
 * How the call was answered when it came before.
 *
 * @throws idempotency_key_reused
 */
export function answeredBefore({ answers }: Session, { key }: Call): KeptAnswer | undefined {
  const earlier = key && answers.find((answer) => answer.key === key.key);
  if (earlier && earlier.digest !== key.digest) throw reused(earlier);
  return earlier;
}

/** @throws step_conflict */
export function expectVersion(session: Session, { ifMatch }: Call): void {
  if (ifMatch === undefined || ifMatch === '*' || ifMatch === etagOf(session)) return;
  const { id, t, version } = session;
  throw new CarryoverError('step_conflict', {
    detail: `Session ${id} is at ${etagOf(session)} (t = ${t}), and If-Match says ${ifMatch}.`,
    members: { t, version },
  });
}

/** Whether this very call deleted it. @throws session_gone · idempotency_key_reused */
export function isDeletionOf(tombstone: Tombstone, { key }: Call): true {
  const { deletion } = tombstone;
  if (key === undefined || deletion?.key !== key.key) throw gone(tombstone);
  if (deletion.digest !== key.digest) throw reused(key);
  return true;
}

/** Of an error after a fork was made: what failed is only that its key is remembered. */
export function inDoubt(error: unknown): never {
  if (!(error instanceof CarryoverError) || error.applied === 'unknown') throw error;
  const { code, message, errors, members, cause } = error;
  throw new CarryoverError(code, { detail: message, errors, members, cause, applied: 'unknown' });
}

/** Refusals that a stale copy of a session can be the cause of. */
const DEPENDS_ON_STATE: readonly ErrorCode[] = ['step_conflict', 'session_gone', 'state_not_kept'];

export function dependsOnState(error: unknown): boolean {
  return error instanceof CarryoverError && DEPENDS_ON_STATE.includes(error.code);
}

export function gone({ id, reason, atMs, t }: Tombstone): CarryoverError {
  const at = new Date(atMs).toISOString();
  const what = reason === 'deleted' ? 'was deleted' : 'expired';
  return new CarryoverError('session_gone', {
    detail: `Session ${id} ${what} at ${at}, after ${t} steps.`,
    members: { reason, at, t },
  });
}

export function reused({ key }: CallKey): CarryoverError {
  return new CarryoverError('idempotency_key_reused', {
    detail:
      `The Idempotency-Key ${JSON.stringify(key)} was used for another request to this session; ` +
      'only the same method, address and body repeat it.',
  });
}
