// Reads the messages of one WebSocket from its TCP connection, with backpressure.
//
// The WebSocket library reads with a `data` listener, and parses all frames of a chunk at once: 64 KiB can be
// 10,000 frames, which is 20 ms of work and 10,000 messages to be kept. Here the connection is read in
// short pieces, and none is read while reading is paused or the event loop's iteration has lasted long
// enough. The means is documented by Node.js: while a stream has a `readable` listener, `data` is emitted
// only for what read() returns. The bytes that are not read stay in the stream up to its high-water mark,
// and beyond that with the client.
//
//     reading ◀──resume()── paused          paused: the queue of messages is full
//        │ └──────pause()─────▲
//        ├────stop()────▶ stopped           stopped: nothing more will be read, responses are still sent
//        ▼                   │
//     closing ◀──────────────┘              closing: read for the peer's Close frame only
//        ▼
//    discarding                             discarding: bytes are read and dropped
//
// discard() leads to the last state from each of the others. While the connection is over its budget
// (message-claims.ts), `reading` reads nothing either.
import type { TenantUsage } from '../../limits/tenant-usage.ts';
import type { Socket } from 'node:net';
import type { WebSocket } from '@fastify/websocket';
import { CarryoverError } from '../../errors.ts';
import type { BodyBudget, BodySender } from '../bodies/body-budget.ts';
import { isIterationOver } from '../event-loop.ts';
import { CLOSE_CODES } from './close-codes.ts';
import { type FrameHeader, type FrameListener, FrameMeter } from './frame-meter.ts';
import { MessageClaims } from './message-claims.ts';

export interface ReceivedMessage {
  readonly data: Buffer;
  /** Whether it came in binary frames, and not in text frames. */
  readonly isBinary: boolean;
  /** What it counts for in the budget of bodies, until release() is called with it. */
  readonly claimedBytes: number;
}

export interface MessageReaderOptions {
  readonly messageBytesMax: number;
  readonly budget: BodyBudget;
  /** The connection, which has a share of the budget. */
  readonly sender: BodySender;
  /** Undefined if it is not limited. */
  readonly tenant?: TenantUsage | undefined;
  readonly onMessage: (message: ReceivedMessage) => void;
  /** The connection must be closed with this code, and has no use of what else arrives. */
  readonly onFailure: (error: CarryoverError, closeCode: number) => void;
}

/**
 * Bytes that are read at once, unless the payload of one frame is longer. They hold 700 empty frames, which
 * are processed in about 1 ms.
 */
const PIECE_BYTES = 4 * 1024;

type State = 'reading' | 'paused' | 'stopped' | 'closing' | 'discarding';

export class MessageReader implements FrameListener {
  readonly #socket: WebSocket;
  readonly #connection: Socket;
  readonly #options: MessageReaderOptions;
  readonly #claims: MessageClaims;
  readonly #meter = new FrameMeter(this);
  #state: State = 'reading';
  /** Payload announced by the frames of the message that is arriving. */
  #announcedBytes = 0;
  /** When the message that is arriving began, or reading was resumed after that. */
  #arrivingSinceMs: number | undefined;
  #isDeferred = false;
  #lastReadMs = performance.now();

