// One WebSocket on which each message of the client is answered by one message, in their order.
//
//              a message is queued               its response is ready
//       idle ─────────────────────▶ answering ─────────────────────▶ sending
//        ▲                              ▲                               │
//        │                              └───── the queue has another ───┤
//        └────────────────────────────────────── the queue is empty ────┤
//                                                                       │ the response has a close code
//       idle, answering ── fail() ──────────────▶ closed ◀──────────────┘
//
// `closed` means that our Close frame has been sent or the connection is lost: nothing is sent any more.
// fail() while a response is being sent replaces the queue by the error, because nothing may be sent between
// the fragments of a message (RFC 6455, section 5.4). shutDown() stops reading and queues a last response,
// which has a close code.
//
// What a connection can hold is bounded. The reader is paused while the queue is full, and the next
// message is not begun before the system has accepted the whole response to the one before it.
import type { Socket } from 'node:net';
import { setImmediate as nextIteration } from 'node:timers/promises';
import type { WebSocket } from '@fastify/websocket';
import { CarryoverError } from '../../errors.ts';
import { isIterationOver } from '../event-loop.ts';
import { nextFlush } from '../responses/write-coalescing.ts';
import { CLOSE_CODES } from './close-codes.ts';
import { MessageReader, type MessageReaderOptions } from './message-reader.ts';

export interface ResponseMessage {
  readonly data: string | Buffer;
  /** Whether it is sent as a binary message, and not as text. */
  readonly isBinary: boolean;
  /** If given, the connection is closed with it after the response. */
  readonly closeCode?: number | undefined;
}

export interface MessageSocketOptions
  extends Omit<MessageReaderOptions, 'onMessage' | 'onFailure'> {
  /** Messages that may wait before reading is paused. */
  readonly queueMax: number;
  /** Makes the message that is sent before anything has been received. Must not reject. */
  readonly greet: () => Promise<ResponseMessage>;
  /** Must not reject. */
  readonly respond: (message: Buffer, isBinary: boolean) => Promise<ResponseMessage>;
  /** The error for a client that may not use the connection any longer; undefined as long as it may. */
  readonly refusal: () => CarryoverError | undefined;
  /** The message for an error that closes the connection. */
  readonly problem: (error: CarryoverError) => string;
}

/** Messages are unmasked and joined on the event loop, about 2 ms a MiB, unlike the bodies of POST. */
export const MESSAGE_BYTES_MAX = 4 * 1024 * 1024;
/** A long response is sent in fragments of this size: each that the system accepts shows that the client reads. */
const FRAGMENT_BYTES_MAX = 256 * 1024;

type State = 'idle' | 'answering' | 'sending' | 'closed';

interface QueuedResponse {
  readonly make: () => Promise<ResponseMessage>;
  /** Of its message, to be released when it has been sent. */
  readonly claimedBytes: number;
}

export class MessageSocket {
  readonly #socket: WebSocket;
  readonly #options: MessageSocketOptions;
  readonly #reader: MessageReader;
  #queue: QueuedResponse[] = [];
  #state: State = 'idle';
  /** When the last response became ready, or the system has accepted the last fragment. */
  #lastSentMs = performance.now();

