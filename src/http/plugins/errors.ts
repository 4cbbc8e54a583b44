// Every error of a request is answered here, as application/problem+json (RFC 9457), or as the Open Inference Protocol has it.
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import { unsupportedType } from '../bodies/body-types.ts';
import { noteError } from '../request.ts';
import { closeAfterEarlyResponse } from '../connections/early-response.ts';
import type { HttpServer } from '../http-server.ts';
import { isInferenceCall, sendInferenceError } from '../responses/inference-error.ts';
import { logProblem, requestProblem, toCarryoverError } from '../responses/problem.ts';
import { PROBLEM_TYPE } from '../schemas/problem.ts';

export const errors = fp(
  (app: HttpServer) => {
    app.setErrorHandler(sendProblem);
  },
  { name: 'errors' },
);

/** The only error handler of the HTTP layer. */
export function sendProblem(
  cause: FastifyError | Error,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  const error = isUnreadableType(cause) ? unsupportedType(request) : toCarryoverError(cause);
  const { retryAfter_s } = error;
  noteError(request, error.code);
  logProblem(error, cause, request.log);
  closeAfterEarlyResponse(request, reply);
  if (retryAfter_s !== undefined) void reply.header('retry-after', retryAfter_s);
  if (isInferenceCall(request)) return sendInferenceError(error, reply);
  void reply
    .code(error.kind.status)
    .header('content-type', PROBLEM_TYPE)
    .send(JSON.stringify(requestProblem(error, request)));
}

/** Whether the Content-Type has not the form of a media type, e.g. `json`: Fastify asks no parser then. */
function isUnreadableType(error: Error): boolean {
  return (error as FastifyError).code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE';
}