  /** @param connection the TCP connection of `socket` */
  constructor(socket: WebSocket, connection: Socket, options: MessageReaderOptions) {
    this.#socket = socket;
    this.#connection = connection;
    this.#options = options;
    this.#claims = new MessageClaims(options.budget, options.sender, options.tenant);
    // Before the WebSocket's own listener: a message is counted before it is reported.
    connection.prependListener('data', (chunk: Buffer) => this.#measure(chunk));
    connection.on('readable', () => this.#read());
    socket.on('message', (data, isBinary) => this.#receive(data as Buffer, isBinary));
    socket.once('close', () => this.#claims.close());
  }

  /** When bytes were read last, by performance.now(). */
  get lastReadMs(): number {
    return this.#lastReadMs;
  }

  pause(): void {
    if (this.#state === 'reading') this.#state = 'paused';
  }

  /** Without effect unless paused. */
  resume(): void {
    if (this.#state !== 'paused') return;
    this.#state = 'reading';
    this.#readOn();
  }

  /** Reads no more messages. */
  stop(): void {
    if (this.#state === 'reading' || this.#state === 'paused') this.#state = 'stopped';
  }

  /** Our Close frame has been sent: reads on for that of the peer. */
  finish(): void {
    if (this.#state === 'discarding') return;
    this.#state = 'closing';
    this.#read();
  }

  /**
   * Drops what is still to come. It is read nevertheless: if a connection is closed with unread bytes, the
   * system resets it, and the peer may lose what was sent to it last.
   */
  discard(): void {
    this.#state = 'discarding';
    this.#connection.removeAllListeners('data');
    this.#read();
  }

  /** To be called with `claimedBytes` of a message when it has been answered. */
  release(claimedBytes: number): void {
    const wasOverBudget = this.#claims.isOverBudget;
    try {
      this.#claims.release(claimedBytes);
    } catch (error) {
      return this.#options.onFailure(error as CarryoverError, CLOSE_CODES.tryAgainLater);
    }
    if (wasOverBudget) this.#readOn();
  }

  /** To be called periodically: fails if the message that is arriving takes longer than `messageMsMax`. */
  checkTimeout(messageMsMax: number): void {
    const since = this.#arrivingSinceMs;
    if (since === undefined || this.#state !== 'reading' || this.#claims.isOverBudget) return;
    if (performance.now() - since <= messageMsMax) return;
    const detail = `A message was not complete within ${messageMsMax} ms (REQUEST_TIMEOUT_MS).`;
    const error = new CarryoverError('request_timeout', { detail });
    this.#options.onFailure(error, CLOSE_CODES.policyViolation);
  }

  /** Of FrameListener. */
  onFrame({ payloadBytes }: FrameHeader): void {
    if (this.#state === 'discarding') return;
    if (this.#state === 'closing' || this.#socket.readyState !== this.#socket.OPEN) {
      return this.discard();
    }
    this.#announcedBytes += payloadBytes;
    const { messageBytesMax } = this.#options;
    if (this.#announcedBytes > messageBytesMax) {
      const expected = `expected at most ${messageBytesMax} (BODY_BYTES_MAX, here 4 MiB at most)`;
      const detail = `A message of ${this.#announcedBytes} bytes; ${expected}. Send larger ones with POST.`;
      const error = new CarryoverError('body_too_large', { detail });
      return this.#options.onFailure(error, CLOSE_CODES.messageTooBig);
    }
    this.#arrivingSinceMs ??= performance.now();
  }

  /** Of FrameListener. */
  onPayload(bytes: number, isMessageEnd: boolean): void {
    if (this.#state === 'closing' || this.#state === 'discarding') return;
    try {
      this.#claims.add(bytes);
    } catch (error) {
      return this.#options.onFailure(error as CarryoverError, CLOSE_CODES.tryAgainLater);
    }
    if (!isMessageEnd) return;
    this.#claims.complete();
    this.#announcedBytes = 0;
    this.#arrivingSinceMs = undefined;
  }

  #measure(chunk: Buffer): void {
    this.#lastReadMs = performance.now();
    this.#meter.read(chunk);
  }

  #receive(data: Buffer, isBinary: boolean): void {
    const claimedBytes = this.#claims.takeComplete();
    if (this.#state === 'closing' || this.#state === 'discarding') return;
    this.#options.onMessage({ data, isBinary, claimedBytes });
  }

  get #mayRead(): boolean {
    if (this.#state === 'reading') return !this.#claims.isOverBudget;
    return this.#state === 'closing' || this.#state === 'discarding';
  }

  /** The client could not continue its message before, so its time starts again. */
  #readOn(): void {
    if (this.#arrivingSinceMs !== undefined) this.#arrivingSinceMs = performance.now();
    this.#read();
  }

  /** Reads what has arrived: read() emits `data`, for the meter first and then for the WebSocket. */
  #read(): void {
    while (this.#mayRead) {
      if (isIterationOver()) return this.#readLater();
      const { readableLength } = this.#connection;
      // At the end of the stream nothing is left, and this emits `end`.
      if (readableLength === 0) return void this.#connection.read();
      const piece = Math.max(PIECE_BYTES, this.#meter.payloadBytesLeft);
      this.#connection.read(Math.min(readableLength, piece));
      if (readableLength <= piece) return;
    }
  }

  #readLater(): void {
    if (this.#isDeferred) return;
    this.#isDeferred = true;
    setImmediate(() => {
      this.#isDeferred = false;
      this.#read();
    });
  }
}
