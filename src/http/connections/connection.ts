// One connection: the requests that have arrived on it, when it was last active, and how it ends. Times are in
// ms of performance.now().
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { setImmediate as nextIteration } from 'node:timers/promises';
import type { CarryoverError } from '../../errors.ts';
import { LingeringClose } from './lingering-close.ts';
import { ReaderLag } from './reader-lag.ts';

/** A body that is arriving. */
export interface Receiving {
  /** Answers its request with `error`; the rest of the body is discarded. */
  abort(error: CarryoverError): void;
}

export interface ConnectionLimits {
  /** Without a request. */
  readonly idleMsMax: number;
  /** For the head of a request. */
  readonly headMsMax: number;
  /** For a whole request. */
  readonly requestMsMax: number;
  /** How far the reader of a response may be behind the least rate. */
  readonly readerLagMsMax: number;
  /** The same for the reader of a stream, which can be informed that the server is closing. */
  readonly streamLagMsMax: number;
  /** The least rate, READ_BYTES_PER_S_MIN. */
  readonly readerBytesPerMsMin: number;
}

/** With this many requests without a complete response, no more of the connection is read. */
const PIPELINED_MAX = 16;

/**
 * Node itself closes an idle connection one second after the keep-alive time that it announces. A connection that is
 * idle for longer is one that Node does not close.
 */
const IDLE_SLACK_MS = 1_000;

export class Connection {
  /** Of TLS after the handshake, of TCP before it and without TLS. */
  socket: Socket;
  /** What its bodies hold of the budget. */
  bodyBytes = 0;
  /** Streams in progress. */
  streams = 0;
  /** Requests whose response is not complete. */
  requests = 0;
  /** The body that is arriving. */
  receiving: Receiving | undefined;
  /** Messages of a WebSocket have limits of their own (message-socket.ts); only its reader is checked here. */
  isWebSocket = false;
  /** The parser has failed: no further request can be read. */
  hasParserError = false;
  /** Accepted when there were CONNECTIONS_MAX connections already. */
  isAboveMax = false;
  /** Why this side terminated it. */
  endReason: string | undefined;
  #readerLag: ReaderLag;
  #idleSinceMs: number;
  /** At the first check after it became idle. */
  #idleBytesRead: number | undefined;
  /** When bytes of the body that is arriving were last seen, and how many had arrived in all. */
  #arrivedMs = 0;
  #arrivedBytes = 0;
  #isReadingStopped = false;
  /** The latest request, until it has arrived completely and is answered. */
  #latest: IncomingMessage | undefined;
  /** The response to it, until another request arrives. */
  #latestResponse: ServerResponse | undefined;
  #endsWithNext = false;
  #running: IncomingMessage | undefined;
  readonly #waiting: { readonly request: IncomingMessage; readonly run: () => void }[] = [];
  #isLastResponse = false;
  #lingering: LingeringClose | undefined;

  constructor(socket: Socket, nowMs: number) {
    this.socket = socket;
    this.#readerLag = new ReaderLag(socket);
    this.#idleSinceMs = nowMs;
  }

  /** To be called after the handshake of TLS, with the socket that has the bytes of HTTP. */
  secure(socket: Socket): void {
    this.socket = socket;
    this.#readerLag = new ReaderLag(socket);
  }

  /** The response being sent is the last one: later requests are not answered. */
  get isEnding(): boolean {
    return this.#isLastResponse || this.#lingering !== undefined || this.socket.destroyed;
  }

  /** All requests are answered. */
  get isIdle(): boolean {
    return this.requests === 0 && !this.isWebSocket;
  }

  /** Since when no byte of the arriving body has been seen; undefined if no body is arriving. */
  get silentSinceMs(): number | undefined {
    return this.receiving && this.#arrivedMs;
  }

  /** Whether the latest request is answered but has not arrived completely. */
  get isAnsweredEarly(): boolean {
    return this.requests === 0 && this.#latest !== undefined && !this.#latest.complete;
  }

  /** How far its reader is behind the least rate, at the last check. */
  get readerLagMs(): number {
    return this.#readerLag.ms;
  }

