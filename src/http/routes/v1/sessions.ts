// /v1/sessions: hidden states that live on the server, each with one model.
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { Static } from 'typebox';
import { nestedTensor } from '../../../codec/nested.ts';
import type { SessionCalls } from '../../../engine/session-calls.ts';
import type { ErrorCode } from '../../../errors.ts';
import type { ModelLibrary } from '../../../models/library.ts';
import type { Reply, Session } from '../../../sessions/session.ts';
import type { Outcome } from '../../../sessions/call.ts';
import type { Sessions } from '../../../sessions/sessions.ts';
import type { Answers } from '../../answers.ts';
import { answerContent, answerType } from '../../media.ts';
import { BODY_ERRORS, problemResponses } from '../../schemas/problem.ts';
import { ref } from '../../schemas/ref.ts';
import {
  CallHeaders,
  CreateHeaders,
  CreateSessionBody,
  IdParams,
  ListQuery,
  RewindBody,
  SessionInfo,
  SessionList,
  SessionWithState,
  StateBody,
} from '../../schemas/sessions.ts';
import {
  SESSION_ERRORS,
  callKey,
  callOf,
  infoOf,
  markReplayed,
  sessionHeaders,
} from '../../session-call.ts';
import { weightsOf, weightsSource } from './weights.ts';

export interface SessionRoutesOptions {
  readonly sessions: Sessions;
  readonly library: Pick<ModelLibrary, 'idOf'>;
  readonly sessionCalls: SessionCalls;
  readonly answers: Answers;
  readonly ttlMs: number;
  readonly ttlMsMax: number;
}

interface ById {
  readonly Params: Static<typeof IdParams>;
}

const READ_ERRORS = [
  'session_not_found',
  'session_gone',
  'session_corrupt',
  'store_unavailable',
] as const satisfies readonly ErrorCode[];

const JSON_TYPE = 'application/json; charset=utf-8';

export function sessionRoutes(app: FastifyInstance, options: SessionRoutesOptions): void {
  createRoute(app, options);
  readRoutes(app, options);
  stateRoutes(app, options);
  forkRoute(app, options);
  deleteRoute(app, options);
}

function createRoute(app: FastifyInstance, options: SessionRoutesOptions): void {
  const { sessionCalls, ttlMs, ttlMsMax } = options;
  app.post<{ Body: Static<typeof CreateSessionBody> }>(
    '/v1/sessions',
    {
      schema: {
        operationId: 'createSession',
        tags: ['sessions'],
        summary: 'Begin a session',
        description:
          'Then send `session` in place of weights and h to /v1/step and /v1/sequence. The session ' +
          'stays with the model it began with, also when its name moves. With an Idempotency-Key the ' +
          'same call again is answered as before, as long as the session lives, and 410 once it has ' +
          'ended. These keys are shared by all clients: take random ones, such as UUIDs.',
        headers: CreateHeaders,
        body: ref(CreateSessionBody),
        response: {
          201: { description: 'At t = 0.', ...ref(SessionInfo) },
          ...problemResponses([
            ...BODY_ERRORS,
            'model_not_found',
            'model_corrupt',
            'session_gone',
            'session_corrupt',
            'idempotency_key_reused',
            'shape_mismatch',
            'out_of_range',
            'limit_exceeded',
            'internal',
            'memory_full',
            'shutting_down',
            'store_unavailable',
            'models_full',
            'sessions_full',
            'store_full',
          ]),
        },
      },
    },
    async (request, reply) => {
      const { body, lifetime } = request;
      const { model, weights, N, h, ttl_s, keep = 0 } = body;
      const wanted = {
        weights: weightsOf(model, weights && weightsSource(weights)),
        N,
        h: h && nestedTensor('h', 'NH', h),
        keep,
        ttlMs: Math.min(ttlMsMax, ttl_s === undefined ? ttlMs : Math.round(ttl_s * 1_000)),
        key: callKey(request),
        reply: createdReply,
      };
      return sendReply(reply, await sessionCalls.create(wanted, lifetime));
    },
  );
}

function readRoutes(app: FastifyInstance, options: SessionRoutesOptions): void {
  const { sessions, answers, library } = options;
  app.get<ById>(
    '/v1/sessions/:id',
    {
      schema: {
        operationId: 'getSession',
        tags: ['sessions'],
        summary: 'Read a session with its state',
        description: 'Does not renew its lifetime.',
        params: IdParams,
        response: {
          200: { description: 'As committed last.', content: answerContent(ref(SessionWithState), undefined) },
          ...problemResponses(['invalid_request', 'not_acceptable', ...READ_ERRORS]),
        },
      },
    },
    async (request, reply) => {
      const type = answerType(request, false);
      const session = await sessions.read(request.params.id);
      const { N, H, h, past } = session;
      void reply.headers(sessionHeaders(session));
      return answers.send(request, reply, type, async (write) =>
        write({
          fields: { ...infoOf(session), kept: past.map(({ t }) => t) },
          tensors: { h: { shape: [N, H], strides: [H, 1], data: h } },
        }),
      );
    },
  );
  app.get<{ Querystring: Static<typeof ListQuery> }>(
    '/v1/sessions',
    {
      schema: {
        operationId: 'listSessions',
        tags: ['sessions'],
        summary: 'List the sessions, all or those of a model, in the order of their ids',
        querystring: ListQuery,
        response: {
          200: { description: 'A page; `next` asks for the one after it.', ...ref(SessionList) },
          ...problemResponses(['invalid_request', 'model_not_found', 'store_unavailable']),
        },
      },
    },
    async ({ query }) => {
      const { cursor, limit = 100, model } = query;
      const modelId = model === undefined ? undefined : await library.idOf(model);
      const {
        sessions: page,
        damaged,
        next,
      } = await sessions.list(cursor, Number(limit), modelId);
      return {
        sessions: page.map(infoOf),
        ...(damaged.length > 0 && { damaged }),
        ...(next !== undefined && { next }),
      };
    },
  );
}

function stateRoutes(app: FastifyInstance, { sessions, sessionCalls }: SessionRoutesOptions): void {
  app.put<ById & { Body: Static<typeof StateBody> }>(
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
            'internal',
            'shutting_down',
            ...SESSION_ERRORS,
          ]),
        },
      },
    },
    async (request, reply) => {
      const { body, params } = request;
      const h = nestedTensor('h', 'NH', body.h);
      const outcome = await sessions.setState(
        params.id,
        callOf(request),
        (session) => ({ h: sessionCalls.readState(h, session), t: body.t ?? session.t }),
        infoReply,
      );
      return sendReply(reply, outcome);
    },
  );
  app.post<ById & { Body: Static<typeof RewindBody> }>(
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

function forkRoute(app: FastifyInstance, { sessions }: SessionRoutesOptions): void {
  app.post<ById>(
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

function deleteRoute(app: FastifyInstance, { sessions }: SessionRoutesOptions): void {
  app.delete<ById>(
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
      return reply.code(204).send();
    },
  );
}

function createdReply(session: Session): Reply {
  const { body, headers } = infoReply(session);
  return { status: 201, headers: { ...headers, location: `/v1/sessions/${session.id}` }, body };
}

function infoReply(session: Session): Reply {
  return {
    status: 200,
    headers: sessionHeaders(session),
    body: JSON.stringify(infoOf(session)),
  };
}

/** What is kept is sent as it is, so a repeated answer has the same bytes. */
function sendReply(reply: FastifyReply, { value, replayed }: Outcome<Reply>): FastifyReply {
  markReplayed(reply, replayed);
  return reply.code(value.status).headers(value.headers).type(JSON_TYPE).send(value.body);
}
