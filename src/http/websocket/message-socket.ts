// One WebSocket on which each message of the client is answered by one message.
//
//     queue ── begun ──▶ making ── ready ──▶ made ── one at a time ──▶ sent
//              └────── together at most `concurrency` ──────┘
//
// With a concurrency of 1 the responses are in the order of the messages, else in the order in which they get ready. The
// greeting and the last response are made alone: after all before them were sent, and before a later one is begun.
//
// `closed` means that our Close frame has been sent or the connection is lost: nothing is sent any more.
// fail() while a response is being sent waits for the end of it, because nothing may be sent between
// the fragments of a message (RFC 6455, section 5.4). shutDown() stops reading and queues a last response,
// which has a close code.
//
// What a connection can hold is bounded. The reader is paused while the queue is full, and a further
// message is not begun before the system has accepted the whole response to an earlier one.
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
  /** Messages that are answered at the same time. */
  readonly concurrency: number;
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

interface QueuedResponse {
  readonly make: () => Promise<ResponseMessage>;
  /** Of its message, to be released when it has been sent. */
  readonly claimedBytes: number;
  readonly isAlone: boolean;
}

interface MadeResponse {
  readonly response: ResponseMessage;
  readonly claimedBytes: number;
}

/** What is said before the connection is closed. */
interface Failure {
  readonly error: CarryoverError;
  readonly closeCode: number;
}

export class MessageSocket {
  readonly #socket: WebSocket;
  readonly #connection: Socket;
  readonly #options: MessageSocketOptions;
  readonly #reader: MessageReader;
  #queue: QueuedResponse[] = [];
  /** How many responses were begun and are not sent. */
  #inWork = 0;
  #made: MadeResponse[] = [];
  /** Whether what is in work is made alone. */
  #isAlone = false;
  /** Whether made responses are being sent, one after another. */
  #isSending = false;
  /** Whether the system has not yet accepted all of the one that is sent. */
  #isWriting = false;
  #failure: Failure | undefined;
  #isClosed = false;
  /** When the last response became ready, or the system has accepted the last fragment. */
  #lastSentMs = performance.now();

