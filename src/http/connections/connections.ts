// All connections: how many there may be, which one is closed for a new one, and how they end with the process.
//
// A connection without progress is terminated: an idle one, one whose client reads nothing, one that was
// refused and goes on sending. One timer checks all of them. (Requests that do not arrive in time are ended by
// Node itself.)
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import type { FastifyBaseLogger } from 'fastify';
import { CarryoverError } from '../../errors.ts';
import type { Cors } from '../cors.ts';
import type { PublicAddress } from '../public-address.ts';
import { type EndedRequest, type RequestEndListener, unservedRequest } from '../request-end.ts';
import { beginTrace } from '../tracer.ts';
import { Connection, type ConnectionLimits } from './connection.ts';

export interface ConnectionsOptions {
  readonly publicAddress: PublicAddress;
  readonly cors: Cors;
  readonly connectionsMax: number;
  readonly requestTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
  /** How far a reader may be behind the least rate. */
  readonly streamStallMs: number;
  readonly readBytesPerSecondMin: number;
  /** How long streams may go on once the server is closing. */
  readonly streamGraceMs: number;
  /** Called at the end of the requests that Fastify does not receive; undefined if nobody wants to know. */
  readonly onRequestEnd: RequestEndListener | undefined;
}

/** Until the whole head of a request has arrived. */
const HEAD_MS_MAX = 10_000;
/** Beyond CONNECTIONS_MAX: while all connections are busy, supervisors are answered on these. */
const EXTRA_CONNECTIONS = 16;
/** The connection of a request without a byte for this time may be closed for a new one. */
const SILENT_MS_MIN = 2_000;
/** Requests that wait for earlier ones of their connections, all together; each holds a few kB. */
const PIPELINED_ALL_MAX = 8_192;
/** How far the reader of a response may be behind when the process ends. */
const CLOSING_LAG_MS_MAX = 2_000;
/** While the process ends, connections without a request are kept until none has come on any of them for this time. */
const LAST_REQUEST_MS = 1_000;
/** They are kept no longer than this, and than this part of the time for streams. */
const LAST_REQUEST_MS_MAX = 5_000;
const LAST_REQUEST_PART = 1 / 4;
const CHECK_MS_MIN = 20;
/** Often, so that few connections are terminated at a time. */
const CHECK_MS_MAX = 200;
/** The limit is logged again when the number of connections was below this part of it. */
const FULL_LOGGED_AGAIN_PART = 0.9;

export function headMsMax(requestTimeoutMs: number): number {
  return Math.min(HEAD_MS_MAX, requestTimeoutMs);
}

export class Connections {
  readonly #options: ConnectionsOptions;
  readonly #log: FastifyBaseLogger;
  readonly #bySocket = new WeakMap<Socket, Connection>();
  readonly #open = new Set<Connection>();
  /** Those without a request, the one that became idle first in front. */
  readonly #idle = new Set<Connection>();
  readonly #timer: NodeJS.Timeout;
  #limits: ConnectionLimits;
  #checkedMs = performance.now();
  /** Requests whose responses are not complete, of all connections. */
  #requests = 0;
  #isFullLogged = false;
  #isHandingOver = false;
  #isClosing = false;

