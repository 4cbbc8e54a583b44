// Errors of the client: what the service answers as a problem (RFC 9457), and what has no answer.

/** An error as the service sends it, `application/problem+json`; /problems of the service explains each `code`. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  /** What was wrong this time, and what was expected. */
  readonly detail: string;
  /** The id of the request. */
  readonly instance?: string;
  readonly trace_id?: string;
  readonly code: string;
  /** The places in the body that are wrong. */
  readonly errors?: readonly { readonly pointer: string; readonly message: string }[];
  readonly applied?: Applied;
  /** Steps that the session has taken, and the version at which it is. */
  readonly t?: number;
  readonly version?: number;
  /** Why and since when the session is gone. */
  readonly reason?: 'deleted' | 'expired';
  readonly at?: string;
  /** Steps whose states the session keeps. */
  readonly kept?: readonly number[];
}

/**
 * Whether a call that failed has changed its session: `no` and `yes` are certain, `unknown` means perhaps. Absent of
 * calls that change nothing.
 */
export type Applied = 'no' | 'unknown' | 'yes';

/** Codes of errors that are not answers of the service. */
export const CLIENT_CODES = {
  /** No answer came, however often the call was sent. */
  noAnswer: 'no_answer',
  /** No answer came and none will: the certificate is not trusted, or the browser keeps answers from the page. */
  unreachable: 'unreachable',
  /** An answer came that is not what the service sends: another program answers there, or something on the way. */
  unreadableAnswer: 'unreadable_answer',
  /** The session has changed in a way that the calls of this client do not explain. */
  stepConflict: 'step_conflict',
} as const;

export interface CarryoverErrorOptions {
  readonly code: string;
  readonly problem?: Problem | undefined;
  readonly status?: number | undefined;
  readonly applied?: Applied | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly attempts?: number | undefined;
  readonly cause?: unknown;
}

/** A call that failed. An AbortSignal makes a call fail with its own reason instead. */
export class CarryoverError extends Error {
  override readonly name = 'CarryoverError';
  /** `code` of the problem, or `no_answer`, `unreachable` or `unreadable_answer`. */
  readonly code: string;
  /** Undefined if the service did not send any. */
  readonly problem: Problem | undefined;
  /** HTTP status; undefined if there was no answer. */
  readonly status: number | undefined;
  readonly applied: Applied | undefined;
  /** After which the same call may succeed, as the service says. */
  readonly retryAfterMs: number | undefined;
  /** How often the call was sent. */
  readonly attempts: number;

  constructor(message: string, options: CarryoverErrorOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    const { code, problem, status, applied, retryAfterMs, attempts = 1 } = options;
    this.code = code;
    this.problem = problem;
    this.status = status ?? problem?.status;
    this.applied = applied ?? problem?.applied;
    this.retryAfterMs = retryAfterMs;
    this.attempts = attempts;
  }
}

/** The same error of calls of which it is not known whether they were applied. */
export function asUnknown(error: CarryoverError): CarryoverError {
  if (error.applied === 'unknown') return error;
  const { code, status, retryAfterMs, attempts, problem } = error;
  return new CarryoverError(error.message, { code, status, retryAfterMs, attempts, applied: 'unknown', problem, cause: error.cause });
}

/** The error of a problem that came by itself, as in a stream or on a WebSocket. */
export function problemError(value: unknown): CarryoverError {
  if (!isProblem(value)) return unreadable('an error that is no problem');
  const { retry_after_s: seconds, ...problem } = value as Problem & { readonly retry_after_s?: number };
  const retryAfterMs = typeof seconds === 'number' ? seconds * 1_000 : undefined;
  return new CarryoverError(problem.detail, { code: problem.code, problem, retryAfterMs });
}

/** The error of an answer whose status is not 2xx. @param where method and path of the request */
export function answerError(
  where: string,
  { status, headers }: Pick<Response, 'status' | 'headers'>,
  bytes: Uint8Array,
  attempts: number,
): CarryoverError {
  const text = new TextDecoder().decode(bytes);
  const value = parsed(text);
  const retryAfterMs = retryAfterOf(headers);
  if (isProblem(value)) return new CarryoverError(value.detail, { code: value.code, problem: value, status, retryAfterMs, attempts });
  const shown = text.trim().slice(0, 200);
  return new CarryoverError(`${where} was answered with status ${status}${shown && `: ${shown}`}`, {
    code: CLIENT_CODES.unreadableAnswer,
    status,
    retryAfterMs,
    attempts,
  });
}

/** @param what came instead of the answer, as in `an answer without h` */
export function unreadable(what: string, cause?: unknown): CarryoverError {
  return new CarryoverError(`The service sent ${what}.`, { code: CLIENT_CODES.unreadableAnswer, cause });
}

/** Seconds, or a date (RFC 9110, section 10.2.3). */
function retryAfterOf(headers: Headers): number | undefined {
  const text = headers.get('retry-after');
  if (text === null) return undefined;
  const ms = /^\d+$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}

function isProblem(value: unknown): value is Problem {
  if (typeof value !== 'object' || value === null) return false;
  const { code, detail } = value as Record<string, unknown>;
  return typeof code === 'string' && typeof detail === 'string';
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
