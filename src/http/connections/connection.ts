// One connection: what it is doing, since when, and how it comes to an end. Times are ms of
// performance.now().
import type { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import type { CarryoverError } from '../../errors.ts';
import { nextTurn } from '../event-loop.ts';

/** A body that is coming in. */
export interface Receiving {
  /** Has its request answered with `error`; what is still to come is not kept. */
  abort(error: CarryoverError): void;
}

export interface ConnectionLimits {
  /** Without a request. */
  readonly idleMsMax: number;
  /** For the head of a request. */
  readonly headMsMax: number;
  /** For the whole of it. */
  readonly requestMsMax: number;
  /** A reader of an answer may be so far behind READ_BYTES_PER_S_MIN, as time and as bytes. */
  readonly readerLagMsMax: number;
  readonly readerBytesPerMsMin: number;
  /** Another lag for readers of streams, which can be told that the server closes. */
  readonly streamLagMsMax: number;
}

/** Of requests whose answers have not ended; then no more of the connection is read. */
const PIPELINED_MAX = 16;

/** Node closes idle connections a second later than it announces; this is for those that it leaves. */
const IDLE_SLACK_MS = 1_000;

// Bytes that nobody reads make the system reset a connection, and the peer lose what was sent last. So
// behind the last answer we read on: until nothing has come for a while, and within these bounds.
const LINGER_QUIET_MS = 1_000;
const LINGER_MS_MAX = 5_000;
const LINGER_BYTES_MAX = 64 * 1024 * 1024;

interface Lingering {
  readonly sinceMs: number;
  readonly sinceBytes: number;
  movedMs: number;
  movedBytes: number;
}

export class Connection {
  readonly socket: Socket;
  /** Held of the budget for bodies. */
  bodyBytes = 0;
  /** Streams in progress. */
  streams = 0;
  /** Requests whose answers have not ended. */
  requests = 0;
  receiving: Receiving | undefined;
  /** WebSockets have a life of their own (frame-socket.ts); here only their reading is watched. */
  isWebSocket = false;
  /** No further request of it can be read. */
  isBroken = false;
  /** Opened when there were CONNECTIONS_MAX already. */
  isExtra = false;
  /** Why this side ended it. */
  endReason: string | undefined;
  #idleSinceMs: number;
  /** At the first look after it became idle. */
  #idleBytesRead: number | undefined;
  /** Of a request that is coming in: when bytes of it came last, and all of them at that time. */
  #movedMs = 0;
  #movedBytesRead = 0;
  #isBodyHeld = false;
  /** Its newest request, until that has come and is answered. */
  #newest: IncomingMessage | undefined;
  #running: IncomingMessage | undefined;
  readonly #waiting: { readonly request: IncomingMessage; readonly run: () => void }[] = [];
  #isAnsweringLast = false;
  #lingering: Lingering | undefined;
  #readerLagMs = 0;
  /** At the last look, if something was waiting for the reader then. */
  #readerBytesTaken: number | undefined;

  constructor(socket: Socket, nowMs: number) {
    this.socket = socket;
    this.#idleSinceMs = nowMs;
  }

  /** Its last answer is on its way: requests that follow are not answered any more. */
  get isEnding(): boolean {
    return this.#isAnsweringLast || this.#lingering !== undefined || this.socket.destroyed;
  }

  /** Nothing was asked that is not answered. */
  get isIdle(): boolean {
    return this.requests === 0 && !this.isWebSocket;
  }

  /** Since when nothing has come of a request that is not complete, at the last look; else undefined. */
  get silentSinceMs(): number | undefined {
    return this.receiving && this.#movedMs;
  }

  /** Whether a request is coming in that was answered before all of it was there. */
  get isAhead(): boolean {
    return this.requests === 0 && this.#newest !== undefined && !this.#newest.complete;
  }

  /** How far its reader is behind READ_BYTES_PER_S_MIN, at the last look. */
  get readerLagMs(): number {
    return this.socket.writableLength > 0 ? this.#readerLagMs : 0;
  }

  beginRequest(request: IncomingMessage): void {
    this.requests++;
    this.#newest = request;
    this.#movedMs = Infinity;
    if (this.requests >= PIPELINED_MAX) this.#hold();
  }

  /**
   * Calls `run` when the requests sent before this one are answered. One of a connection runs at a time: what
   * those behind it hold is their heads, and bodies that are not read yet.
   */
  takeTurn(request: IncomingMessage, run: () => void): void {
    if (this.#running) {
      this.#waiting.push({ request, run });
      return;
    }
    this.#running = request;
    run();
  }

  endRequest(request: IncomingMessage, nowMs: number): void {
    this.requests--;
    if (this.#running === request) {
      const next = this.#waiting.shift();
      this.#running = next?.request;
      // Of a connection that is lost all end; they run no more.
      if (next && !this.socket.destroyed) void this.#run(next.run);
    }
    if (this.#newest === request && request.complete) this.#newest = undefined;
    this.#idleSinceMs = nowMs;
    this.#idleBytesRead = undefined;
    if (this.#isBodyHeld && this.requests < PIPELINED_MAX) {
      this.#isBodyHeld = false;
      this.socket.resume();
    }
  }

  /** In the next turn of the event loop: of many requests sent ahead, each lets those of other connections pass. */
  async #run(run: () => void): Promise<void> {
    await nextTurn();
    if (!this.socket.destroyed) run();
  }

  /** Node reads on behind every request; this has to be said again each time. */
  #hold(): void {
    if (this.#isBodyHeld) return;
    this.#isBodyHeld = true;
    if (this.socket.listenerCount('resume', this.#onResume) === 0) {
      this.socket.on('resume', this.#onResume);
    }
    this.socket.pause();
  }

  readonly #onResume = () => {
    if (this.#isBodyHeld) this.socket.pause();
  };

  cut(reason: string): void {
    this.endReason ??= reason;
    this.socket.destroy();
  }

  /** The next answer is the last one, and all of `request` may not have come: the peer may send on a while. */
  endBehind(request: IncomingMessage): void {
    this.#isAnsweringLast = true;
    this.socket.destroySoon = () => {
      if (request.complete) Socket.prototype.destroySoon.call(this.socket);
      else this.linger(performance.now());
    };
  }

  /** Closes our side, and the connection soon after. */
  linger(nowMs: number): void {
    if (this.#lingering) return;
    const { bytesRead } = this.socket;
    this.#lingering = {
      sinceMs: nowMs,
      sinceBytes: bytesRead,
      movedMs: nowMs,
      movedBytes: bytesRead,
    };
    this.socket.end();
    this.socket.resume();
  }

  /**
   * To be called again and again.
   *
   * @param elapsedMs since the last call
   * @returns why it has to be cut, if so
   */
  overdue(nowMs: number, elapsedMs: number, limits: ConnectionLimits): string | undefined {
    if (this.#isTooSlowAReader(elapsedMs, limits)) return 'the answer was not read';
    if (this.#lingering) return this.#hasLingered(nowMs, this.#lingering, limits) ? 'refused' : undefined;
    if (this.receiving) this.#noteArrivals(nowMs);
    if (this.isIdle && this.#isIdleTooLong(nowMs, limits)) return 'idle';
    return undefined;
  }

  #noteArrivals(nowMs: number): void {
    const { bytesRead } = this.socket;
    if (bytesRead !== this.#movedBytesRead) this.#movedMs = nowMs;
    this.#movedBytesRead = bytesRead;
  }

  /** A head may be coming in, for which Node has a limit; but line ends between requests are none. */
  #isIdleTooLong(nowMs: number, { idleMsMax, headMsMax }: ConnectionLimits): boolean {
    const idleMs = nowMs - this.#idleSinceMs;
    if (idleMs <= idleMsMax) {
      this.#idleBytesRead ??= this.socket.bytesRead;
      return false;
    }
    const hasMoved = this.socket.bytesRead !== this.#idleBytesRead;
    const extraMs = hasMoved ? Math.min(headMsMax, idleMsMax) / 2 : IDLE_SLACK_MS;
    return idleMs > idleMsMax + extraMs;
  }

  /**
   * A reader that takes READ_BYTES_PER_S_MIN on an average is never too slow: it may be behind by what it
   * has to take in STREAM_STALL_MS, for the system tells of what was read in steps of up to a megabyte.
   */
  #isTooSlowAReader(elapsedMs: number, limits: ConnectionLimits): boolean {
    if (this.socket.writableLength === 0) {
      this.#readerLagMs = 0;
      this.#readerBytesTaken = undefined;
      return false;
    }
    const bytesTaken = bytesTakenOf(this.socket);
    if (this.#readerBytesTaken !== undefined) {
      const paidMs = (bytesTaken - this.#readerBytesTaken) / limits.readerBytesPerMsMin;
      this.#readerLagMs = Math.max(0, this.#readerLagMs - paidMs) + elapsedMs;
    }
    this.#readerBytesTaken = bytesTaken;
    return this.#readerLagMs > (this.streams > 0 ? limits.streamLagMsMax : limits.readerLagMsMax);
  }

  #hasLingered(nowMs: number, lingering: Lingering, { requestMsMax }: ConnectionLimits): boolean {
    const { bytesRead } = this.socket;
    if (bytesRead !== lingering.movedBytes) {
      lingering.movedBytes = bytesRead;
      lingering.movedMs = nowMs;
    }
    return (
      nowMs - lingering.movedMs > LINGER_QUIET_MS ||
      nowMs - lingering.sinceMs > Math.min(LINGER_MS_MAX, requestMsMax / 2) ||
      bytesRead - lingering.sinceBytes > LINGER_BYTES_MAX
    );
  }
}

/**
 * What the system has taken of all that was written. `bytesWritten` counts a write when it begins, and a write
 * may be many megabytes; what is left of it only the handle knows, as net.Socket's own timeout asks it.
 */
function bytesTakenOf(socket: Socket): number {
  const { _handle: handle } = socket as { _handle?: { bytesWritten: number; writeQueueSize: number } };
  if (!handle) return socket.bytesWritten - socket.writableLength;
  return handle.bytesWritten - handle.writeQueueSize;
}
