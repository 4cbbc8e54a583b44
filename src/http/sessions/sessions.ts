// Create, read and list sessions: hidden states that are kept on the server, each with one model.
import type { SessionCompute } from '../../engine/session-compute.ts';
import type { ErrorCode } from '../../error-kinds.ts';
import type { TenantModels } from '../../models/tenant-models.ts';
import type { Session } from '../../sessions/session.ts';
import type { Sessions } from '../../sessions/sessions.ts';
import type { AuditLog } from '../audit.ts';
import { type ResponseWriter, sendBytes } from '../responses/response-writer.ts';
import type { HttpServer } from '../http-server.ts';
import { responseContent, responseType } from '../media-types.ts';
import { BODY_ERRORS, REGISTER_ERRORS, problemResponses } from '../schemas/problem.ts';
import { ref } from '../schemas/ref.ts';
import {
  CreateHeaders,
  CreateSessionBody,
  IdParams,
  ListQuery,
  SessionInfo,
  SessionList,
  SessionWithState,
} from './schemas.ts';
import { sessionChangeRoutes } from './changes.ts';
import { keyOfRequest } from './idempotency-key.ts';
import { createdReply, sendReply } from './replies.ts';
import { sessionHeaders, sessionInfo, sessionInfos, statesOfSession } from './representation.ts';
import { statesOfBody } from '../compute/layers.ts';
import { inlineSource, weightsOf } from '../compute/weights.ts';

export interface SessionRoutesOptions {
  readonly sessions: Sessions;
  readonly models: Pick<TenantModels, 'idOf'>;
  readonly sessionCompute: SessionCompute;
  readonly responses: ResponseWriter;
  readonly audit: AuditLog;
  readonly ttlMs: number;
  readonly ttlMsMax: number;
}

const READ_ERRORS = [
  'session_not_found',
  'session_gone',
  'session_corrupt',
  'store_unavailable',
] as const satisfies readonly ErrorCode[];

export function sessionRoutes(app: HttpServer, options: SessionRoutesOptions): void {
  createRoute(app, options);
  readRoutes(app, options);
  sessionChangeRoutes(app, options);
}

function createRoute(app: HttpServer, options: SessionRoutesOptions): void {
  const { sessionCompute, audit, ttlMs, ttlMsMax } = options;
  app.post(
    '/v1/sessions',
    {
      config: { access: ['sessions'] },
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
            ...REGISTER_ERRORS,
            'model_not_found',
            'model_corrupt',
            'model_unsupported',
            'session_gone',
            'session_corrupt',
            'idempotency_key_reused',
            'sessions_full',
          ]),
        },
      },
    },
    async (request, reply) => {
      const { body, lifetime } = request;
      const { model, weights, N, ttl_s, keep = 0 } = body;
      let after: Session | undefined;
      const wanted = {
        weights: weightsOf(model, weights && inlineSource(weights)),
        N,
        states: statesOfBody(body),
        keep,
        ttlMs: Math.min(ttlMsMax, ttl_s === undefined ? ttlMs : Math.round(ttl_s * 1_000)),
        key: keyOfRequest(request),
        reply: (session: Session) => {
          after = session;
          return createdReply(session);
        },
      };
      const outcome = await sessionCompute.create(wanted, lifetime).catch((error: unknown) => {
        if (after) audit.sessionFailure(request, 'create', after.id, { after }, error);
        throw error;
      });
      if (!outcome.replayed && after) audit.session(request, 'create', after.id, { after });
      return sendReply(reply, outcome);
    },
  );
}

function readRoutes(app: HttpServer, options: SessionRoutesOptions): void {
  const { sessions, responses, models } = options;
  app.get(
    '/v1/sessions/:id',
    {
      config: { access: ['sessions'] },
      schema: {
        operationId: 'getSession',
        tags: ['sessions'],
        summary: 'Read a session with its state',
        description: 'Does not renew its lifetime.',
        params: IdParams,
        response: {
          200: { description: 'As committed last.', content: responseContent(ref(SessionWithState), undefined) },
          ...problemResponses(['invalid_request', 'not_acceptable', ...READ_ERRORS]),
        },
      },
    },
    async (request, reply) => {
      const type = responseType(request, false);
      const session = await sessions.read(request.params.id, request.lifetime.tenant);
      void reply.headers(sessionHeaders(session));
      const bytes = await responses.write(request, type, {
        fields: { ...sessionInfo(session), kept: session.past.map(({ t }) => t) },
        tensors: statesOfSession(session),
      });
      return sendBytes(reply, type, bytes);
    },
  );
  app.get(
    '/v1/sessions',
    {
      config: { access: ['sessions'] },
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
    async ({ query, lifetime }) => {
      const { tenant } = lifetime;
      const { cursor, limit = 100, model } = query;
      const modelId = model === undefined ? undefined : await models.idOf(model, tenant);
      const {
        sessions: page,
        damaged,
        next,
      } = await sessions.list(cursor, Number(limit), modelId, tenant);
      return {
        sessions: await sessionInfos(page),
        ...(damaged.length > 0 && { damaged }),
        ...(next !== undefined && { next }),
      };
    },
  );
}
