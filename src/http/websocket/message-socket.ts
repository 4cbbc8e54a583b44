// One WebSocket: each message of the client is answered by one of ours, in their order. What it
// may hold is bounded on both sides: messages are counted as they arrive; reading stops while
// enough of them wait, or while there is no room for the next; and the next one is not begun
// before the answer of the last one is on its way.
import type { Socket } from 'node:net';
import type { WebSocket } from '@fastify/websocket';
import { CarryoverError } from '../../errors.ts';
import type { BodyBudget, BodySender } from '../bodies/body-budget.ts';
import { nextFlush } from '../responses/write-coalescing.ts';
import { type FrameListener, FrameMeter } from './frame-meter.ts';
import { beginTurn, isTurnOver, nextTurn } from '../event-loop.ts';

/** RFC 6455, section 7.4.1, and its registry; from 4000 on they are ours. */
export const CLOSE_CODES = {
  goingAway: 1001,
  tooSlow: 1008,
  tooLarge: 1009,
  tryAgainLater: 1013,
} as const;

export interface FrameAnswer {
  readonly data: string | Buffer;
  /** Whether it is a file, and not JSON. */
  readonly isBinary: boolean;
  /** If given, the connection is closed behind it. */
  readonly closeCode?: number | undefined;
}

export interface FrameSocketOptions {
  /** Messages that may wait before no more are read. */
  readonly waitingMax: number;
  readonly messageBytesMax: number;
  readonly budget: BodyBudget;
  /** The connection, which has a share of the budget. */
  readonly sender: BodySender;
  /** What is sent before anything was received. */
  readonly greet: () => Promise<FrameAnswer>;
  /** Must not reject. */
  readonly answer: (message: Buffer, isBinary: boolean) => Promise<FrameAnswer>;
  /** The message that tells of an error of the connection. */
  readonly problem: (error: CarryoverError) => string;
}

/** Messages are unmasked and joined on the event loop, which takes about 2 ms a MiB; bodies of POST are not. */
export const MESSAGE_BYTES_MAX = 4 * 1024 * 1024;
/** What a message costs besides its bytes, about: it bounds the number of empty ones as well. */
const MESSAGE_BYTES_MIN = 512;
/** A large answer goes out in fragments of this size: a slow reader can be told from a dead one. */
const PART_BYTES_MAX = 256 * 1024;

interface Task {
  readonly run: () => Promise<FrameAnswer>;
  /** Claimed from the budget. */
  readonly bytes: number;
}

export class FrameSocket {
  readonly #socket: WebSocket;
  readonly #raw: Socket;
  readonly #options: FrameSocketOptions;
  readonly #meter = new FrameMeter();
  readonly #sender: BodySender;
  readonly #waiting: Task[] = [];
  /** Of each message that has arrived and has not been handed on yet. */
  readonly #arrived: number[] = [];
  /** Announced, of the message that is coming in. */
  #announcedBytes = 0;
  /** Arrived of it. */
  #partBytes = 0;
  /** Claimed from the budget and not released. */
  #claimedBytes = 0;
  /** Arrived while the budget had no room: at most what one read of the connection brings. */
  #owedBytes = 0;
  #arrivingSinceMs: number | undefined;
  #isBusy = false;
  #isComputing = false;
  /** No message is taken any more. */
  #isEnding = false;
  #isShuttingDown = false;
  #lifeMs = performance.now();

