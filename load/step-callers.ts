// Who steps sessions in load/sessions.ts: over requests or over WebSockets, by sockets and without a client
// library, as fire.ts does, since callers share the processor with the service.
import { once } from 'node:events';
import { type Socket, connect } from 'node:net';
import { ANSWER_MS_MAX } from './fire.ts';

/** Steps some sessions, one step at a time. */
export interface StepCaller {
  /** @throws Error if the step is not answered as one */
  step(k: number): Promise<void>;
  close(): void;
}

export interface StepOf {
  readonly session: string;
  /** (1, D) */
  readonly x: Float32Array;
}

export type OpenCaller = (url: string, steps: readonly StepOf[]) => Promise<StepCaller>;

/** POST /v1/step, all over one connection. */
export const byRequests: OpenCaller = async (url, steps) => {
  const { host } = new URL(url);
  const line = await Line.open(url, answerLength);
  const requests = steps.map(({ session, x }) => {
    const body = JSON.stringify({ session, x: [[...x]] });
    return Buffer.from(
      `POST /v1/step HTTP/1.1\r\nhost: ${host}\r\ncontent-type: application/json\r\n` +
        `content-length: ${body.length}\r\n\r\n${body}`,
    );
  });
  return {
    async step(k) {
      const answer = await line.ask(requests[k]!);
      if (!answer.toString('latin1', 0, 12).endsWith(' 200')) throw unexpected(answer);
    },
    close: () => line.close(),
  };
};

/** GET /v1/sessions/{id}/stream, a connection for each session. */
export const byWebSockets: OpenCaller = async (url, steps) => {
  const lines = await Promise.all(steps.map(({ session }) => openWebSocket(url, session)));
  const frames = steps.map(({ x }) => textFrame(JSON.stringify({ x: [[...x]] })));
  return {
    async step(k) {
      const answer = await lines[k]!.ask(frames[k]!);
      if (answer.includes('"error"')) throw unexpected(answer);
    },
    close: () => lines.forEach((line) => line.close()),
  };
};

async function openWebSocket(url: string, session: string): Promise<Line> {
  const line = await Line.open(url, answerLength);
  const handshake =
    `GET /v1/sessions/${session}/stream HTTP/1.1\r\nhost: ${new URL(url).host}\r\n` +
    'connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n' +
    `sec-websocket-key: ${Buffer.alloc(16).toString('base64')}\r\n\r\n`;
  const answer = await line.ask(Buffer.from(handshake));
  if (!answer.toString('latin1', 0, 12).endsWith(' 101')) throw unexpected(answer);
  line.lengthOf = frameLength;
  await line.next(); // where the session is
  return line;
}

/** RFC 6455, section 5.2: final, text, masked with zeros. */
function textFrame(text: string): Buffer {
  const payload = Buffer.from(text);
  const header = Buffer.alloc(8);
  header[0] = 0x81;
  header[1] = 0x80 | 126;
  header.writeUInt16BE(payload.length, 2);
  return Buffer.concat([header, payload]);
}

/** Bytes of the first message of `bytes`; undefined while it cannot be told. */
type LengthOf = (bytes: Buffer) => number | undefined;

const answerLength: LengthOf = (bytes) => {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const [, length = '0'] = /\r\ncontent-length: (\d+)/i.exec(bytes.toString('latin1', 0, end)) ?? [];
  return end + 4 + Number(length);
};

const frameLength: LengthOf = (bytes) => {
  if (bytes.length < 4) return undefined;
  const length = bytes[1]!;
  return length < 126 ? 2 + length : 4 + bytes.readUInt16BE(2);
};

/** A connection on which each message is answered by one. */
class Line {
  lengthOf: LengthOf;
  readonly #socket: Socket;
  #received: Buffer = Buffer.alloc(0);
  #waiting: PromiseWithResolvers<Buffer> | undefined;
  #error: Error | undefined;

  static async open(url: string, lengthOf: LengthOf): Promise<Line> {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname).setNoDelay();
    await once(socket, 'connect');
    return new Line(socket, lengthOf);
  }

  private constructor(socket: Socket, lengthOf: LengthOf) {
    this.#socket = socket;
    this.lengthOf = lengthOf;
    socket.on('data', (chunk) => {
      this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
      this.#take();
    });
    socket.setTimeout(ANSWER_MS_MAX, () => {
      this.#fail(new Error(`No answer within ${ANSWER_MS_MAX} ms.`));
    });
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('The connection was closed.')));
  }

  ask(message: Buffer): Promise<Buffer> {
    this.#socket.write(message);
    return this.next();
  }

  /** The next message that comes. */
  next(): Promise<Buffer> {
    const waiting = Promise.withResolvers<Buffer>();
    this.#waiting = waiting;
    if (this.#error) waiting.reject(this.#error);
    else this.#take();
    return waiting.promise;
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(): void {
    const length = this.lengthOf(this.#received);
    if (!this.#waiting || length === undefined || this.#received.length < length) return;
    const message = this.#received.subarray(0, length);
    this.#received = this.#received.subarray(length);
    const { resolve } = this.#waiting;
    this.#waiting = undefined;
    resolve(message);
  }

  #fail(error: Error): void {
    this.#error = error;
    this.#waiting?.reject(error);
  }
}

function unexpected(answer: Buffer): Error {
  return new Error(`Not the answer of a step: ${JSON.stringify(answer.toString('latin1', 0, 400))}`);
}
