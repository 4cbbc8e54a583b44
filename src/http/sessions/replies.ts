// Short responses about a session. They are kept with the session, and a repeated call is answered with the
// same bytes.
import type { FastifyReply } from 'fastify';
import type { CallResult } from '../../sessions/call.ts';
import type { Reply } from '../../sessions/kept-answer.ts';
import type { Session } from '../../sessions/session.ts';
import { sessionHeaders, sessionInfo } from './representation.ts';

const JSON_TYPE = 'application/json; charset=utf-8';

/** 201 for a session that was created. */
export function createdReply(session: Session): Reply {
  const { body, headers } = infoReply(session);
  return { status: 201, headers: { ...headers, location: `/v1/sessions/${session.id}` }, body };
}

/** 200 for a session that was changed. */
export function infoReply(session: Session): Reply {
  return {
    status: 200,
    headers: sessionHeaders(session),
    body: JSON.stringify(sessionInfo(session)),
  };
}

/** Sends a response as it was kept. The address in it is kept as the service's own path: where clients find it may change. */
export function sendReply(reply: FastifyReply, { value, replayed }: CallResult<Reply>): FastifyReply {
  markReplayed(reply, replayed);
  void reply.code(value.status).headers(value.headers).type(JSON_TYPE);
  const { location } = value.headers;
  if (location !== undefined) void reply.header('location', reply.server.publicAddress.pathOf(location));
  return reply.send(value.body);
}

/** Sets Idempotency-Replayed if the response is that of an earlier attempt. */
export function markReplayed(reply: FastifyReply, replayed: boolean): void {
  if (replayed) void reply.header('idempotency-replayed', 'true');
}
