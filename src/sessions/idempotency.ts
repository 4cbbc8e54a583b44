// Where the idempotency key of a call is compared with those that a session has stored, and what is
// checked before a stored answer is given again.
import { CarryoverError } from '../errors.ts';
import type { Call } from './call.ts';
import type { AdvanceAnswer, IdempotencyKey, KeptAnswer } from './kept-answer.ts';
import { sessionGone } from './session-gone.ts';
import { type Session, type Tombstone, stateDigest } from './session.ts';

/**
 * The answer that is stored under the idempotency key of the call; undefined if there is none.
 *
 * @throws idempotency_key_reused if the key belongs to another request
 */
export function findKeptAnswer({ answers }: Session, { key }: Call): KeptAnswer | undefined {
  const kept = key && answers.find((answer) => answer.key === key.key);
  if (kept && kept.digest !== key.digest) throw idempotencyKeyReused(kept);
  return kept;
}

/** Whether an answer is stored under the idempotency key of the call, be it to this request or to another one. */
export function keepsAnswerTo({ answers }: Session, { key }: Call): boolean {
  return key !== undefined && answers.some((answer) => answer.key === key.key);
}

/**
 * Checks that a session was deleted by this very call: then the deletion is replayed.
 *
 * @throws session_gone · idempotency_key_reused
 */
export function expectDeletedBy({ key }: Call, tombstone: Tombstone): void {
  const { deletion } = tombstone;
  if (key === undefined || deletion?.key !== key.key) throw sessionGone(tombstone);
  if (deletion.digest !== key.digest) throw idempotencyKeyReused(key);
}

/** idempotency_key_reused. */
export function idempotencyKeyReused({ key }: IdempotencyKey): CarryoverError {
  return new CarryoverError('idempotency_key_reused', {
    detail:
      `The Idempotency-Key ${JSON.stringify(key)} was used for another request; ` +
      'only the same method, address and body repeat it.',
    applied: 'no',
  });
}

/** @throws idempotency_key_reused if the call was no step or sequence */
export function expectSteps(answer: KeptAnswer): IdempotencyKey & AdvanceAnswer {
  if (answer.kind !== 'advance') throw idempotencyKeyReused(answer);
  return answer;
}

/** The numerics of answers whose records do not name any: they are older than the second numerics. */
const FIRST_NUMERICS = 1;

/** @throws answer_not_kept if other numerics would compute the answer again, with other bits */
export function expectSameNumerics(
  { provenance }: AdvanceAnswer,
  session: Session,
  numerics: number,
): void {
  const computedBy = provenance?.numerics ?? FIRST_NUMERICS;
  if (computedBy === numerics) return;
  throw answerNotKept(
    session,
    `it was computed by numerics ${computedBy}, and this server has numerics ${numerics}, whose bits differ`,
  );
}

/** @throws answer_not_kept if the state that was computed again is not the one that was committed */
export function expectSameState(
  { provenance }: AdvanceAnswer,
  session: Session,
  after: Session,
): void {
  if (provenance === undefined) return;
  const digest = stateDigest(after);
  if (provenance.digest === digest) return;
  throw answerNotKept(
    session,
    `computing it again gives a state of digest ${digest}, and ${provenance.digest} was committed`,
  );
}

function answerNotKept({ id, t, version }: Session, why: string): CarryoverError {
  return new CarryoverError('answer_not_kept', {
    detail:
      `This call was applied to session ${id}. Its answer cannot be given again: ${why}. ` +
      `GET /v1/sessions/${id} has the present state of the session.`,
    members: { t, version },
    applied: 'yes',
  });
}
