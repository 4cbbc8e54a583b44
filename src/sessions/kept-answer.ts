// Idempotency keys, and what a session stores under each so that a repeated call gets the same answer.

/** Answers kept for each session, those of its last calls that had an idempotency key. */
export const ANSWERS_MAX = 64;

/** The Idempotency-Key of a call with the request it was used for: a repetition has both the same. */
export interface IdempotencyKey {
  readonly key: string;
  /** SHA-256 of method, address and body, base64url. */
  readonly digest: string;
}

/** What answers a repeated call without changing the state again. */
export type KeptAnswer = IdempotencyKey & (AdvanceAnswer | ReplyAnswer);

/**
 * The answer of a step or a sequence is not stored. It is computed again from the state before it and
 * the body that was sent again: the bits are the same, and a state is smaller than an answer.
 */
export interface AdvanceAnswer {
  readonly kind: 'advance';
  readonly before: {
    readonly version: number;
    readonly t: number;
    /** The numbers of all states. */
    readonly state: Float32Array;
  };
  readonly metadata: ChangeMetadata;
  /** What the repeated computation must agree with; absent in records from before numerics had numbers. */
  readonly provenance?: Provenance | undefined;
}

/** What a change assigns to a session besides its state. */
export interface ChangeMetadata {
  readonly nonce?: string | undefined;
  readonly expiresAtMs: number;
}

/** What determines the bits of an answer. */
export interface Provenance {
  /** Number of the numerics that computed it; see wasm/numerics.ts. */
  readonly numerics: number;
  /** stateDigest() of the state after it. */
  readonly digest: string;
}

/** A short answer, stored as it was sent. */
export interface ReplyAnswer {
  readonly kind: 'reply';
  readonly reply: Reply;
}

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** The call that created a session, with its answer. */
export type Creation = IdempotencyKey & { readonly reply: Reply };
