// Callers that step sessions, for load-sessions.ts: over POST requests or over WebSockets. They use plain
// sockets and no client library, because they share the cores with the service.
import { once } from 'node:events';
import { type Socket, connect } from 'node:net';
import { RESPONSE_MS_MAX } from '../../src/cli/bench/http-target.ts';
import { quote, readResponseHead } from '../../src/cli/bench/response-head.ts';

/** Steps a few sessions, one step at a time. */
export interface StepCaller {
  /**
   * One step of the k-th session.
   *
   * @throws Error if the answer is not that of a step
   */
  step(k: number): Promise<void>;
  close(): void;
}

export interface SessionInput {
  readonly session: string;
  /** (1, D), sent with every step. */
  readonly x: Float32Array;
}

export type OpenCaller = (url: string, sessions: readonly SessionInput[]) => Promise<StepCaller>;

/** POST /v1/step; all sessions share one connection. */
export const byRequests: OpenCaller = async (url, sessions) => {
  const { host } = new URL(url);
  const connection = await MessageConnection.open(url);
  const requests = sessions.map(({ session, x }) => {
    const body = JSON.stringify({ session, x: [[...x]] });
    return Buffer.from(
      `POST /v1/step HTTP/1.1\r\nhost: ${host}\r\ncontent-type: application/json\r\n` +
        `content-length: ${body.length}\r\n\r\n${body}`,
    );
  });
  return {
    async step(k) {
      const answer = await connection.call(requests[k]!);
      if (readResponseHead(answer)?.status !== 200) throw unexpected(answer);
    },
    close: () => connection.close(),
  };
};

/** GET /v1/sessions/{id}/stream; each session has a connection. */
export const byWebSockets: OpenCaller = async (url, sessions) => {
  const connections = await Promise.all(sessions.map(({ session }) => openWebSocket(url, session)));
  const frames = sessions.map(({ x }) => textFrame(JSON.stringify({ x: [[...x]] })));
  return {
    async step(k) {
      const answer = await connections[k]!.call(frames[k]!);
      if (answer.includes('"error"')) throw unexpected(answer);
    },
    close: () => connections.forEach((connection) => connection.close()),
  };
};

async function openWebSocket(url: string, session: string): Promise<MessageConnection> {
  const connection = await MessageConnection.open(url);
  const handshake =
    `GET /v1/sessions/${session}/stream HTTP/1.1\r\nhost: ${new URL(url).host}\r\n` +
    'connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n' +
    `sec-websocket-key: ${Buffer.alloc(16).toString('base64')}\r\n\r\n`;
  const answer = await connection.call(Buffer.from(handshake));
  if (readResponseHead(answer)?.status !== 101) throw unexpected(answer);
  connection.lengthOf = frameLength;
  // The first frame describes the session; it answers no frame of ours.
  await connection.receive();
  return connection;
}

/** A final text frame with a 16-bit length, masked with zeros (RFC 6455, section 5.2). */
function textFrame(text: string): Buffer {
  const payload = Buffer.from(text);
  const header = Buffer.alloc(8);
  header[0] = 0x81;
  header[1] = 0x80 | 126;
  header.writeUInt16BE(payload.length, 2);
  return Buffer.concat([header, payload]);
}

/** Bytes of the first message in `bytes`; undefined while they do not show it. */
type LengthOf = (bytes: Buffer) => number | undefined;

const responseLength: LengthOf = (bytes) => {
  const head = readResponseHead(bytes);
  return head && head.headBytes + head.bodyBytes;
};

const frameLength: LengthOf = (bytes) => {
  if (bytes.length < 4) return undefined;
  const length = bytes[1]!;
  return length < 126 ? 2 + length : 4 + bytes.readUInt16BE(2);
};

/** A connection on which each message sent is answered with one message. */
class MessageConnection {
  /** HTTP responses, until the connection is a WebSocket. */
  lengthOf: LengthOf = responseLength;
  readonly #socket: Socket;
  #received: Buffer = Buffer.alloc(0);
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
      this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
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
    if (!this.#pending) return;
    const length = this.#lengthOfFirst();
    if (length === undefined || this.#received.length < length) return;
    const message = this.#received.subarray(0, length);
    this.#received = this.#received.subarray(length);
    const { resolve } = this.#pending;
    this.#pending = undefined;
    resolve(message);
  }

  #lengthOfFirst(): number | undefined {
    try {
      return this.lengthOf(this.#received);
    } catch (error) {
      this.#fail(error as Error);
      return undefined;
    }
  }

  #fail(error: Error): void {
    this.#error = error;
    this.#pending?.reject(error);
  }
}

function unexpected(answer: Buffer): Error {
  return new Error(`Not the answer of a step: ${quote(answer)}`);
}
