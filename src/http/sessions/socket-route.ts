// GET /v1/sessions/{id}/stream: a WebSocket on a session.
import { sessionHash } from '../../session-hash.ts';
import type { BodyBudget } from '../bodies/body-budget.ts';
import { accessRefusal } from '../access.ts';
import type { Cors } from '../cors.ts';
import type { HttpServer } from '../http-server.ts';
import { problemResponses } from '../schemas/problem.ts';
import { refuseOtherPages, refuseWithoutUpgrade } from './handshake.ts';
import { IdParams } from './schemas.ts';
import { SOCKET_DESCRIPTION } from './socket-schemas.ts';
import { MESSAGE_BYTES_MAX } from '../websocket/message-socket.ts';
import type { MessageSockets } from '../websocket/message-sockets.ts';
import { SessionSocket, type SessionSocketParts } from './session-socket.ts';

export interface SessionSocketOptions extends SessionSocketParts {
  readonly sockets: MessageSockets;
  readonly budget: BodyBudget;
  readonly cors: Cors;
  readonly bodyBytesMax: number;
  /** Messages of one connection that may wait. */
  readonly sessionQueueMax: number;
}

/** A Fastify plugin with the route. */
export async function sessionSocketRoute(app: HttpServer, options: SessionSocketOptions): Promise<void> {
  const { sockets, budget } = options;
  app.route({
    method: 'GET',
    url: '/v1/sessions/:id/stream',
    config: { access: ['sessions', 'compute'] },
    schema: {
      operationId: 'streamSession',
      tags: ['sessions'],
      summary: 'Advance a session over a WebSocket',
      description: SOCKET_DESCRIPTION,
      params: IdParams,
      response: {
        101: { description: 'The connection is a WebSocket from here on.', type: 'null' },
        ...problemResponses([
          'invalid_request',
          'origin_not_allowed',
          'session_not_found',
          'session_gone',
          'upgrade_required',
          'session_corrupt',
          'store_unavailable',
          'queue_full',
          'shutting_down',
        ]),
      },
    },
    onRequest: refuseOtherPages(options.cors),
    preHandler: async ({ ws, params, lifetime, usage }) => {
      if (!ws) return;
      usage?.expectStream();
      await options.sessions.read(params.id, lifetime.tenant);
    },
    handler: refuseWithoutUpgrade,
    wsHandler: (socket, request) => {
      const startMs = performance.now();
      const stream = new SessionSocket(request.params.id, request, options);
      sockets.add(socket, request.raw, {
        // In their order: each continues from the one before.
        concurrency: 1,
        queueMax: options.sessionQueueMax,
        messageBytesMax: Math.min(options.bodyBytesMax, MESSAGE_BYTES_MAX),
        budget,
        sender: request.connection ?? { bodyBytes: 0 },
        refusal: () => accessRefusal(request),
        tenant: request.usage,
        greet: () => stream.greet(),
        respond: (message, isBinary) => stream.respond(message, isBinary),
        problem: (error) => stream.problem(error, request.id, true).data,
      });
      const { usage } = request;
      if (usage) usage.counts.streams++;
      socket.once('close', (closeCode) => {
        stream.close();
        if (usage) usage.counts.streams--;
        const durationMs = performance.now() - startMs;
        const session = sessionHash(request.params.id);
        request.log.info({ session, closeCode, messages: stream.messageCount, durationMs }, 'stream');
      });
    },
  });
}
