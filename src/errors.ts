// The one class of errors that are answered with a problem (RFC 9457), and helpers for the common ones.
import { ERRORS, type ErrorCode, type ErrorKind } from './error-kinds.ts';

/** A key as a step of a JSON pointer (RFC 6901). */
export function escapePointer(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1');
}

/** What is wrong with one value of the body. */
export interface ErrorPlace {
  /** A JSON pointer (RFC 6901); empty for the body as a whole. */
  readonly pointer: string;
  /** A sentence. */
  readonly message: string;
}

/**
 * Whether a failed call has changed its session. `yes`: an earlier call with the same Idempotency-Key has, and only
 * its answer cannot be repeated.
 */
export type Applied = 'no' | 'unknown' | 'yes';

export interface ErrorDetails {
  /** The `detail` of the problem: sentences about this one occurrence. */
  readonly detail: string;
  readonly errors?: readonly ErrorPlace[];
  /** Undefined if the error does not say whether an earlier attempt with the same key was applied. */
  readonly applied?: Applied | undefined;
  /** Further members of the problem, e.g. the version of the session. */
  readonly members?: Readonly<Record<string, unknown>>;
  /** For Retry-After, instead of the value in the table, in ms. */
  readonly retryAfterMs?: number | undefined;
  /** For the log. */
  readonly cause?: unknown;
}

/** Estimates of longer waits are not reliable. */
const RETRY_AFTER_S_MAX = 60;

/** Its message is the `detail` of the problem. */
export class CarryoverError extends Error {
  readonly code: ErrorCode;
  readonly errors: readonly ErrorPlace[];
  readonly applied: Applied | undefined;
  readonly members: Readonly<Record<string, unknown>>;
  /** Whole seconds for the Retry-After header; only for errors that pass by themselves. */
  readonly retryAfter_s: number | undefined;

  constructor(
    code: ErrorCode,
    { detail, errors = [], applied, members = {}, retryAfterMs, cause }: ErrorDetails,
  ) {
    super(detail, { cause });
    this.name = 'CarryoverError';
    this.code = code;
    this.errors = errors;
    this.applied = applied;
    this.members = members;
    this.retryAfter_s =
      retryAfterMs === undefined ? this.kind.retryAfter_s : wholeSeconds(retryAfterMs, this.kind);
  }

  /** Its row of the table. */
  get kind(): ErrorKind {
    return ERRORS[this.code];
  }

  /** The same error with `applied` set, for a caller that knows whether the session was changed. */
  withApplied(applied: Applied): CarryoverError {
    if (applied === this.applied) return this;
    const { code, message, errors, members, retryAfter_s, cause = this } = this;
    const retryAfterMs = retryAfter_s && retryAfter_s * 1_000;
    return new CarryoverError(code, { detail: message, errors, members, retryAfterMs, cause, applied });
  }
}

/** What a limit makes a client wait is no estimate. */
function wholeSeconds(ms: number, { status }: ErrorKind): number {
  const seconds = Math.max(1, Math.ceil(ms / 1_000));
  return status === 429 ? seconds : Math.min(RETRY_AFTER_S_MAX, seconds);
}

/**
 * The error invalid_request.
 *
 * @param pointer of the value in the body; empty for the body as a whole, or what is not in the body
 */
export function invalidRequest(message: string, pointer = '', applied?: Applied): CarryoverError {
  const errors = [{ pointer, message }];
  return new CarryoverError('invalid_request', { detail: message, errors, applied });
}

/** The error client_closed: the connection was closed before the response was sent. */
export function clientClosed(applied?: Applied): CarryoverError {
  return new CarryoverError('client_closed', {
    detail: 'The client closed the connection before the request was answered.',
    applied,
  });
}