  /** @param connection the TCP connection of `socket` */
  constructor(socket: WebSocket, connection: Socket, options: MessageSocketOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#reader = new MessageReader(socket, connection, {
      ...options,
      onMessage: ({ data, isBinary, claimedBytes }) => {
        this.#enqueue({ make: () => options.respond(data, isBinary), claimedBytes });
      },
      onFailure: (error, closeCode) => this.#fail(error, closeCode),
    });
    this.#enqueue({ make: options.greet, claimedBytes: 0 });
  }

  /**
   * To be called several times within `silenceMsMax`. Sends a ping, and terminates a connection whose peer
   * has neither sent anything, such as a pong, nor read a fragment for that time.
   */
  ping(silenceMsMax: number): void {
    const lastMs = Math.max(this.#lastSentMs, this.#reader.lastReadMs);
    const isSilent = performance.now() - lastMs > silenceMsMax;
    if (isSilent && this.#state !== 'answering') return this.#socket.terminate();
    if (this.#isOpen) this.#socket.ping();
  }

  /** To be called periodically: closes the connection if a message takes longer to arrive, or its client may not use it. */
  check(messageMsMax: number): void {
    const refusal = this.#options.refusal();
    if (refusal) this.#fail(refusal, CLOSE_CODES.unauthenticated);
    else this.#reader.checkTimeout(messageMsMax);
  }

  /** Reads no more, answers the messages that wait, and closes with 1001. */
  shutDown(): void {
    this.#reader.stop();
    const detail = 'This instance accepts no new requests.';
    const error = new CarryoverError('shutting_down', { detail });
    this.#enqueue(this.#lastResponse(error, CLOSE_CODES.goingAway));
  }

  /** Neither side has sent a Close frame. */
  get #isOpen(): boolean {
    return this.#socket.readyState === this.#socket.OPEN;
  }

  get #isQueueFull(): boolean {
    return this.#queue.length >= Math.max(1, this.#options.queueMax);
  }

  #enqueue(response: QueuedResponse): void {
    if (this.#state === 'closed') return;
    this.#queue.push(response);
    if (this.#isQueueFull) this.#reader.pause();
    if (this.#state === 'idle') void this.#run();
  }

  /** Answers what is queued: from idle to idle, or to closed. */
  async #run(): Promise<void> {
    let closeCode: number | undefined;
    while (this.#isOpen && closeCode === undefined) {
      const next = this.#queue.shift();
      if (!next) {
        this.#state = 'idle';
        return;
      }
      this.#state = 'answering';
      const response = await next.make();
      // Only the last of several: each would wait for a flush of its own.
      if (this.#queue.length === 0) await nextFlush();
      if (!this.#isOpen) break;
      this.#state = 'sending';
      await this.#send(response);
      this.#reader.release(next.claimedBytes);
      if (!this.#isQueueFull) this.#reader.resume();
      ({ closeCode } = response);
      // Messages that are refused at once would be answered in microtasks, all in one iteration.
      if (isIterationOver()) await nextIteration();
    }
    this.#close(closeCode);
  }

  /** Resolves when the system has accepted all of it, or the connection is lost. */
  async #send({ data, isBinary }: ResponseMessage): Promise<void> {
    this.#lastSentMs = performance.now();
    const bytes = typeof data === 'string' ? Buffer.from(data) : data;
    for (let start = 0; start < bytes.length && this.#isOpen; start += FRAGMENT_BYTES_MAX) {
      const fragment = bytes.subarray(start, start + FRAGMENT_BYTES_MAX);
      const fin = start + FRAGMENT_BYTES_MAX >= bytes.length;
      await new Promise<void>((resolve) => {
        this.#socket.send(fragment, { binary: isBinary, fin }, () => resolve());
      });
      this.#lastSentMs = performance.now();
    }
  }

  /** Messages that wait are not answered. */
  #fail(error: CarryoverError, closeCode: number): void {
    this.#reader.discard();
    if (this.#state === 'closed') return;
    const last = this.#lastResponse(error, closeCode);
    if (this.#state === 'sending') {
      this.#queue = [last];
      return;
    }
    if (this.#isOpen) this.#socket.send(this.#options.problem(error));
    this.#close(closeCode);
  }

  #lastResponse(error: CarryoverError, closeCode: number): QueuedResponse {
    const make = async () => ({ data: this.#options.problem(error), isBinary: false, closeCode });
    return { make, claimedBytes: 0 };
  }

  #close(closeCode?: number): void {
    this.#state = 'closed';
    this.#queue = [];
    if (this.#isOpen) this.#socket.close(closeCode);
    this.#reader.finish();
  }
}