  constructor(server: Server, log: FastifyBaseLogger, options: ConnectionsOptions) {
    this.#options = options;
    this.#log = log;
    this.#limits = {
      idleMsMax: options.keepAliveTimeoutMs,
      headMsMax: headMsMax(options.requestTimeoutMs),
      requestMsMax: options.requestTimeoutMs,
      readerLagMsMax: options.streamStallMs,
      streamLagMsMax: options.streamStallMs,
      readerBytesPerMsMin: options.readBytesPerSecondMin / 1_000,
    };
    server.maxConnections = options.connectionsMax + EXTRA_CONNECTIONS;
    // Several processes that are full would else pass a connection round for as long as they are.
    (server as Server & { dropMaxConnection?: boolean }).dropMaxConnection = true;
    server.on('connection', (socket: Socket) => this.#accept(socket));
    server.on('secureConnection', (socket: TLSSocket) => this.#secure(socket));
    server.on('drop', () => this.#logFull());
    server.prependListener('upgrade', (_, socket) => this.#upgrade(socket as Socket));
    const { keepAliveTimeoutMs, requestTimeoutMs, streamStallMs } = options;
    const shortestMs = Math.min(keepAliveTimeoutMs, requestTimeoutMs, streamStallMs);
    const everyMs = Math.min(CHECK_MS_MAX, Math.max(CHECK_MS_MIN, shortestMs / 8));
    this.#timer = setInterval(() => this.#checkAll(2 * everyMs), everyMs).unref();
  }

  /**
   * Calls `listener` when the requests before this one on its connection are answered. A chunk of 64 KiB can
   * hold 1,700 requests: one that waits holds the head and the response object of Node, and nothing of Fastify.
   */
  serve(request: IncomingMessage, response: ServerResponse, listener: RequestListener): void {
    const connection = this.#bySocket.get(request.socket);
    // The socket was closed before the head was parsed.
    if (!connection) return void response.destroy();
    let isServed = false;
    connection.beginRequest(request, response);
    this.#requests++;
    this.#idle.delete(connection);
    response.on('close', () => {
      this.#endRequest(connection, request);
      if (isServed) return;
      const trace = beginTrace(request, undefined);
      const log = trace ? this.#log.child({ trace_id: trace.context.traceId }) : this.#log;
      this.reportEnd(unservedRequest(request, connection.endReason ?? 'the client left'), log);
    });
    if (this.#requests - this.#open.size > PIPELINED_ALL_MAX && connection.requests > 1) {
      return this.#terminate(connection, 'too many requests wait for others');
    }
    connection.runInOrder(request, () => {
      isServed = true;
      listener(request, response);
    });
  }

  /** The connection of a socket; undefined for the socket of a request that tests inject. */
  of(socket: Socket): Connection | undefined {
    return this.#bySocket.get(socket);
  }

  /** What responses need that are written on sockets. */
  get parts(): Pick<ConnectionsOptions, 'publicAddress' | 'cors'> {
    return this.#options;
  }

  /** How many are open. */
  get count(): number {
    return this.#open.size;
  }

  /** Reports a request that was answered on its socket. */
  reportEnd(ended: EndedRequest, log: FastifyBaseLogger): void {
    this.#options.onRequestEnd?.(ended, log);
  }

  /** Whether only requests about health are answered on this connection: there are too many others. */
  isForHealthOnly({ isAboveMax }: Connection): boolean {
    return isAboveMax && this.#open.size > this.#options.connectionsMax;
  }

  /**
   * To be called when the server has stopped listening. Ends each connection with the response to its next request,
   * and resolves when none is without a request, or after a while. If idle connections were closed at once, a request
   * that was sent at that moment would be lost, and a gateway must not send a POST again that may have been received.
   */
  async handOver(): Promise<void> {
    this.#isHandingOver = true;
    for (const connection of this.#open) connection.endWithNextResponse();
    const startMs = performance.now();
    const msMax = Math.min(LAST_REQUEST_MS_MAX, LAST_REQUEST_PART * this.#options.streamGraceMs);
    let [idleCount, changedMs] = [this.#idle.size, startMs];
    // With each request that comes there is one less.
    while (this.#idle.size > 0) {
      const nowMs = performance.now();
      if (this.#idle.size !== idleCount) [idleCount, changedMs] = [this.#idle.size, nowMs];
      if (nowMs - changedMs > LAST_REQUEST_MS || nowMs - startMs > msMax) return;
      await sleep(CHECK_MS_MIN);
    }
  }

  /**
   * Begins the end of all connections: idle ones are terminated, requests that have not arrived completely are
   * refused, and the others are closed with their last response.
   */
  shutDown(): void {
    this.#isClosing = true;
    const { streamStallMs, streamGraceMs } = this.#options;
    const readerLagMsMax = Math.min(streamStallMs, streamGraceMs, CLOSING_LAG_MS_MAX);
    this.#limits = { ...this.#limits, readerLagMsMax };
    for (const connection of Array.from(this.#open)) {
      const detail = 'This instance accepts no new requests.';
      connection.receiving?.abort(new CarryoverError('shutting_down', { detail }));
      if (connection.isIdle && !connection.isEnding) this.#terminate(connection, 'shutting down');
    }
  }

  /** Stops the timer. */
  stop(): void {
    clearInterval(this.#timer);
  }

  #accept(socket: Socket): void {
    const connection = new Connection(socket, performance.now());
    // It was accepted when the server stopped listening.
    if (this.#isHandingOver) connection.endWithNextResponse();
    this.#bySocket.set(socket, connection);
    this.#open.add(connection);
    this.#idle.add(connection);
    socket.once('close', () => this.#remove(connection));
    if (this.#open.size > this.#options.connectionsMax) this.#replaceOldest(connection);
  }

  /** After the handshake of TLS. Connections are counted from before it. */
  #secure(socket: TLSSocket): void {
    const connection = this.#bySocket.get(tcpSocketOf(socket));
    if (!connection) return void socket.destroy();
    connection.secure(socket);
    this.#bySocket.set(socket, connection);
  }

  #remove(connection: Connection): void {
    this.#open.delete(connection);
    this.#idle.delete(connection);
  }

  #terminate(connection: Connection, reason: string): void {
    connection.terminate(reason);
    this.#remove(connection);
  }

  /** Terminates the connection that was idle or silent for longest; without one, `newest` is for health only. */
  #replaceOldest(newest: Connection): void {
    this.#logFull();
    const [oldest] = this.#idle;
    if (oldest && oldest !== newest) {
      return this.#terminate(oldest, 'idle, and replaced by a new connection');
    }
    const silent = this.#silentForLongest();
    if (silent) return this.#terminate(silent, 'silent, and replaced by a new connection');
    newest.isAboveMax = true;
  }

  #silentForLongest(): Connection | undefined {
    let sinceMs = performance.now() - SILENT_MS_MIN;
    let longest: Connection | undefined;
    for (const connection of this.#open) {
      const { silentSinceMs = Infinity } = connection;
      if (silentSinceMs > sinceMs) continue;
      sinceMs = silentSinceMs;
      longest = connection;
    }
    return longest;
  }

  /** Once, until there are clearly fewer connections again. */
  #logFull(): void {
    if (this.#isFullLogged) return;
    this.#isFullLogged = true;
    const { connectionsMax } = this.#options;
    const connections = { open: this.#open.size, idle: this.#idle.size, connectionsMax };
    this.#log.warn(
      connections,
      'CONNECTIONS_MAX is reached: idle and silent connections are closed, the oldest first; while there ' +
        'are none, new ones are answered about health only',
    );
  }

  #endRequest(connection: Connection, request: IncomingMessage): void {
    connection.endRequest(request, performance.now());
    this.#requests--;
    if (!connection.isIdle || !this.#open.has(connection)) return;
    this.#idle.add(connection);
    // The peer may have sent another request; if it stayed unread, the peer would lose this response.
    if (this.#isClosing) connection.closeLingering(performance.now());
  }

  #upgrade(socket: Socket): void {
    const connection = this.#bySocket.get(socket);
    if (!connection) return;
    connection.isWebSocket = true;
    this.#idle.delete(connection);
  }

  #checkAll(elapsedMsMax: number): void {
    const nowMs = performance.now();
    // While this thread was blocked, no client could show progress: that time does not count.
    const elapsedMs = Math.min(nowMs - this.#checkedMs, elapsedMsMax);
    this.#checkedMs = nowMs;
    for (const connection of this.#open) {
      const reason = connection.check(nowMs, elapsedMs, this.#limits);
      if (reason !== undefined) this.#terminate(connection, reason);
    }
    if (this.#open.size < FULL_LOGGED_AGAIN_PART * this.#options.connectionsMax) this.#isFullLogged = false;
  }
}

/** The connection that carries TLS. Node has no public name for it. */
function tcpSocketOf(socket: TLSSocket): Socket {
  const { _parent: parent } = socket as unknown as { _parent: Socket };
  return parent;
}
