// What the headers of a request ask of a change of a session.
import type { FastifyRequest } from 'fastify';
import { invalidRequest } from '../../errors.ts';
import type { Call } from '../../sessions/call.ts';
import { CHANGE_HEADERS, OTHER_CONDITIONS } from '../session-request.ts';
import { readIfMatch } from './if-match.ts';
import { keyOfRequest } from './idempotency-key.ts';

/** @throws invalid_request */
export function callOf(request: FastifyRequest): Call {
  expectNoOtherConditions(request);
  return {
    ifMatch: readIfMatch(request.headers['if-match'], 'If-Match', ''),
    key: keyOfRequest(request),
    lifetime: request.lifetime,
  };
}

/**
 * @param advice how a call becomes one on a session
 * @throws invalid_request if a call without a session has a header that only a change of a session accepts
 */
export function expectNoChangeHeaders({ headers }: FastifyRequest, advice = 'name the session in `session`'): void {
  const name = CHANGE_HEADERS.find((header) => headers[header] !== undefined);
  if (name === undefined) return;
  throw invalidRequest(
    `The header ${name} has no meaning without a session: nothing is changed, and the same call has ` +
      `the same answer whenever it is repeated. Leave it out, or ${advice}.`,
    '',
    'no',
  );
}

/** @throws invalid_request if a call that changes a session has a condition other than If-Match, which would be ignored */
function expectNoOtherConditions({ headers }: FastifyRequest): void {
  const name = OTHER_CONDITIONS.find((header) => headers[header] !== undefined);
  if (name === undefined) return;
  throw invalidRequest(
    `The header ${name} has no meaning for a call that changes a session: the only condition is If-Match, with the ETag of ` +
      'the state that the session must have. Send If-Match, or no condition.',
    '',
    'no',
  );
}
