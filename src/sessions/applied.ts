// The `applied` member of an error: whether the call was applied to the session, now or by an earlier
// attempt with the same idempotency key. "no" and "yes" must be true; where neither is certain, it is
// "unknown".
import type { ErrorCode } from '../error-kinds.ts';
import { type Applied, CarryoverError } from '../errors.ts';
import type { Call } from './call.ts';
import { ANSWERS_MAX, type KeptAnswer } from './kept-answer.ts';
import type { Session } from './session.ts';

/** The session in which the idempotency key of a call was looked up, and the result. */
export interface KeyLookup {
  readonly session: Session;
  readonly keptAnswer: KeptAnswer | undefined;
  /** Whether the store is shared: the same call may be running in another process. */
  readonly isShared: boolean;
}

/**
 * The error of an attempt that was not applied, with `applied` set for the call as a whole.
 *
 * @param lookup undefined if the attempt failed before the key was looked up
 */
export function withApplied(error: unknown, call: Call, lookup: KeyLookup | undefined): unknown {
  if (!(error instanceof CarryoverError) || !isAboutThisAttempt(error)) return error;
  return error.withApplied(appliedBefore(error, call, lookup));
}

/** Throws the error again, as one of a call that has had an effect before its key could be stored. */
export function throwAppliedUnknown(error: unknown): never {
  throw error instanceof CarryoverError ? error.withApplied('unknown') : error;
}

/** A key that belongs to another request says for certain that this call was not applied. */
function isAboutThisAttempt({ code, applied }: CarryoverError): boolean {
  return code !== 'idempotency_key_reused' && (applied === undefined || applied === 'no');
}

function appliedBefore(
  { code, kind }: CarryoverError,
  call: Call,
  lookup: KeyLookup | undefined,
): Applied {
  if (!call.key) return 'no';
  if (!lookup) return 'unknown';
  const { session, keptAnswer, isShared } = lookup;
  if (keptAnswer) return 'yes';
  // Another process that runs the same call compares the same If-Match with the same version, and refuses it too.
  if (code === 'step_conflict') return mayBeForgotten(session, call) ? 'unknown' : 'no';
  // An error of the client (4xx) is in the call itself, so every attempt with it was refused. After a failure of the
  // server (5xx), and after errors that depend on the time of the attempt, an earlier attempt may have succeeded.
  if (kind.status < 500 && !DEPENDS_ON_TIME.includes(code)) return 'no';
  return isShared || mayBeForgotten(session, call) ? 'unknown' : 'no';
}

/**
 * Whether the call may have been applied, and its key has been dropped since: a session keeps the last ANSWERS_MAX
 * answers. An If-Match can exclude that, as the call can only have been applied at a version that it names. Example:
 * the session is at version 100, and its kept answers are those of the calls at versions 36 … 99. A call with If-Match
 * for version 50 was not applied: its answer would be later than that of version 36, and so be kept. One with
 * If-Match for version 30 may have been: its answer would be earlier than all that are kept.
 */
function mayBeForgotten({ answersCount, answers, incarnation, version }: Session, call: Call): boolean {
  if (answersCount <= ANSWERS_MAX) return false;
  if (call.ifMatch === undefined || call.ifMatch === '*') return true;
  return call.ifMatch.some((tag) => {
    const [, of, at] = /^"([^.]+)\.(\d+)/.exec(tag) ?? [];
    if (of !== incarnation || Number(at) >= version) return false;
    return !answers.some(
      (answer) => answer.kind === 'advance' && answer.before.version <= Number(at),
    );
  });
}

/** Refusals of a call that may have been valid earlier: they depend on the state, the model or the load. */
const DEPENDS_ON_TIME: readonly ErrorCode[] = [
  'state_not_kept',
  'not_finite',
  'out_of_range',
  'limit_exceeded',
  'model_not_found',
  'model_corrupt',
  'client_closed',
];

/** Whether an error may have been caused by a cached copy of a session that the store has newer. */
export function dependsOnState(error: unknown): boolean {
  return error instanceof CarryoverError && DEPENDS_ON_STATE.includes(error.code);
}

const DEPENDS_ON_STATE: readonly ErrorCode[] = [
  'step_conflict',
  'session_gone',
  'state_not_kept',
  'idempotency_key_reused',
  'not_finite',
  // t may be too large for the steps of the call.
  'out_of_range',
  // A store that lost changes may have another session of this id, created with the same key.
  'shape_mismatch',
];
