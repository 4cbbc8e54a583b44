// Every error → application/problem+json (RFC 9457), in this one place. What a client did wrong is
// said precisely; what went wrong inside is logged, not told.
import type { FastifyBaseLogger, FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { type Applied, CarryoverError, type ErrorCode } from '../../errors.ts';
import { unsupportedType } from '../bodies/body-types.ts';
import { closeAfterEarlyResponse } from '../connections/early-response.ts';
import { PROBLEM_TYPE } from '../schemas/problem.ts';
import { hasKey, isAboutSession } from '../sessions/session-call.ts';

export function problemBody(error: CarryoverError, instance: string) {
  const { code, kind, message, errors, members } = error;
  return {
    type: `/problems#${code}`,
    title: kind.title,
    status: kind.status,
    detail: message,
    instance,
    code,
    errors,
    ...members,
  };
}

/** The one error handler of the HTTP layer. */
export function sendProblem(
  cause: FastifyError | Error,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  const error = isUnreadableType(cause) ? unsupportedType(request) : toCarryoverError(cause);
  const { retryAfter_s } = error;
  const { status } = error.kind;
  logProblem(error, cause, request.log);
  closeAfterEarlyResponse(request, reply);
  if (retryAfter_s !== undefined) void reply.header('retry-after', retryAfter_s);
  void reply
    .code(status)
    .header('content-type', PROBLEM_TYPE)
    .send(
      JSON.stringify({
        ...problemBody(error, request.id),
        ...(isAboutSession(request) && { applied: appliedOf(error, hasKey(request)) }),
      }),
    );
}

/**
 * An error of a frame on a WebSocket: the same problem, with what headers would have said.
 *
 * @param mayHaveKey whether the frame has a key, or it is not known what it has
 */
export function frameProblem(
  cause: unknown,
  instance: string,
  log: FastifyBaseLogger,
  mayHaveKey: boolean,
) {
  const error = toCarryoverError(cause as Error);
  logProblem(error, cause, log);
  return {
    ...problemBody(error, instance),
    applied: appliedOf(error, mayHaveKey),
    retry_after_s: error.retryAfter_s,
  };
}

/**
 * The message of an error made here never quotes numbers from a tensor at length; bodies and stack
 * traces of client errors are not logged.
 */
function logProblem(error: CarryoverError, cause: unknown, log: FastifyBaseLogger): void {
  const { code, kind, message } = error;
  const isFailure = kind.status >= 500 && code !== 'shutting_down';
  if (isFailure) log.error({ err: error.cause ?? cause, code }, message);
  else log.info({ code }, 'request refused');
}

/**
 * Of an error inside nobody knows whether the session was changed before it. Of a call with a key that
 * was refused before the key was looked up, an earlier attempt may have been applied.
 */
function appliedOf({ code, applied }: CarryoverError, mayHaveKey: boolean): Applied {
  return applied ?? (mayHaveKey || code === 'internal' ? 'unknown' : 'no');
}

/** The problem as text, for an answer that has begun; it is logged like every other. */
export function problemJson(cause: Error, request: FastifyRequest): string {
  const error = toCarryoverError(cause);
  logProblem(error, cause, request.log);
  return JSON.stringify(problemBody(error, request.id));
}

function toCarryoverError(error: FastifyError | Error): CarryoverError {
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

/** A Content-Type that is none, e.g. `json`: Fastify asks no parser then. */
function isUnreadableType(error: Error): boolean {
  return (error as FastifyError).code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE';
}

const BAD_ADDRESS =
  'The address is not a valid URL path: a % begins the code of a byte in it, as in %20, and alone is %25.';

/** Errors that Fastify raises before a handler runs, by their code. */
const FROM_FASTIFY: Record<string, { code: ErrorCode; detail?: string }> = {
  FST_ERR_CTP_BODY_TOO_LARGE: { code: 'body_too_large' },
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: { code: 'invalid_request' },
  FST_ERR_BAD_URL: { code: 'invalid_request', detail: BAD_ADDRESS },
};
