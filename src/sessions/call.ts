// A call on a session: the conditions that a client attaches to it, and its result.
import type { Lifetime } from '../lifetime.ts';
import type { IdempotencyKey } from './kept-answer.ts';

/** The If-Match header (RFC 9110, section 13.1.1): `*` for any state, or a list of ETags. */
export type IfMatch = '*' | readonly string[];

export interface Call {
  readonly ifMatch?: IfMatch | undefined;
  readonly key?: IdempotencyKey | undefined;
  /** Once it is over, no client waits for the answer, and nothing is committed any more. */
  readonly lifetime: Lifetime;
}

/** The result of a call that changes a session. */
export interface CallResult<Value> {
  readonly value: Value;
  /** Whether an earlier attempt with the same idempotency key was applied, and `value` is its answer. */
  readonly replayed: boolean;
}
