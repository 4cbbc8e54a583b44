// x-session-id: the session of a step or sequence, if the body does not name it.
import type { FastifyRequest } from 'fastify';
import { invalidRequest } from '../../errors.ts';
import { SESSION_HEADER } from '../session-request.ts';

/**
 * The session that a computation is for; undefined if it is for none.
 *
 * @param named in the body
 * @throws invalid_request if body and header name different ones
 */
export function sessionIdOf(request: FastifyRequest, named: string | undefined): string | undefined {
  const value = request.headers[SESSION_HEADER];
  const header = Array.isArray(value) ? value.join(', ') : value;
  if (named === undefined || header === undefined || named === header) return named ?? header;
  throw invalidRequest(
    `The body names session ${JSON.stringify(named.slice(0, 64))}, the header ${SESSION_HEADER} ` +
      `${JSON.stringify(header.slice(0, 64))}; expected one of them, or the same in both.`,
    '/session',
  );
}
