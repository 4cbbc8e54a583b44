// Changes of a session that compute nothing: set its state, rewind, fork, delete.
import type { FastifyRequest } from 'fastify';
import type { SessionCompute } from '../../engine/session-compute.ts';
import type { Session } from '../../sessions/session.ts';
import type { Sessions } from '../../sessions/sessions.ts';
import type { AuditLog, SessionAction } from '../audit.ts';
import type { HttpServer } from '../http-server.ts';
import type { CallResult } from '../../sessions/call.ts';
import type { Reply } from '../../sessions/kept-answer.ts';
import { BODY_ERRORS, SESSION_ERRORS, problemResponses } from '../schemas/problem.ts';
import { ref } from '../schemas/ref.ts';
import { statesOfBody } from '../compute/layers.ts';
import { CallHeaders, IdParams, RewindBody, SessionInfo, StateBody } from './schemas.ts';
import { createdReply, infoReply, markReplayed, sendReply } from './replies.ts';
import { callOf } from './session-call.ts';

export interface SessionChangeParts {
  readonly sessions: Sessions;
  readonly sessionCompute: SessionCompute;
  readonly audit: AuditLog;
}

export function sessionChangeRoutes(app: HttpServer, parts: SessionChangeParts): void {
  stateRoutes(app, parts);
  forkRoute(app, parts);
  deleteRoute(app, parts);
}

/**
 * Makes a change whose reply is made of the session after and before it, and records it.
 *
 * @param make makes the change; it is given the function that makes the reply
 */
async function audited(
  { audit }: SessionChangeParts,
  request: FastifyRequest<{ Params: { id: string } }>,
  action: SessionAction,
  replyTo: (after: Session) => Reply,
  make: (reply: (after: Session, before: Session) => Reply) => Promise<CallResult<Reply>>,
): Promise<CallResult<Reply>> {
  const { id } = request.params;
  let change: { readonly before?: Session; readonly after?: Session } = {};
  const noted = (after: Session, before: Session) => {
    change = { before, after };
    return replyTo(after);
  };
  const outcome = await make(noted).catch((error: unknown) => audit.sessionFailure(request, action, id, change, error));
  if (!outcome.replayed) audit.session(request, action, id, change);
  return outcome;
}

function stateRoutes(app: HttpServer, parts: SessionChangeParts): void {
  const { sessions, sessionCompute } = parts;
  app.put(
    '/v1/sessions/:id/state',
    {
      config: { access: ['sessions'] },
      schema: {
        operationId: 'setState',
        tags: ['sessions'],
        summary: 'Put another state in place of the present one',
        params: IdParams,
        headers: CallHeaders,
        body: ref(StateBody),
        response: {
          200: { description: 'The session with the new state.', ...ref(SessionInfo) },
          ...problemResponses([
            ...BODY_ERRORS,
            'shape_mismatch',
            'out_of_range',
            'model_corrupt',
            'internal',
            'shutting_down',
            ...SESSION_ERRORS,
          ]),
        },
      },
    },
    async (request, reply) => {
      const { body, params } = request;
      const given = statesOfBody(body);
      const next = async (session: Session) => ({
        state: await sessionCompute.readState(given, session),
        t: body.t ?? session.t,
      });
      const outcome = await audited(parts, request, 'set', infoReply, (answer) =>
        sessions.setState(params.id, callOf(request), next, answer),
      );
      return sendReply(reply, outcome);
    },
  );
  app.post(
    '/v1/sessions/:id/rewind',
    {
      config: { access: ['sessions'] },
      schema: {
        operationId: 'rewindSession',
        tags: ['sessions'],
        summary: 'Go back to a kept state',
        description: 'The latest kept state of step t; what was kept after it is dropped.',
        params: IdParams,
        headers: CallHeaders,
        body: ref(RewindBody),
        response: {
          200: { description: 'The session at step t.', ...ref(SessionInfo) },
          ...problemResponses([
            ...BODY_ERRORS,
            'state_not_kept',
            'internal',
            'shutting_down',
            ...SESSION_ERRORS,
          ]),
        },
      },
    },
    async (request, reply) => {
      const { body, params } = request;
      const outcome = await audited(parts, request, 'rewind', infoReply, (answer) =>
        sessions.rewind(params.id, callOf(request), body.t, answer),
      );
      return sendReply(reply, outcome);
    },
  );
}

function forkRoute(app: HttpServer, parts: SessionChangeParts): void {
  const { sessions } = parts;
  app.post(
    '/v1/sessions/:id/fork',
    {
      config: { access: ['sessions'] },
      schema: {
        operationId: 'forkSession',
        tags: ['sessions'],
        summary: 'Begin another session with the present state',
        description: 'With its kept past states, and a lifetime of its own; this one is not changed.',
        params: IdParams,
        headers: CallHeaders,
        response: {
          201: { description: 'The new session.', ...ref(SessionInfo) },
          ...problemResponses([
            'invalid_request',
            'internal',
            'shutting_down',
            'sessions_full',
            ...SESSION_ERRORS,
          ]),
        },
      },
    },
    async (request, reply) => {
      const outcome = await audited(parts, request, 'fork', createdReply, (answer) =>
        sessions.fork(request.params.id, callOf(request), answer),
      );
      return sendReply(reply, outcome);
    },
  );
}

function deleteRoute(app: HttpServer, { sessions, audit }: SessionChangeParts): void {
  app.delete(
    '/v1/sessions/:id',
    {
      config: { access: ['sessions'] },
      schema: {
        operationId: 'deleteSession',
        tags: ['sessions'],
        summary: 'End a session',
        params: IdParams,
        headers: CallHeaders,
        response: {
          204: { description: 'Its id answers 410 for a while, then 404.', type: 'null' },
          ...problemResponses(['invalid_request', 'internal', 'shutting_down', ...SESSION_ERRORS]),
        },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const deleted = sessions.delete(id, callOf(request));
      const { replayed, before } = await deleted.catch((error: unknown) =>
        audit.sessionFailure(request, 'delete', id, {}, error),
      );
      if (!replayed) audit.session(request, 'delete', id, { before });
      markReplayed(reply, replayed);
      return reply.code(204).send(null);
    },
  );
}
