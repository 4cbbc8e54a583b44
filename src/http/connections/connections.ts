// All connections: how many there may be, which one has to go, and how they end with the process.
//
// A connection that makes no progress is closed: an idle one, one whose reader takes nothing, one that
// was refused. One timer looks at all of them. (Node itself ends requests that do not arrive in time.)
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyBaseLogger } from 'fastify';
import { CarryoverError } from '../../errors.ts';
import { Connection, type ConnectionLimits } from './connection.ts';

export interface ConnectionsOptions {
  readonly connectionsMax: number;
  readonly requestTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
  /** How far behind its least rate a reader may be. */
  readonly streamStallMs: number;
  readonly readBytesPerSecondMin: number;
  /** How long streams may go on once the server is closing. */
  readonly streamGraceMs: number;
}

/** Until all of a head has come. */
const HEAD_MS_MAX = 10_000;
/** Above CONNECTIONS_MAX: while all connections are busy, supervisors are still answered on these. */
const EXTRA_CONNECTIONS = 16;
/** A request of which nothing has come for so long makes room for others. */
const SILENT_MS_MIN = 2_000;
/** All requests together that wait behind others of their connections; each takes a few kB. */
const PIPELINED_ALL_MAX = 8_192;
/** Of the readers of answers when the process ends. */
const LAST_LAG_MS_MAX = 2_000;
const LOOK_MS_MIN = 20;
/** Often, so that few are cut at a time. */
const LOOK_MS_MAX = 200;

export function headMsMax(requestTimeoutMs: number): number {
  return Math.min(HEAD_MS_MAX, requestTimeoutMs);
}

export class Connections {
  readonly #options: ConnectionsOptions;
  readonly #log: FastifyBaseLogger;
  readonly #bySocket = new WeakMap<Socket, Connection>();
  readonly #open = new Set<Connection>();
  /** Those that wait for a request, the one that does so for longest first. */
  readonly #idle = new Set<Connection>();
  readonly #looking: NodeJS.Timeout;
  #limits: ConnectionLimits;
  #lookedMs = performance.now();
  #requests = 0;
  #isFullTold = false;
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
    server.on('connection', (socket: Socket) => this.#accept(socket));
    server.on('drop', () => this.#tellFull());
    server.prependListener('upgrade', (_, socket) => this.#upgrade(socket as Socket));
    const { keepAliveTimeoutMs, requestTimeoutMs, streamStallMs } = options;
    const shortestMs = Math.min(keepAliveTimeoutMs, requestTimeoutMs, streamStallMs);
    const everyMs = Math.min(LOOK_MS_MAX, Math.max(LOOK_MS_MIN, shortestMs / 8));
    this.#looking = setInterval(() => this.#look(2 * everyMs), everyMs).unref();
  }

  /**
   * Has `listener` answer the request when those that its connection sent before it are answered. A chunk of
   * 64 KiB can hold 1,700 requests: those that wait take a head and a response of Node each, and nothing of
   * Fastify's.
   */
  serve(request: IncomingMessage, response: ServerResponse, listener: RequestListener): void {
    const connection = this.#bySocket.get(request.socket);
    // Its socket was closed before its head was read.
    if (!connection) return void response.destroy();
    let isServed = false;
    connection.beginRequest(request);
    this.#requests++;
    this.#idle.delete(connection);
    response.on('close', () => {
      this.#end(connection, request);
      if (!isServed) this.#logUnserved(connection, request);
    });
    if (this.#requests - this.#open.size > PIPELINED_ALL_MAX && connection.requests > 1) {
      return this.#cut(connection, 'too many requests wait behind others');
    }
    connection.takeTurn(request, () => {
      isServed = true;
      listener(request, response);
    });
  }

  #logUnserved({ endReason }: Connection, { method, url }: IncomingMessage): void {
    this.#log.info({ method, url, unanswered: endReason ?? 'the client left' }, 'request');
  }

  /** Undefined for a request that came over no connection, as tests make them. */
  of(socket: Socket): Connection | undefined {
    return this.#bySocket.get(socket);
  }

  /** Whether it can be given nothing but an answer about the process's health. */
  isBeyondMax({ isExtra }: Connection): boolean {
    return isExtra && this.#open.size > this.#options.connectionsMax;
  }

  /**
   * Closes all that do nothing, refuses the requests that have not arrived as a whole, and closes the
   * others with their last answer.
   */
  shutDown(): void {
    this.#isClosing = true;
    const { streamStallMs, streamGraceMs } = this.#options;
    const readerLagMsMax = Math.min(streamStallMs, streamGraceMs, LAST_LAG_MS_MAX);
    this.#limits = { ...this.#limits, readerLagMsMax };
    for (const connection of Array.from(this.#open)) {
      const detail = 'This instance takes no new requests.';
      connection.receiving?.abort(new CarryoverError('shutting_down', { detail }));
      if (connection.isIdle && !connection.isEnding) this.#cut(connection, 'shutting down');
    }
  }

  /** The timer stops. */
  stop(): void {
    clearInterval(this.#looking);
  }

  #accept(socket: Socket): void {
    const connection = new Connection(socket, performance.now());
    this.#bySocket.set(socket, connection);
    this.#open.add(connection);
    this.#idle.add(connection);
    socket.once('close', () => this.#forget(connection));
    if (this.#open.size > this.#options.connectionsMax) this.#makeRoomFor(connection);
  }

  #forget(connection: Connection): void {
    this.#open.delete(connection);
    this.#idle.delete(connection);
  }

  #cut(connection: Connection, reason: string): void {
    connection.cut(reason);
    this.#forget(connection);
  }

  #makeRoomFor(newest: Connection): void {
    this.#tellFull();
    const [oldest] = this.#idle;
    if (oldest && oldest !== newest) return this.#cut(oldest, 'idle, and others came');
    const silent = this.#silentForLongest();
    if (silent) return this.#cut(silent, 'nothing came of its request, and others did');
    newest.isExtra = true;
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

  /** Once, until there is room again. */
  #tellFull(): void {
    if (this.#isFullTold) return;
    this.#isFullTold = true;
    const { connectionsMax } = this.#options;
    const connections = { open: this.#open.size, idle: this.#idle.size, connectionsMax };
    this.#log.warn(
      connections,
      'CONNECTIONS_MAX is reached: idle and silent connections are closed, the oldest first; while there ' +
        'are none, new ones are answered about health only',
    );
  }

  #end(connection: Connection, request: IncomingMessage): void {
    connection.endRequest(request, performance.now());
    this.#requests--;
    if (!connection.isIdle || !this.#open.has(connection)) return;
    this.#idle.add(connection);
    // It may have sent another request: unread, it would cost the peer the answer before it.
    if (this.#isClosing) connection.linger(performance.now());
  }

  #upgrade(socket: Socket): void {
    const connection = this.#bySocket.get(socket);
    if (!connection) return;
    connection.isWebSocket = true;
    this.#idle.delete(connection);
  }

  #look(elapsedMsMax: number): void {
    const nowMs = performance.now();
    // After a pause of this thread its clients could not show what they do.
    const elapsedMs = Math.min(nowMs - this.#lookedMs, elapsedMsMax);
    this.#lookedMs = nowMs;
    for (const connection of this.#open) {
      const reason = connection.overdue(nowMs, elapsedMs, this.#limits);
      if (reason !== undefined) this.#cut(connection, reason);
    }
    if (this.#open.size < 0.9 * this.#options.connectionsMax) this.#isFullTold = false;
  }
}
