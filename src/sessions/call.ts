// What a call on a session says besides what it wants, and the refusals that follow from it.
import { type Applied, CarryoverError, type ErrorCode } from '../errors.ts';
import type { Lifetime } from '../lifetime.ts';
import {
  ANSWERS_MAX,
  type AdvanceAnswer,
  type CallKey,
  type KeptAnswer,
  type Session,
  type Tombstone,
  etagOf,
  stateDigest,
} from './session.ts';

/** Any state will do, or one whose ETag is in the list. */
export type IfMatch = '*' | readonly string[];

export interface Call {
  readonly ifMatch?: IfMatch | undefined;
  readonly key?: CallKey | undefined;
  /** Once it is over nobody waits for the answer any more: nothing is committed then. */
  readonly lifetime: Lifetime;
}

/** What became of a call that changes a session. */
export interface Outcome<Value> {
  readonly value: Value;
  /** Whether the call was made before, and its answer is that of then. */
  readonly replayed: boolean;
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
  if (ifMatch === undefined || ifMatch === '*' || ifMatch.includes(etagOf(session))) return;
  const { id, t, version } = session;
  const said = ifMatch.join(', ').slice(0, 200);
  const isWeak = ifMatch.some((tag) => tag.startsWith('W/'));
  throw new CarryoverError('step_conflict', {
    detail:
      `Session ${id} is at ${etagOf(session)} (t = ${t}), and If-Match says ${said}.` +
      (isWeak ? WEAK : ''),
    members: { t, version },
  });
}

const WEAK =
  ' A weak tag, W/"…", never matches (RFC 9110). This server gives strong ones: a gateway that compresses ' +
  'answers makes them weak. Switch that off for this address (nginx: `gzip off`; the server compresses ' +
  'by itself), or send `Accept-Encoding: identity`.';

/** What numerics computed the answers whose records do not say it: there was no other yet. */
const FIRST_NUMERICS = 1;

/** @throws answer_not_kept if other numerics would compute the answer again */
export function expectNumerics({ made }: AdvanceAnswer, session: Session, numerics: number): void {
  const { numerics: then = FIRST_NUMERICS } = made ?? {};
  if (then === numerics) return;
  throw answerNotKept(
    session,
    `it was computed by numerics ${then}, and this server has numerics ${numerics}, whose bits differ`,
  );
}

/** @throws answer_not_kept if what was computed again is not what was committed */
export function expectBits({ made }: AdvanceAnswer, session: Session, after: Session): void {
  if (made === undefined) return;
  const digest = stateDigest(after);
  if (made.digest === digest) return;
  throw answerNotKept(
    session,
    `computed again it comes to a state of digest ${digest}, and ${made.digest} was committed`,
  );
}

function answerNotKept({ id, t, version }: Session, why: string): CarryoverError {
  return new CarryoverError('answer_not_kept', {
    detail:
      `This call was applied to session ${id}. Its answer cannot be given again: ${why}. ` +
      `GET /v1/sessions/${id} has the state that the session is in.`,
    members: { t, version },
    applied: 'yes',
  });
}

/** That it was this very call that deleted it. @throws session_gone · idempotency_key_reused */
export function expectDeletedBy({ key }: Call, tombstone: Tombstone): void {
  const { deletion } = tombstone;
  if (key === undefined || deletion?.key !== key.key) throw gone(tombstone);
  if (deletion.digest !== key.digest) throw reused(key);
}

/** Of an error after a fork was made: what failed is only that its key is remembered. */
export function inDoubt(error: unknown): never {
  throw error instanceof CarryoverError ? error.withApplied('unknown') : error;
}

/** The session in which the key of a call was looked up, and what was found. */
export interface LookedUp {
  readonly session: Session;
  readonly earlier: KeptAnswer | undefined;
  /** Whether the same call may be running in another process, or its answer be kept there. */
  readonly isShared: boolean;
}

/** The error of a call that has not been applied this time, with what is certain of it by its key. */
export function told(error: unknown, call: Call, lookedUp: LookedUp | undefined): unknown {
  if (!(error instanceof CarryoverError) || !isAboutThisAttempt(error)) return error;
  return error.withApplied(appliedBefore(error, call, lookedUp));
}

/** Of a key that is another request's it is known that this one was not applied. */
function isAboutThisAttempt({ code, applied }: CarryoverError): boolean {
  return code !== 'idempotency_key_reused' && (applied === undefined || applied === 'no');
}

function appliedBefore(
  { code, kind }: CarryoverError,
  call: Call,
  lookedUp: LookedUp | undefined,
): Applied {
  if (!call.key) return 'no';
  if (!lookedUp) return 'unknown';
  const { session, earlier, isShared } = lookedUp;
  if (earlier) return 'yes';
  // An attempt that runs elsewhere has the same If-Match, so it is refused there too.
  if (code === 'step_conflict') return mayBeForgotten(session, call) ? 'unknown' : 'no';
  // What is wrong with the call itself was wrong whenever it came.
  if (kind.status < 500 && !DEPENDS_ON_TIME.includes(code)) return 'no';
  return isShared || mayBeForgotten(session, call) ? 'unknown' : 'no';
}

/**
 * Whether the call may have been applied so long ago that its key is not remembered any more. If it was,
 * it had a version that If-Match names, so its answer would be younger than one given at an earlier version.
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

/** Refusals that a stale copy of a session can be the cause of. */
const DEPENDS_ON_STATE: readonly ErrorCode[] = [
  'step_conflict',
  'session_gone',
  'state_not_kept',
  'idempotency_key_reused',
  'not_finite',
  // t may be too large for as many steps.
  'out_of_range',
  // A store that went back may have another session of this id, made by the same key.
  'shape_mismatch',
];

/** Refusals of a call that may have been in order before: by its session, its model, or how fast this is. */
const DEPENDS_ON_TIME: readonly ErrorCode[] = [
  'state_not_kept',
  'not_finite',
  'out_of_range',
  'limit_exceeded',
  'model_not_found',
  'model_corrupt',
  'client_closed',
];

export function dependsOnState(error: unknown): boolean {
  return error instanceof CarryoverError && DEPENDS_ON_STATE.includes(error.code);
}

/** session_gone, with what the tombstone tells. */
export function gone({ id, reason, atMs, t }: Tombstone): CarryoverError {
  const at = new Date(atMs).toISOString();
  const what = reason === 'deleted' ? 'was deleted' : 'expired';
  return new CarryoverError('session_gone', {
    detail: `Session ${id} ${what} at ${at}${t === undefined ? '' : `, after ${t} steps`}.`,
    members: { reason, at, t },
  });
}

/** idempotency_key_reused. */
export function reused({ key }: CallKey): CarryoverError {
  return new CarryoverError('idempotency_key_reused', {
    detail:
      `The Idempotency-Key ${JSON.stringify(key)} was used for another request; ` +
      'only the same method, address and body repeat it.',
    applied: 'no',
  });
}
