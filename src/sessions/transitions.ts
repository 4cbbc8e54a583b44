// How one state of a session follows another. Pure functions: each returns a new session.
import { ANSWERS_MAX, type AdvanceAnswer, type ChangeMetadata, type IdempotencyKey, type KeptAnswer } from './kept-answer.ts';
import { type PastState, type Session, type Tombstone, newSession, stateDigest } from './session.ts';

/** The session after a change of its state; the state before it becomes a past state. */
export function advanced(
  session: Session,
  { state, t }: PastState,
  metadata: ChangeMetadata,
): Session {
  const { keep, past, pastHeight } = session;
  const before = { t: session.t, state: session.state };
  return {
    ...session,
    version: session.version + 1,
    ...metadata,
    t,
    state,
    past: keep === 0 ? past : [...past, before].slice(-keep),
    pastHeight: keep === 0 ? 0 : pastHeight + 1,
  };
}

/**
 * The session back at the latest kept state of step t; this state and all later ones are dropped from the
 * past. Undefined if no state of step t is kept.
 */
export function rewound(session: Session, t: number, metadata: ChangeMetadata): Session | undefined {
  const { past, pastHeight } = session;
  const index = past.findLastIndex((state) => state.t === t);
  if (index < 0) return undefined;
  return {
    ...session,
    version: session.version + 1,
    ...metadata,
    t,
    state: past[index]!.state,
    past: past.slice(0, index),
    pastHeight: pastHeight - (past.length - index),
  };
}

/** A new session that continues from the state of another, with its past but without its kept answers. */
export function forked(session: Session, id: string, incarnation: string, nowMs: number): Session {
  const { modelId, N, D, H, states, keep, ttlMs, state, t, past, numerics } = session;
  const spec = { modelId, N, D, H, states, keep, ttlMs, state };
  return { ...newSession(id, incarnation, spec, nowMs, numerics), t, past, pastHeight: past.length };
}

/** The expiry in an answer may be earlier than the committed one by at most this part of ttlMs. */
const LATE_SHARE_MAX = 0.1;

/** The session with an expiry that is ttlMs from now, if the one in the answer is much earlier. */
export function withFullTtl(after: Session, nowMs: number): Session {
  const { ttlMs } = after;
  const expiresAtMs = nowMs + ttlMs;
  return expiresAtMs - after.expiresAtMs > ttlMs * LATE_SHARE_MAX ? { ...after, expiresAtMs } : after;
}

/** The session with one more kept answer; beyond ANSWERS_MAX the oldest is dropped. */
export function withKeptAnswer(session: Session, answer: KeptAnswer): Session {
  return {
    ...session,
    answers: [...session.answers, answer].slice(-ANSWERS_MAX),
    answersCount: session.answersCount + 1,
  };
}

/** The answer to some steps, as a session keeps it: what they are computed again from. @param numerics of the service */
export function answerToSteps(key: IdempotencyKey, before: Session, after: Session, numerics: number): KeptAnswer {
  const { version, t, state } = before;
  const { nonce, expiresAtMs } = after;
  return {
    ...key,
    kind: 'advance',
    before: { version, t, state },
    metadata: { nonce, expiresAtMs },
    provenance: { numerics, digest: stateDigest(after) },
  };
}

/** The state and the metadata with which the steps of a replayed call are computed again. */
export interface ReplayedSteps {
  /** The session as it was before the steps. */
  readonly before: Session;
  readonly metadata: ChangeMetadata;
}

/** The session as it was before a step or a sequence, to compute that again. */
export function withStateBefore(session: Session, { before }: AdvanceAnswer): Session {
  return { ...session, ...before };
}

/** The tombstone of a session that has expired. */
export function expiredTombstone({ id, expiresAtMs, t }: Session): Tombstone {
  return { id, reason: 'expired', atMs: expiresAtMs, t };
}
