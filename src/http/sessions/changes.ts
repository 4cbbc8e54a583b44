// Changes of a session that compute nothing: set its state, rewind, fork, delete.
import type { SessionCompute } from '../../engine/session-compute.ts';
import type { Sessions } from '../../sessions/sessions.ts';
import type { HttpServer } from '../http-server.ts';
import { BODY_ERRORS, SESSION_ERRORS, problemResponses } from '../schemas/problem.ts';
import { ref } from '../schemas/ref.ts';
import { statesOfBody } from '../compute/layers.ts';
import { CallHeaders, IdParams, RewindBody, SessionInfo, StateBody } from './schemas.ts';
import { createdReply, infoReply, markReplayed, sendReply } from './replies.ts';
import { callOf } from './session-call.ts';

export interface SessionChangeParts {
  readonly sessions: Sessions;
  readonly sessionCompute: SessionCompute;
}

export function sessionChangeRoutes(app: HttpServer, parts: SessionChangeParts): void {
  stateRoutes(app, parts);
  forkRoute(app, parts);
  deleteRoute(app, parts);
}

function stateRoutes(app: HttpServer, { sessions, sessionCompute }: SessionChangeParts): void {
  app.put(
    '/v1/sessions/:id/state',
    {
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
      const outcome = await sessions.setState(
        params.id,
        callOf(request),
        async (session) => ({
          state: await sessionCompute.readState(given, session),
          t: body.t ?? session.t,
        }),
        infoReply,
      );
      return sendReply(reply, outcome);
    },
  );
  app.post(
    '/v1/sessions/:id/rewind',
    {
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
      const outcome = await sessions.rewind(params.id, callOf(request), body.t, infoReply);
      return sendReply(reply, outcome);
    },
  );
}

function forkRoute(app: HttpServer, { sessions }: SessionChangeParts): void {
  app.post(
    '/v1/sessions/:id/fork',
    {
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
      const outcome = await sessions.fork(request.params.id, callOf(request), createdReply);
      return sendReply(reply, outcome);
    },
  );
}

function deleteRoute(app: HttpServer, { sessions }: SessionChangeParts): void {
  app.delete(
    '/v1/sessions/:id',
    {
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
      const { replayed } = await sessions.delete(request.params.id, callOf(request));
      markReplayed(reply, replayed);
      return reply.code(204).send(null);
    },
  );
}
