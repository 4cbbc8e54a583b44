// Errors of the Open Inference Protocol: {"error": "…"} with one of the few statuses that it knows. Clients read them only if
// their type is application/json without a charset.
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ErrorCode } from '../../error-kinds.ts';
import { ERRORS } from '../../error-kinds.ts';
import type { CarryoverError } from '../../errors.ts';
import { JSON_TYPE } from '../media-types.ts';

/** Whether errors of the request are answered in this way. */
export function isInferenceCall({ url }: FastifyRequest): boolean {
  return url.startsWith('/v2') && /^\/v2(?:[/?]|$)/.test(url);
}

/** What its clients know as an invalid argument is 400, and what they may try again later 503; HTTP's own statuses stay. */
export function inferenceStatusOf(code: ErrorCode): number {
  const { status } = ERRORS[code];
  switch (status) {
    case 410:
    case 422:
      return 400;
    case 507:
      return 503;
    default:
      return status;
  }
}

export function sendInferenceError(error: CarryoverError, reply: FastifyReply): void {
  sendInferenceJson(reply.code(inferenceStatusOf(error.code)), { error: error.message });
}

/** Sends JSON without a charset in its type. */
export function sendInferenceJson(reply: FastifyReply, value: object): void {
  void reply.header('content-type', JSON_TYPE).serializer(unchanged).send(JSON.stringify(value));
}

/** Fastify adds a charset to what it serialises itself. */
const unchanged = (text: unknown) => text as string;