  /** @param connection the TCP connection of `socket` */
  constructor(socket: WebSocket, connection: Socket, options: MessageSocketOptions) {
    this.#socket = socket;
    this.#connection = connection;
    this.#options = options;
    this.#reader = new MessageReader(socket, connection, {
      ...options,
      onMessage: ({ data, isBinary, claimedBytes }) => {
        this.#enqueue({ make: () => options.respond(data, isBinary), claimedBytes, isAlone: false });
      },
      onFailure: (error, closeCode) => this.#fail(error, closeCode),
    });
    this.#enqueue({ make: options.greet, claimedBytes: 0, isAlone: true });
  }

  /**
   * To be called several times within `silenceMsMax`. Sends a ping, and terminates a connection whose peer
   * has neither sent anything, such as a pong, nor read a fragment for that time.
   */
  ping(silenceMsMax: number): void {
    const lastMs = Math.max(this.#lastSentMs, this.#reader.lastReadMs);
    const isSilent = performance.now() - lastMs > silenceMsMax;
    if (isSilent && (this.#isWriting || this.#inWork === 0)) return this.#socket.terminate();
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
    if (this.#isClosed) return;
    this.#queue.push(response);
    if (this.#isQueueFull) this.#reader.pause();
    this.#begin();
  }

  /** Begins to make responses, as many as may be in work. */
  #begin(): void {
    for (let next = this.#queue[0]; next && this.#isOpen && !this.#isClosed && !this.#failure; next = this.#queue[0]) {
      const mustWait = this.#inWork > 0 && (next.isAlone || this.#isAlone);
      if (mustWait || this.#inWork >= this.#options.concurrency) return;
      this.#queue.shift();
      this.#isAlone = next.isAlone;
      this.#inWork++;
      void this.#make(next);
    }
  }

  async #make({ make, claimedBytes }: QueuedResponse): Promise<void> {
    const response = await make();
    if (this.#isClosed || this.#failure) return;
    this.#made.push({ response, claimedBytes });
    if (!this.#isSending) await this.#sendMade();
  }

  /** Sends what is made, until nothing is left or the connection is closed. */
  async #sendMade(): Promise<void> {
    this.#isSending = true;
    while (this.#made.length > 0) {
      // Only the last of several: each would wait for a flush of its own.
      if (this.#queue.length === 0 && this.#made.length === 1) await nextFlush();
      if (!this.#isOpen || this.#isClosed) break;
      const sent = this.#takeMade();
      await this.#send(sent);
      for (const { claimedBytes } of sent) this.#reader.release(claimedBytes);
      this.#inWork -= sent.length;
      if (this.#failure) return this.#endWith(this.#failure);
      const { closeCode } = sent.at(-1)!.response;
      if (closeCode !== undefined) return this.#close(closeCode);
      if (!this.#isQueueFull) this.#reader.resume();
      // Messages that are refused at once would be answered in microtasks, all in one iteration.
      if (isIterationOver()) await nextIteration();
      this.#begin();
    }
    this.#isSending = false;
    if (!this.#isOpen) this.#close();
  }

  /** The next response, and those behind it that fit into a fragment with it; one that closes the connection is the last. */
  #takeMade(): MadeResponse[] {
    let count = 0;
    let bytes = 0;
    for (const { response } of this.#made) {
      bytes += response.data.length;
      if (count > 0 && bytes > FRAGMENT_BYTES_MAX) break;
      count++;
      if (response.closeCode !== undefined) break;
    }
    return this.#made.splice(0, count);
  }

  /** Resolves when the system has accepted all of them, or the connection is lost. */
  async #send(responses: readonly MadeResponse[]): Promise<void> {
    this.#isWriting = true;
    this.#lastSentMs = performance.now();
    if (responses.length === 1) {
      await this.#sendFragments(responses[0]!.response);
    } else {
      // One write of all: it costs the system about as much as a write of one.
      this.#connection.cork();
      const accepted = responses.map(({ response: { data, isBinary } }) => this.#sendFragment(data, isBinary, true));
      this.#connection.uncork();
      await Promise.all(accepted);
    }
    this.#isWriting = false;
  }

  async #sendFragments({ data, isBinary }: ResponseMessage): Promise<void> {
    const bytes = typeof data === 'string' ? Buffer.from(data) : data;
    for (let start = 0; start < bytes.length && this.#isOpen; start += FRAGMENT_BYTES_MAX) {
      const fin = start + FRAGMENT_BYTES_MAX >= bytes.length;
      await this.#sendFragment(bytes.subarray(start, start + FRAGMENT_BYTES_MAX), isBinary, fin);
    }
  }

  /** Resolves when the system has accepted it, or the connection is lost. */
  #sendFragment(data: string | Buffer, isBinary: boolean, fin: boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#socket.send(data, { binary: isBinary, fin }, () => {
        this.#lastSentMs = performance.now();
        resolve();
      });
    });
  }

  /** Messages that wait are not answered. */
  #fail(error: CarryoverError, closeCode: number): void {
    this.#reader.discard();
    if (this.#isClosed || this.#failure) return;
    if (this.#isWriting) this.#failure = { error, closeCode };
    else this.#endWith({ error, closeCode });
  }

  #endWith({ error, closeCode }: Failure): void {
    if (this.#isOpen) this.#socket.send(this.#options.problem(error));
    this.#close(closeCode);
  }

  #lastResponse(error: CarryoverError, closeCode: number): QueuedResponse {
    const make = async () => ({ data: this.#options.problem(error), isBinary: false, closeCode });
    return { make, claimedBytes: 0, isAlone: true };
  }

  #close(closeCode?: number): void {
    this.#isClosed = true;
    this.#queue = [];
    this.#made = [];
    if (this.#isOpen) this.#socket.close(closeCode);
    this.#reader.finish();
  }
}
