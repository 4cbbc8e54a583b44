// A plain socket on which each message is answered by one: of HTTP/1.1, or of a WebSocket after its handshake. The programs that
// use it share the cores with the service, so it does no more than it must.
import { once } from 'node:events';
import { type Socket, connect } from 'node:net';
import { RESPONSE_MS_MAX } from '../../src/cli/bench/http-target.ts';
import { quote, readResponseHead } from '../../src/cli/bench/response-head.ts';

/** Bytes of the first message in `bytes`; undefined while they do not show it. */
type LengthOf = (bytes: Buffer) => number | undefined;

const responseLength: LengthOf = (bytes) => {
  const head = readResponseHead(bytes);
  return head && head.headBytes + head.bodyBytes;
};

export const frameLength: LengthOf = (bytes) => {
  if (bytes.length < 4) return undefined;
  const length = bytes[1]!;
  return length < 126 ? 2 + length : 4 + bytes.readUInt16BE(2);
};

/** A connection on which each message sent is answered with one message. */
export class MessageConnection {
  /** HTTP responses, until the connection is a WebSocket. */
  lengthOf: LengthOf = responseLength;
  readonly #socket: Socket;
  /** What was received and not taken. Joined only when a message is whole: one of 700 kB comes in a dozen chunks. */
  #chunks: Buffer[] = [];
  #bytes = 0;
  /** Of the first message in the chunks, once it is known. */
  #length: number | undefined;
  #pending: PromiseWithResolvers<Buffer> | undefined;
  #error: Error | undefined;

  static async open(url: string): Promise<MessageConnection> {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname).setNoDelay();
    await once(socket, 'connect');
    return new MessageConnection(socket);
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk) => {
      this.#chunks.push(chunk);
      this.#bytes += chunk.length;
      this.#resolvePending();
    });
    socket.setTimeout(RESPONSE_MS_MAX, () => {
      this.#fail(new Error(`No answer within ${RESPONSE_MS_MAX} ms.`));
    });
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('The connection was closed.')));
  }

  /** Sends a message and waits for its answer. @throws Error if the connection fails */
  call(message: Buffer): Promise<Buffer> {
    this.#socket.write(message);
    return this.receive();
  }

  /** Sends a message, whose answer is to be received later. */
  send(message: Buffer): void {
    this.#socket.write(message);
  }

  /** The next message. @throws Error if the connection fails */
  receive(): Promise<Buffer> {
    const pending = Promise.withResolvers<Buffer>();
    this.#pending = pending;
    if (this.#error) pending.reject(this.#error);
    else this.#resolvePending();
    return pending.promise;
  }

  close(): void {
    this.#socket.destroy();
  }

  #resolvePending(): void {
    if (!this.#pending || this.#bytes === 0) return;
    this.#length ??= this.#lengthOfFirst();
    if (this.#length === undefined || this.#bytes < this.#length) return;
    const received = this.#join();
    const message = received.subarray(0, this.#length);
    this.#chunks = [received.subarray(this.#length)];
    this.#bytes -= this.#length;
    this.#length = undefined;
    const { resolve } = this.#pending;
    this.#pending = undefined;
    resolve(message);
  }

  #lengthOfFirst(): number | undefined {
    try {
      return this.lengthOf(this.#join());
    } catch (error) {
      this.#fail(error as Error);
      return undefined;
    }
  }

  #join(): Buffer {
    if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0]!;
  }

  #fail(error: Error): void {
    this.#error = error;
    this.#pending?.reject(error);
  }
}

export function unexpected(answer: Buffer): Error {
  return new Error(`Not the answer of a step: ${quote(answer)}`);
}
