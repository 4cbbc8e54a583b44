// A session: a model, and its states that are kept between calls: h of every recurrent layer, and c of those that have
// one. All values are immutable: a change makes a new session out of the old one (transitions.ts).
import { hash } from 'node:crypto';
import { randomNonce } from './ids.ts';
import type { Creation, IdempotencyKey, KeptAnswer } from './kept-answer.ts';

/** Most past states that a session can be asked to keep. */
export const KEEP_MAX = 64;

/** Most steps that a session can have taken: up to here float64 represents every integer. */
export const STEPS_MAX = Number.MAX_SAFE_INTEGER;

export interface Session {
  readonly id: string;
  /** Random, from creation: no other session ever has it. */
  readonly incarnation: string;
  /** Incremented by every change of the state. */
  readonly version: number;
  /**
   * Random, from the last change of the state. A store that has lost changes reaches the same version
   * again by other changes; the nonce tells them apart. Absent in records from before there were nonces.
   */
  readonly nonce?: string | undefined;
  /**
   * Number of the numerics that computed the state, or that served when a client set it (wasm/numerics.ts). Absent in
   * records from before it was stored.
   */
  readonly numerics?: number | undefined;
  /** Steps taken. */
  readonly t: number;
  readonly modelId: string;
  readonly N: number;
  readonly D: number;
  /** Outputs of the last recurrent layer. */
  readonly H: number;
  /** Of each recurrent layer; absent if there is one, which has h (N, H) and no c. */
  readonly states?: readonly StateSizes[] | undefined;
  /** Past states kept, 0 … KEEP_MAX. */
  readonly keep: number;
  /** Time without a change after which the session expires. */
  readonly ttlMs: number;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
  /** The numbers of all states; see viewsOf(). */
  readonly state: Float32Array;
  /** Answers of earlier calls by their idempotency keys, oldest first, at most ANSWERS_MAX. */
  readonly answers: readonly KeptAnswer[];
  /** The call that created it, if it had an idempotency key. */
  readonly creation?: Creation | undefined;
  /** Answers kept since creation, those that were dropped again included. */
  readonly answersCount: number;
  /** States before earlier changes, oldest first, at most `keep`. */
  readonly past: readonly PastState[];
  /** Height of the stack whose top is `past`: incremented by a change, reduced by a rewind. */
  readonly pastHeight: number;
}

export interface PastState {
  readonly t: number;
  /** The numbers of all states; see viewsOf(). */
  readonly state: Float32Array;
}

/** Sizes of the states of one recurrent layer: h (N, H), and c (N, H) if it has one. */
export interface StateSizes {
  readonly H: number;
  readonly hasC: boolean;
}

/** What is stored for some time in place of a session that was deleted or has expired. */
export interface Tombstone {
  readonly id: string;
  readonly reason: 'deleted' | 'expired';
  readonly atMs: number;
  /** Undefined if the record was damaged. */
  readonly t?: number | undefined;
  /** The call that deleted it, if it had an idempotency key. */
  readonly deletion?: IdempotencyKey | undefined;
}

export interface SessionSpec {
  readonly modelId: string;
  readonly N: number;
  readonly D: number;
  readonly H: number;
  readonly states?: readonly StateSizes[] | undefined;
  readonly keep: number;
  readonly ttlMs: number;
  /** The numbers of all states; see viewsOf(). */
  readonly state: Float32Array;
}

export function newSession(
  id: string,
  incarnation: string,
  spec: SessionSpec,
  nowMs: number,
  numerics?: number,
): Session {
  return {
    id,
    incarnation,
    version: 0,
    nonce: randomNonce(),
    numerics,
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

/** A strong ETag that no other state ever has: `"<incarnation>.<version>.<nonce>"`. */
export function etagOf({ incarnation, version, nonce }: Session): string {
  return nonce === undefined ? `"${incarnation}.${version}"` : `"${incarnation}.${version}.${nonce}"`;
}

/** First 16 hex digits of SHA-256 over the state's float32 values, little-endian: of every h, then of every c. */
export function stateDigest({ state }: Pick<Session, 'state'>): string {
  return hash('sha256', state, 'hex').slice(0, 16);
}

/** The sizes of a session's states, one for each recurrent layer. */
export function sizesOf({ H, states }: Pick<Session, 'H' | 'states'>): readonly StateSizes[] {
  return states ?? [{ H, hasC: false }];
}

/** How many numbers the states of N rows have. */
export function stateNumbersOf(N: number, sizes: readonly StateSizes[]): number {
  return sizes.reduce((sum, { H, hasC }) => sum + N * H * (hasC ? 2 : 1), 0);
}

/** The states of one recurrent layer, (N, H) each. */
export interface LayerState {
  readonly h: Float32Array;
  readonly c: Float32Array | undefined;
}

/** Where the numbers of each layer are in those of all states: every h in the order of the layers, then every c. */
export function viewsOf(N: number, sizes: readonly StateSizes[], state: Float32Array): readonly LayerState[] {
  let end = 0;
  const next = (H: number) => state.subarray(end, (end += N * H));
  const hs = sizes.map(({ H }) => next(H));
  return sizes.map(({ H, hasC }, k) => ({ h: hs[k]!, c: hasC ? next(H) : undefined }));
}
