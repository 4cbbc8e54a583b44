// One WebSocket of a stream: what comes is read, and silence is noticed.
import { decodeFile } from './computation.ts';
import { parseText } from './json.ts';
import { CLIENT_CODES, CarryoverError, problemError, unreadable } from './problem.ts';
import type { SessionStep } from './session-answers.ts';
import { type SessionMark, markOf } from './types.ts';

export interface SocketAnswer {
  /** That of the message. */
  readonly id: string | undefined;
  readonly mark: SessionMark;
  readonly etag: string | undefined;
  readonly step: SessionStep;
}

export interface SocketOptions {
  /** After which a connection on which an answer is expected counts as lost. */
  readonly silenceMsMax: number;
  /** Whether an answer is expected. */
  readonly isWaiting: () => boolean;
  /** The first message has come. What these two throw ends the connection. */
  readonly onGreeting: (mark: SessionMark) => void;
  readonly onAnswer: (answer: SocketAnswer) => void;
}

export class SessionSocket {
  /** Resolves after close(). @throws CarryoverError why it has ended before */
  readonly ended: Promise<void>;
  /** Whether the service has said where the session is. */
  isGreeted = false;
  readonly #socket: WebSocket;
  readonly #options: SocketOptions;
  readonly #resolve: () => void;
  readonly #reject: (error: unknown) => void;
  #lastMs = performance.now();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(socket: WebSocket, options: SocketOptions) {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.ended = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#socket = socket;
    this.#options = options;
    socket.binaryType = 'arraybuffer';
    socket.addEventListener('message', this.#onMessage);
    socket.addEventListener('close', this.#onLost);
    socket.addEventListener('error', this.#onLost);
    this.#watch();
  }

  send(bytes: Uint8Array<ArrayBuffer>): void {
    this.#lastMs = performance.now();
    // After the connection is lost this does nothing, and the message is sent again on the next one.
    this.#socket.send(bytes);
  }

  close(): void {
    this.#end();
    this.#resolve();
  }

  readonly #onMessage = ({ data }: MessageEvent<string | ArrayBuffer>): void => {
    this.#lastMs = performance.now();
    try {
      this.#read(data);
    } catch (error) {
      this.#end();
      this.#reject(error);
    }
  };

  readonly #onLost = (event: Event): void => {
    const { code, reason } = event as Partial<CloseEvent>;
    const how = code === undefined ? 'failed' : `was closed with code ${code}${reason ? ` (${reason})` : ''}`;
    this.#lose(`The WebSocket ${how} before all messages were answered.`);
  };

  #read(data: string | ArrayBuffer): void {
    if (typeof data !== 'string') {
      const { fields, session, h, ...rest } = decodeFile(new Uint8Array(data));
      if (!h || !session) throw unreadable('an answer on a WebSocket without h or session');
      const { etag, ...mark } = session as SessionMark & { readonly etag?: string };
      const { id } = fields as { readonly id?: string };
      return this.#options.onAnswer({ id, mark, etag, step: { h, ...rest, session: mark } });
    }
    const { error, session } = (parseText(data) ?? {}) as Record<string, unknown>;
    if (error !== undefined) throw problemError(error);
    const mark = markOf(session);
    if (this.isGreeted) throw unreadable('two first messages on a WebSocket');
    this.isGreeted = true;
    this.#options.onGreeting(mark);
  }

  #watch(): void {
    const { silenceMsMax, isWaiting } = this.#options;
    const silenceMs = performance.now() - this.#lastMs;
    const isExpected = !this.isGreeted || isWaiting();
    if (isExpected && silenceMs >= silenceMsMax) return this.#lose(`No answer on the WebSocket in ${silenceMsMax} ms.`);
    this.#timer = setTimeout(() => this.#watch(), silenceMsMax - (isExpected ? silenceMs : 0));
  }

  #lose(message: string): void {
    this.#end();
    this.#reject(new CarryoverError(message, { code: CLIENT_CODES.noAnswer, applied: 'unknown' }));
  }

  #end(): void {
    clearTimeout(this.#timer);
    this.#socket.removeEventListener('message', this.#onMessage);
    this.#socket.removeEventListener('close', this.#onLost);
    this.#socket.removeEventListener('error', this.#onLost);
    this.#socket.close();
  }
}