  /** To be called when the head of a request has arrived. */
  beginRequest(request: IncomingMessage, response: ServerResponse): void {
    if (this.#endsWithNext) {
      // Of requests that are sent without waiting only the last ends the connection, or those behind it would be lost.
      if (this.#latestResponse && this.requests > 0) this.#latestResponse.shouldKeepAlive = true;
      response.shouldKeepAlive = false;
    }
    this.#latestResponse = response;
    this.requests++;
    this.#latest = request;
    this.#arrivedMs = Infinity;
    if (this.requests >= PIPELINED_MAX) this.#stopReading();
  }

  /**
   * Calls `run` when the requests before this one are answered, and not at all if the connection is lost. The
   * requests that wait hold their heads only: their bodies are not read yet.
   */
  runInOrder(request: IncomingMessage, run: () => void): void {
    if (this.#running) {
      this.#waiting.push({ request, run });
      return;
    }
    this.#running = request;
    run();
  }

  /**
   * Makes the response to the latest request that is not answered, or else to the next one, the last: it says
   * `Connection: close`, so that the peer sends no further request that would be lost.
   */
  endWithNextResponse(): void {
    this.#endsWithNext = true;
    if (this.requests > 0 && this.#latestResponse) this.#latestResponse.shouldKeepAlive = false;
  }

  /** To be called when the response is closed. */
  endRequest(request: IncomingMessage, nowMs: number): void {
    this.requests--;
    if (this.#running === request) {
      const next = this.#waiting.shift();
      this.#running = next?.request;
      if (next && !this.socket.destroyed) void this.#runLater(next.run);
    }
    if (this.#latest === request && request.complete) this.#latest = undefined;
    this.#idleSinceMs = nowMs;
    this.#idleBytesRead = undefined;
    if (this.#isReadingStopped && this.requests < PIPELINED_MAX) {
      this.#isReadingStopped = false;
      this.socket.resume();
    }
  }

  /** Ends the connection at once, without what has not been sent yet. */
  terminate(reason: string): void {
    this.endReason ??= reason;
    this.socket.destroy();
  }

  /**
   * Makes the next response the last one. Node destroys the socket after it; if `request` has not arrived
   * completely by then, a lingering close is begun instead.
   */
  closeAfterResponse(request: IncomingMessage): void {
    this.#isLastResponse = true;
    this.socket.destroySoon = () => {
      if (request.complete) Socket.prototype.destroySoon.call(this.socket);
      else this.closeLingering(performance.now());
    };
  }

  /** Closes this side, and the connection when the peer has stopped sending. */
  closeLingering(nowMs: number): void {
    this.#lingering ??= new LingeringClose(this.socket, nowMs);
  }

  /**
   * To be called periodically.
   *
   * @param elapsedMs since the last call
   * @returns the reason why the connection is to be terminated, if there is one
   */
  check(nowMs: number, elapsedMs: number, limits: ConnectionLimits): string | undefined {
    const lagMsMax = this.streams > 0 ? limits.streamLagMsMax : limits.readerLagMsMax;
    const lagMs = this.#readerLag.check(elapsedMs, limits.readerBytesPerMsMin);
    if (lagMs > lagMsMax) return 'the response was not read';
    if (this.#lingering) return this.#lingering.isOver(nowMs, limits.requestMsMax) ? 'refused' : undefined;
    if (this.receiving) this.#noteArrivals(nowMs);
    if (this.isIdle && this.#isIdleTooLong(nowMs, limits)) return 'idle';
    return undefined;
  }

  #noteArrivals(nowMs: number): void {
    const { bytesRead } = this.socket;
    if (bytesRead !== this.#arrivedBytes) this.#arrivedMs = nowMs;
    this.#arrivedBytes = bytesRead;
  }

  /** A head may be arriving, for which Node has a limit; it has none for empty lines between requests. */
  #isIdleTooLong(nowMs: number, { idleMsMax, headMsMax }: ConnectionLimits): boolean {
    const idleMs = nowMs - this.#idleSinceMs;
    if (idleMs <= idleMsMax) {
      this.#idleBytesRead ??= this.socket.bytesRead;
      return false;
    }
    const hasArrivals = this.socket.bytesRead !== this.#idleBytesRead;
    const extraMs = hasArrivals ? Math.min(headMsMax, idleMsMax) / 2 : IDLE_SLACK_MS;
    return idleMs > idleMsMax + extraMs;
  }

  /** In the next event-loop iteration: between pipelined requests, those of other connections are served. */
  async #runLater(run: () => void): Promise<void> {
    await nextIteration();
    if (!this.socket.destroyed) run();
  }

  /** Node resumes reading after every request, so the socket is paused again each time. */
  #stopReading(): void {
    if (this.#isReadingStopped) return;
    this.#isReadingStopped = true;
    if (this.socket.listenerCount('resume', this.#onResume) === 0) {
      this.socket.on('resume', this.#onResume);
    }
    this.socket.pause();
  }

  readonly #onResume = () => {
    if (this.#isReadingStopped) this.socket.pause();
  };
}
