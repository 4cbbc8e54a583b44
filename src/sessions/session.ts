// A session: a model, a hidden state that lives here, and how one state follows another. Values only:
// a change makes a new session out of the old one, and nothing is changed in place.
import { createHash } from 'node:crypto';
import { randomNonce } from './ids.ts';

/** Calls whose Idempotency-Key is remembered, the last ones of each session. */
export const ANSWERS_MAX = 64;
/** Most past states that a session can be asked to keep. */
export const KEEP_MAX = 64;

/** Most steps that a session can have taken: up to here every integer is one of float64's. */
export const STEPS_MAX = Number.MAX_SAFE_INTEGER;

export interface Session {
  readonly id: string;
  /** Random, from creation: no other session ever has it. */
  readonly incarnation: string;
  /** One more with every change of the state. */
  readonly version: number;
  /**
   * Random, from the last change of the state. A store that has lost changes comes to the same version
   * again, by other changes. Absent in records of servers that had none.
   */
  readonly nonce?: string | undefined;
  /** Steps taken. */
  readonly t: number;
  readonly modelId: string;
  readonly N: number;
  readonly D: number;
  readonly H: number;
  /** Past states kept, 0 … KEEP_MAX. */
  readonly keep: number;
  /** Idle lifetime. */
  readonly ttlMs: number;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
  /** (N, H) */
  readonly h: Float32Array;
  /** Earlier calls by key, oldest first, at most ANSWERS_MAX. */
  readonly answers: readonly KeptAnswer[];
  /** The call that created it, if it had a key. */
  readonly creation?: Creation | undefined;
  /** Keyed calls since creation. */
  readonly answersCount: number;
  /** States before earlier changes, oldest first, at most `keep`. */
  readonly past: readonly PastState[];
  /** Height of the stack whose top is `past`: one more with a change, fewer after a rewind. */
  readonly pastHeight: number;
}

export interface PastState {
  readonly t: number;
  /** (N, H) */
  readonly h: Float32Array;
}

/** What an Idempotency-Key stands for: a repeated call has the same key and the same digest. */
export interface CallKey {
  readonly key: string;
  /** SHA-256 of method, address and body, base64url. */
  readonly digest: string;
}

/** What answers a repeated call without moving the state. */
export type KeptAnswer = CallKey & (AdvanceAnswer | ReplyAnswer);

/**
 * The answer of a step or a sequence is not kept but computed again, from the state before it and the
 * body sent again: the bits are the same, and a state is smaller than an answer.
 */
export interface AdvanceAnswer {
  readonly kind: 'advance';
  readonly before: { readonly version: number; readonly t: number; readonly h: Float32Array };
  readonly stamp: Stamp;
  /** What computing it again must come to; absent in records of servers that knew one numerics. */
  readonly made?: Made | undefined;
}

/** What a change gives a session besides its state. */
export interface Stamp {
  readonly nonce?: string | undefined;
  readonly expiresAtMs: number;
}

/** Which bits an answer had. */
export interface Made {
  /** Number of the numerics that computed it; see wasm/numerics.ts. */
  readonly numerics: number;
  /** stateDigest() of the state after it. */
  readonly digest: string;
}

/** A short answer, kept as it was sent. */
export interface ReplyAnswer {
  readonly kind: 'reply';
  readonly reply: Reply;
}

export type Creation = CallKey & { readonly reply: Reply };

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** What is left of a session for a while. */
export interface Tombstone {
  readonly id: string;
  readonly reason: 'deleted' | 'expired';
  readonly atMs: number;
  /** Undefined if the record was damaged. */
  readonly t?: number | undefined;
  /** The call that deleted it, if it had a key. */
  readonly deletion?: CallKey | undefined;
}

export interface SessionSpec {
  readonly modelId: string;
  readonly N: number;
  readonly D: number;
  readonly H: number;
  readonly keep: number;
  readonly ttlMs: number;
  readonly h: Float32Array;
}

export function newSession(id: string, incarnation: string, spec: SessionSpec, nowMs: number): Session {
  return {
    id,
    incarnation,
    version: 0,
    nonce: randomNonce(),
    t: 0,
    ...spec,
    createdAtMs: nowMs,
    expiresAtMs: nowMs + spec.ttlMs,
    answers: [],
    answersCount: 0,
    past: [],
    pastHeight: 0,
  };
}

/** The session after a change of its state; the state before goes to the past. */
export function advanced(
  session: Session,
  { h, t }: { readonly h: Float32Array; readonly t: number },
  stamp: Stamp,
): Session {
  const { keep, past, pastHeight } = session;
  const before = { t: session.t, h: session.h };
  return {
    ...session,
    version: session.version + 1,
    ...stamp,
    t,
    h,
    past: keep === 0 ? past : [...past, before].slice(-keep),
    pastHeight: keep === 0 ? 0 : pastHeight + 1,
  };
}

/** Back to the latest kept state of step t; it and what was kept after it leave the past. */
export function rewound(session: Session, t: number, stamp: Stamp): Session | undefined {
  const { past, pastHeight } = session;
  const index = past.findLastIndex((state) => state.t === t);
  if (index < 0) return undefined;
  return {
    ...session,
    version: session.version + 1,
    ...stamp,
    t,
    h: past[index]!.h,
    past: past.slice(0, index),
    pastHeight: pastHeight - (past.length - index),
  };
}

/** Another session that goes on from this one's state, with its past but without its answers. */
export function forked(session: Session, id: string, incarnation: string, nowMs: number): Session {
  const { modelId, N, D, H, keep, ttlMs, h, t, past } = session;
  const spec = { modelId, N, D, H, keep, ttlMs, h };
  return { ...newSession(id, incarnation, spec, nowMs), t, past, pastHeight: past.length };
}

/** The session with one more kept answer; the oldest makes room. */
export function withKeptAnswer(session: Session, answer: KeptAnswer): Session {
  return {
    ...session,
    answers: [...session.answers, answer].slice(-ANSWERS_MAX),
    answersCount: session.answersCount + 1,
  };
}

/** The session as it was before a step or sequence that is computed again. */
export function withStateBefore(session: Session, { before }: AdvanceAnswer): Session {
  return { ...session, ...before };
}

/** What is left of a session that was idle for too long. */
export function expired({ id, expiresAtMs, t }: Session): Tombstone {
  return { id, reason: 'expired', atMs: expiresAtMs, t };
}

/** Strong, and of one state that there ever was: `"<incarnation>.<version>.<nonce>"`. */
export function etagOf({ incarnation, version, nonce }: Session): string {
  return nonce === undefined ? `"${incarnation}.${version}"` : `"${incarnation}.${version}.${nonce}"`;
}

/** First 16 hex digits of SHA-256 over the state's float32 values, little-endian. */
export function stateDigest({ h }: Session): string {
  return createHash('sha256').update(h).digest('hex').slice(0, 16);
}
