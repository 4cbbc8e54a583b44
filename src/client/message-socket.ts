// One WebSocket of a stream: what comes is decoded, and silence is noticed.
import { type Result, decodeFile } from './computation.ts';
import { parseText } from './json.ts';
import { CLIENT_CODES, CarryoverError } from './problem.ts';

export interface SocketOptions {
  /** After which a connection on which an answer is expected counts as lost. */
  readonly silenceMsMax: number;
  /** Whether an answer is expected. */
  readonly isWaiting: () => boolean;
  /** The first message, or an error. What these two throw ends the connection. */
  readonly onText: (message: Readonly<Record<string, unknown>>) => void;
  /** The answer to a message. */
  readonly onFile: (answer: Result) => void;
}

export class MessageSocket {
  /** Resolves after close(). @throws CarryoverError why it has ended before */
  readonly ended: Promise<void>;
  /** Whether the first message has come: from then on messages may be sent. */
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
    if (typeof data === 'string') this.#options.onText((parseText(data) ?? {}) as Record<string, unknown>);
    else this.#options.onFile(decodeFile(new Uint8Array(data)));
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
