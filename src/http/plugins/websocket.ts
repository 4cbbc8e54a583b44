// Which requests are upgraded to a WebSocket, and what becomes of a handshake that is refused.
//
// Which pages may open one is decided by the route, before anything is read (websocket/page-origin.ts).
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import websocket from '@fastify/websocket';
import fp from 'fastify-plugin';
import { CarryoverError } from '../../errors.ts';
import { endWithProblem } from '../connections/client-errors.ts';
import type { Connections } from '../connections/connections.ts';
import type { PublicAddress } from '../public-address.ts';
import type { HttpServer } from '../http-server.ts';
import { CLOSE_MS_MAX, type MessageSockets } from '../websocket/message-sockets.ts';

/**
 * Whether a request is upgraded. An offer to upgrade at another address, or to HTTP/2 as some clients make it
 * with every request, is declined by answering the request.
 */
export function isWebSocketRequest({ method, headers, url = '' }: IncomingMessage, publicAddress: PublicAddress): boolean {
  return (
    method === 'GET' &&
    headers['content-length'] === undefined &&
    headers['transfer-encoding'] === undefined &&
    headers.upgrade?.toLowerCase() === 'websocket' &&
    /^\/v1\/(?:sessions\/[^/]*\/)?stream(\?|$)/.test(publicAddress.ownPath(url))
  );
}

/** Offered by clients that send their key as another subprotocol, `bearer.<key>`. */
const SUBPROTOCOL = 'carryover';

export interface WebSocketOptions {
  readonly sockets: MessageSockets;
  readonly connections: Connections;
  readonly messageBytesMax: number;
  /** Registers the routes that accept WebSockets. */
  readonly routes: (app: HttpServer) => void;
}

/**
 * The routes that accept WebSockets, in a context of their own: to each request of its context the library adds two hooks, and
 * to each handler another, which would take 1 to 2 µs of a small step.
 */
export const webSocketRoutes = fp(
  async (app: HttpServer, options: WebSocketOptions) => {
    await app.register(async (context) => {
      await acceptWebSockets(context, options);
      options.routes(context);
      app.decorate('websocketServer', context.websocketServer);
    });
  },
  { name: 'websocket-routes', dependencies: ['refused-handshakes', 'connection-shutdown'] },
);

async function acceptWebSockets(app: HttpServer, { sockets, connections, messageBytesMax }: WebSocketOptions): Promise<void> {
  const serverOptions = {
    maxPayload: messageBytesMax,
    perMessageDeflate: false,
    // A browser closes a WebSocket for which it has offered subprotocols and none was chosen; see access/access.ts.
    handleProtocols: (protocols: ReadonlySet<string>) => (protocols.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
    closeTimeout: CLOSE_MS_MAX,
  };
  await app.register(websocket, {
    options: serverOptions,
    // The WebSocket has violated the protocol, and its Close frame has been sent.
    errorHandler: (error, _socket, request) => {
      request.log.info({ reason: error.message }, 'connection broken');
    },
    preClose: () => sockets.shutDown(),
  });
  // Node.js before 24.9 upgrades every request with an Upgrade header once anything listens for `upgrade`,
  // and its body is then never read. There the listener is removed, and no WebSocket is accepted.
  if (!('shouldUpgradeCallback' in app.server)) app.server.removeAllListeners('upgrade');
  app.websocketServer.on('wsClientError', ({ message }, socket) => {
    const problem = new CarryoverError('invalid_request', { detail: `${message}.` });
    endWithProblem(socket as Socket, problem, connections, app.log, {
      method: 'GET',
      headers: 'sec-websocket-version: 13, 8\r\n',
    });
  });
}

/**
 * Ends the connection of a handshake that was refused. The library does so only if its own hook, which is behind those of the
 * admission and the authentication, has seen the request.
 */
export const refusedHandshakes = fp(
  (app: HttpServer, { publicAddress }: { readonly publicAddress: PublicAddress }) => {
    app.addHook('onRequest', (request, reply, done) => {
      const { raw } = request;
      if (isWebSocketRequest(raw, publicAddress)) {
        reply.raw.once('finish', () => {
          if (!request.ws) raw.socket.destroySoon();
        });
      }
      done();
    });
  },
  { name: 'refused-handshakes' },
);
