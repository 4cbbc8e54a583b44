// WebSockets: which requests are upgraded, what all of them are checked for, and their shutdown.
//
// Origin is not checked. The check protects against pages of other sites whose requests carry credentials
// that the browser adds by itself, such as cookies. Here there are none: a session is accessed by its id,
// 128 random bits, which such a page cannot read from anywhere.
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import websocket, { type WebSocket } from '@fastify/websocket';
import fp from 'fastify-plugin';
import { CarryoverError } from '../../errors.ts';
import { MessageSocket, type MessageSocketOptions } from '../websocket/message-socket.ts';
import type { Connections } from '../connections/connections.ts';
import type { HttpServer } from '../http-server.ts';
import { endWithProblem } from '../connections/client-errors.ts';

/** From our Close frame until the connection is terminated: one and a half slow round trips. */
const CLOSE_MS_MAX = 2_000;
/** Gateways close a connection without traffic; nginx and most others after 60 s. */
const PING_MS_MAX = 25_000;
/** Between two checks whether messages are complete in time. */
const CHECK_MS_MAX = 1_000;

/**
 * Whether a request is upgraded. An offer to upgrade at another address, or to HTTP/2 as some clients make it
 * with every request, is declined by answering the request.
 */
export function isWebSocketRequest({ method, headers, url = '' }: IncomingMessage): boolean {
  return (
    method === 'GET' &&
    headers['content-length'] === undefined &&
    headers['transfer-encoding'] === undefined &&
    headers.upgrade?.toLowerCase() === 'websocket' &&
    /^\/v1\/sessions\/[^/]*\/stream(\?|$)/.test(url)
  );
}

export interface WebSocketOptions {
  readonly sockets: MessageSockets;
  readonly connections: Connections;
  readonly messageBytesMax: number;
}

export const webSockets = fp(
  async (app: HttpServer, { sockets, connections, messageBytesMax }: WebSocketOptions) => {
    const serverOptions = {
      maxPayload: messageBytesMax,
      perMessageDeflate: false,
      // No subprotocol is supported.
      handleProtocols: () => false as const,
      closeTimeout: CLOSE_MS_MAX,
    };
    await app.register(websocket, {
      options: serverOptions,
      // The Close frame with its code has been sent.
      errorHandler: (error, _socket, request) => {
        request.log.info({ reason: error.message }, 'connection broken');
      },
      preClose: () => sockets.shutDown(),
    });
    // Node.js before 24.9 takes every offer to upgrade if anyone listens: no WebSockets are better
    // there than requests without their bodies.
    if (!('shouldUpgradeCallback' in app.server)) app.server.removeAllListeners('upgrade');
    app.websocketServer.on('wsClientError', ({ message }, socket) => {
      const problem = new CarryoverError('invalid_request', { detail: `${message}.` });
      endWithProblem(socket as Socket, problem, connections, app.log, 'sec-websocket-version: 13, 8\r\n');
    });
  },
  { name: 'websocket', dependencies: ['connection-shutdown'] },
);

/** The open WebSockets. */
export class MessageSockets {
  readonly #open = new Set<MessageSocket>();
  readonly #pinging: NodeJS.Timeout;
  readonly #checking: NodeJS.Timeout;
  #isShuttingDown = false;
  #whenEmpty: (() => void) | undefined;

  /** @param messageMsMax from the first byte of a message to its last */
  constructor(silenceMsMax: number, messageMsMax: number) {
    this.#pinging = this.#pingEvery(Math.min(PING_MS_MAX, silenceMsMax / 3), silenceMsMax);
    const checkMs = Math.min(CHECK_MS_MAX, messageMsMax / 4);
    const check = () => this.#forEach((socket) => socket.checkTimeout(messageMsMax));
    this.#checking = setInterval(check, checkMs).unref();
  }

  add(socket: WebSocket, request: IncomingMessage, options: MessageSocketOptions): MessageSocket {
    const frames = new MessageSocket(socket, request.socket, options);
    this.#open.add(frames);
    socket.once('close', () => {
      this.#open.delete(frames);
      if (this.#open.size === 0) this.#whenEmpty?.();
    });
    if (this.#isShuttingDown) frames.shutDown();
    return frames;
  }

  /** Resolves when all are closed. */
  async shutDown(): Promise<void> {
    this.#isShuttingDown = true;
    clearInterval(this.#pinging);
    clearInterval(this.#checking);
    this.#forEach((socket) => socket.shutDown());
    if (this.#open.size === 0) return;
    const pinging = this.#pingEvery(CLOSE_MS_MAX / 2, CLOSE_MS_MAX);
    await new Promise<void>((resolve) => {
      this.#whenEmpty = resolve;
    });
    clearInterval(pinging);
  }

  #pingEvery(ms: number, silenceMsMax: number): NodeJS.Timeout {
    return setInterval(() => this.#forEach((socket) => socket.ping(silenceMsMax)), ms).unref();
  }

  #forEach(act: (socket: MessageSocket) => void): void {
    for (const socket of Array.from(this.#open)) act(socket);
  }
}
