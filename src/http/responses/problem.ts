// Errors as problems (RFC 9457), logged. What a client did wrong is described precisely; what went wrong inside
// is logged and not sent.
import type { FastifyBaseLogger, FastifyError, FastifyRequest } from 'fastify';
import type { ErrorCode } from '../../error-kinds.ts';
import { type Applied, CarryoverError } from '../../errors.ts';
import { noteError, traceIdOf } from '../request.ts';
import { withoutSessionIds } from '../../session-hash.ts';
import { problemBody } from '../schemas/problem.ts';
import { hasIdempotencyKey, isBatch, isSessionCall } from '../session-request.ts';

/** The error of a request as a problem; of a call on a session it says whether the call was applied. */
export function requestProblem(error: CarryoverError, request: FastifyRequest) {
  return {
    ...problemBody(error, request.id, request.server.publicAddress, traceIdOf(request)),
    ...(isSessionCall(request) && { applied: appliedOf(error, hasIdempotencyKey(request) || isBatch(request)) }),
  };
}

/**
 * The error of a WebSocket message as a problem, with what headers say of a request (`retry_after_s`). It is
 * logged.
 *
 * @param instance the id of the message
 * @param request the handshake
 * @param mayHaveKey whether the message has an idempotency key, or could not be read
 */
export function messageProblem(
  cause: unknown,
  instance: string,
  request: FastifyRequest,
  mayHaveKey: boolean,
) {
  const error = toCarryoverError(cause as Error);
  logProblem(error, cause, request.log);
  return {
    ...problemBody(error, instance, request.server.publicAddress, traceIdOf(request)),
    applied: appliedOf(error, mayHaveKey),
    retry_after_s: error.retryAfter_s,
  };
}

/** The problem as JSON, for a response that has begun. It is logged. */
export function problemJson(cause: Error, request: FastifyRequest): string {
  const error = toCarryoverError(cause);
  noteError(request, error.code);
  logProblem(error, cause, request.log);
  return JSON.stringify(problemBody(error, request.id, request.server.publicAddress, traceIdOf(request)));
}

/** Refusals with a status of the server at which nothing has failed: it has as much to do, or to keep, as it may. */
const AT_LIMITS: readonly ErrorCode[] = ['queue_full', 'deadline_exceeded', 'memory_full', 'session_busy', 'models_full', 'sessions_full'];

/**
 * Logs a failure of the server as an error, with its cause; a request that was refused only by its code, for
 * its message may quote what the client sent. Under overload those are many: they have no stack.
 */
export function logProblem(error: CarryoverError, cause: unknown, log: FastifyBaseLogger): void {
  const { code, kind, message } = error;
  if (AT_LIMITS.includes(code)) log.warn({ code }, 'request refused');
  else if (kind.status < 500 || code === 'shutting_down') log.info({ code }, 'request refused');
  else log.error({ err: error.cause ?? cause, code }, withoutSessionIds(message));
}

/**
 * Whether the call that failed was applied to its session. After an internal error it may have been, and so may
 * an earlier attempt of a call with a key that was refused before the key was looked up.
 */
function appliedOf({ code, applied }: CarryoverError, mayHaveKey: boolean): Applied {
  return applied ?? (mayHaveKey || code === 'internal' ? 'unknown' : 'no');
}

/** Any error as one of ours: an error of Fastify by its code or status, all others as `internal`. */
export function toCarryoverError(error: FastifyError | Error): CarryoverError {
  if (error instanceof CarryoverError) return error;
  const known = FROM_FASTIFY[(error as FastifyError).code];
  if (known) return new CarryoverError(known.code, { detail: known.detail ?? `${error.message}.` });
  const { statusCode = 500 } = error as FastifyError;
  if (statusCode >= 400 && statusCode < 500) {
    return new CarryoverError('invalid_request', { detail: error.message, cause: error });
  }
  return new CarryoverError('internal', {
    detail: 'The request could not be answered because of an error in the server.',
    cause: error,
  });
}

const BAD_ADDRESS =
  'The address is not a valid URL path: a % begins the code of a byte in it, as in %20, and alone is %25.';

/** Errors that Fastify raises before a handler runs, by their code. */
const FROM_FASTIFY: Record<string, { code: ErrorCode; detail?: string }> = {
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: { code: 'invalid_request' },
  FST_ERR_BAD_URL: { code: 'invalid_request', detail: BAD_ADDRESS },
};