  /** @param raw the connection beneath `socket` */
  constructor(socket: WebSocket, raw: Socket, options: FrameSocketOptions) {
    this.#socket = socket;
    this.#raw = raw;
    this.#options = options;
    this.#sender = options.sender;
    // Before the listener of the WebSocket, so that a message is counted before it is there.
    raw.prependListener('data', (chunk: Buffer) => this.#measure(chunk));
    socket.on('message', (data, isBinary) => this.#receive(data as Buffer, isBinary));
    socket.once('close', () => this.#release(this.#claimedBytes));
    this.#waiting.push({ run: options.greet, bytes: 0 });
    void this.#work();
  }

  get isOpen(): boolean {
    return this.#socket.readyState === this.#socket.OPEN;
  }

  /**
   * To be called several times within `silenceMsMax`, in which a client that is there answers a ping
   * or takes a part of an answer. One that did neither is cut off.
   */
  beat(silenceMsMax: number): void {
    const isSilent = performance.now() - this.#lifeMs > silenceMsMax;
    if (isSilent && !this.#isComputing) return this.#socket.terminate();
    if (this.isOpen) this.#socket.ping();
  }

  /** To be called again and again: a client that does not finish a message in time is cut off. */
  expectMessages(messageMsMax: number): void {
    const since = this.#arrivingSinceMs;
    const isLate = since !== undefined && performance.now() - since > messageMsMax;
    if (!isLate || this.#socket.isPaused) return;
    const detail = `A message was not complete within ${messageMsMax} ms (REQUEST_TIMEOUT_MS).`;
    this.#fail(new CarryoverError('request_timeout', { detail }), CLOSE_CODES.tooSlow);
  }

  /** Reads no more, has what waits answered, and closes. */
  shutDown(): void {
    this.#isShuttingDown = true;
    this.#socket.pause();
    void this.#work();
  }

  #measure(chunk: Buffer): void {
    this.#lifeMs = performance.now();
    // Taking ten thousand messages counts, too.
    beginTurn();
    this.#meter.read(chunk, this.#listener);
  }

  readonly #listener: FrameListener = {
    announced: ({ bytes }) => this.#announce(bytes),
    arrived: (bytes, isWhole) => this.#arrive(bytes, isWhole),
  };

  #announce(bytes: number): void {
    // What comes after the end was not asked for.
    if (this.#isEnding) return this.#discardInput();
    this.#announcedBytes += bytes;
    const { messageBytesMax } = this.#options;
    if (this.#announcedBytes > messageBytesMax) {
      const expected = `expected at most ${messageBytesMax} (BODY_BYTES_MAX, here 4 MiB at most)`;
      const detail = `A message of ${this.#announcedBytes} bytes; ${expected}. Send larger ones with POST.`;
      return this.#fail(new CarryoverError('body_too_large', { detail }), CLOSE_CODES.tooLarge);
    }
    this.#arrivingSinceMs ??= performance.now();
    if (this.#partBytes === 0) this.#owe(MESSAGE_BYTES_MIN);
  }

  #arrive(bytes: number, isWhole: boolean): void {
    if (this.#isEnding) return;
    this.#owe(bytes);
    if (!isWhole) return;
    this.#arrived.push(this.#partBytes);
    this.#partBytes = 0;
    this.#announcedBytes = 0;
  }

  #owe(bytes: number): void {
    this.#owedBytes += bytes;
    this.#partBytes += bytes;
    this.#settle(this.#isBusy || this.#arrived.length > 0);
  }

  /** Waits for room that its own messages will give back, if any will; not for that of others. */
  #settle(willRelease: boolean): void {
    if (this.#owedBytes === 0) return;
    const { budget } = this.#options;
    try {
      budget.take(this.#sender, this.#claimedBytes, this.#owedBytes);
      this.#claimedBytes += this.#owedBytes;
      this.#owedBytes = 0;
    } catch (error) {
      if (willRelease) this.#socket.pause();
      else this.#fail(error as CarryoverError, CLOSE_CODES.tryAgainLater);
    }
  }

  #receive(message: Buffer, isBinary: boolean): void {
    const bytes = this.#arrived.shift() ?? 0;
    const isBetween = this.#arrived.length === 0 && this.#partBytes === 0;
    this.#arrivingSinceMs = isBetween ? undefined : performance.now();
    if (this.#isEnding) return;
    this.#waiting.push({ run: () => this.#options.answer(message, isBinary), bytes });
    if (this.#isFull) this.#socket.pause();
    void this.#work();
  }

  async #work(): Promise<void> {
    if (this.#isBusy) return;
    this.#isBusy = true;
    for (let task = this.#next(); task; task = this.#next()) {
      this.#isComputing = true;
      const answer = await task.run();
      // Not if others wait behind it: each of them would wait for a turn of its own.
      if (this.#waiting.length === 0) await nextFlush();
      this.#isComputing = false;
      this.#lifeMs = performance.now();
      await this.#send(answer);
      this.#release(task.bytes);
      if (answer.closeCode !== undefined) this.#end(answer.closeCode);
      this.#settle(true);
      this.#resume();
      // Messages that are refused at once would follow each other without an end of the turn.
      if (isTurnOver()) await nextTurn();
    }
    this.#isBusy = false;
    this.#settle(false);
    this.#resume();
    if (this.#isShuttingDown) {
      const detail = 'This instance takes no new requests.';
      this.#end(CLOSE_CODES.goingAway, new CarryoverError('shutting_down', { detail }));
    }
  }

  #next(): Task | undefined {
    return this.isOpen ? this.#waiting.shift() : undefined;
  }

  get #isFull(): boolean {
    return this.#waiting.length >= Math.max(1, this.#options.waitingMax);
  }

  #resume(): void {
    const mustWait = this.#isFull || this.#owedBytes > 0 || this.#isShuttingDown;
    if (mustWait || !this.#socket.isPaused) return;
    // The client could not go on with a message that has begun.
    if (this.#arrivingSinceMs !== undefined) this.#arrivingSinceMs = performance.now();
    this.#socket.resume();
  }

  /** Resolves when the system has taken all of it, or the connection is gone. */
  async #send({ data, isBinary }: FrameAnswer): Promise<void> {
    const bytes = typeof data === 'string' ? Buffer.from(data) : data;
    for (let start = 0; start < bytes.length; start += PART_BYTES_MAX) {
      const part = bytes.subarray(start, start + PART_BYTES_MAX);
      const fin = start + PART_BYTES_MAX >= bytes.length;
      if (!this.isOpen) return;
      await new Promise<void>((resolve) => {
        this.#socket.send(part, { binary: isBinary, fin }, () => resolve());
      });
      this.#lifeMs = performance.now();
    }
  }

  /** In the middle of a message: what is still to come of it is not kept. */
  #fail(error: CarryoverError, closeCode: number): void {
    this.#end(closeCode, error);
    this.#discardInput();
  }

  /** The messages that wait are not answered. */
  #end(closeCode: number, error?: CarryoverError): void {
    if (this.#isEnding || !this.isOpen) return;
    this.#isEnding = true;
    if (error) this.#socket.send(this.#options.problem(error));
    this.#socket.close(closeCode);
    this.#socket.resume();
  }

  /** Unread bytes would make the system reset the connection, and the client lose what was sent. */
  #discardInput(): void {
    this.#raw.removeAllListeners('data');
    this.#raw.resume();
  }

  #release(bytes: number): void {
    const claimed = Math.min(bytes, this.#claimedBytes);
    this.#claimedBytes -= claimed;
    // Nothing is left if the connection was closed meanwhile.
    this.#owedBytes -= Math.min(bytes - claimed, this.#owedBytes);
    this.#options.budget.giveBack(this.#sender, claimed);
  }
}
