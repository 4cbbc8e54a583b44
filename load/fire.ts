// One target under load for some seconds: sixteen connections, each of which sends its next request when
// it has its answer. Sockets and no client library: the generator shares the processor with what it
// measures, and every answer is compared byte by byte, be it text or not. (autocannon decodes each as
// UTF-8; that took it 0.8 ms for 66 kB of float32, more than the service took to compute them.)
import { once } from 'node:events';
import { type Socket, connect } from 'node:net';
import { percentile } from './statistics.ts';

export const CONNECTIONS = 16;

export interface Target {
  readonly name: string;
  readonly url: string;
  readonly method: 'GET' | 'POST';
  readonly body?: Buffer;
  readonly headers?: Readonly<Record<string, string>>;
  /** Every answer must be this, if it is given. */
  readonly expectBody?: string | Buffer | undefined;
}

/** One target in one round. */
export interface Round {
  readonly requestsPerS: number;
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
  /** Headers included. */
  readonly requestBytes: number;
  readonly answerBytes: number;
}

/** No answer takes as long, so one that does will not come. */
export const ANSWER_MS_MAX = 20_000;
/** A head has some 600 bytes. */
const HEAD_BYTES_MAX = 16 * 1024;

/** @throws Error if an answer is not 2xx, is not the expected one, or does not come */
export async function fire(target: Target, seconds: number): Promise<Round> {
  const request = requestBytes(target);
  const { hostname, port } = new URL(target.url);
  const sockets = Array.from({ length: CONNECTIONS }, () => connect(Number(port), hostname));
  try {
    await Promise.all(sockets.map((socket) => once(socket, 'connect')));
    const startMs = performance.now();
    const endMs = startMs + 1_000 * seconds;
    const callers = sockets.map((socket) => new Caller(target, socket, request, endMs));
    await Promise.all(callers.map((caller) => caller.done));
    const latenciesMs = callers.flatMap((caller) => caller.latenciesMs);
    if (latenciesMs.length === 0) throw new Error(`${target.name}: no answer within ${seconds} s.`);
    const answersBytes = callers.reduce((sum, caller) => sum + caller.answersBytes, 0);
    return {
      requestsPerS: latenciesMs.length / seconds,
      p50Ms: percentile(latenciesMs, 50),
      p90Ms: percentile(latenciesMs, 90),
      p99Ms: percentile(latenciesMs, 99),
      requestBytes: request.length,
      answerBytes: answersBytes / latenciesMs.length,
    };
  } finally {
    for (const socket of sockets) socket.destroy();
  }
}

function requestBytes({ url, method, headers = {}, body }: Target): Buffer {
  const { host, pathname, search } = new URL(url);
  const all = { host, ...headers, ...(body && { 'content-length': body.length }) };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = `${method} ${pathname}${search} HTTP/1.1\r\n${lines.join('')}\r\n`;
  return Buffer.concat([Buffer.from(head), body ?? Buffer.alloc(0)]);
}

/** One connection. */
class Caller {
  /** Resolves behind the first answer that comes after the end; that one does not count. */
  readonly done: Promise<void>;
  readonly latenciesMs: number[] = [];
  answersBytes = 0;
  readonly #target: Target;
  readonly #socket: Socket;
  readonly #request: Buffer;
  readonly #endMs: number;
  readonly #expected: Buffer | undefined;
  readonly #settle: { readonly resolve: () => void; readonly reject: (error: Error) => void };
  /** What has come of an answer whose head is not complete. */
  #head: Buffer = Buffer.alloc(0);
  #headBytes = 0;
  /** Of the answer whose head is complete; undefined before. */
  #bodyBytes: number | undefined;
  #received = 0;
  #sentMs = 0;

  constructor(target: Target, socket: Socket, request: Buffer, endMs: number) {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const { expectBody } = target;
    this.done = promise;
    this.#settle = { resolve, reject };
    this.#target = target;
    this.#socket = socket;
    this.#request = request;
    this.#endMs = endMs;
    this.#expected = typeof expectBody === 'string' ? Buffer.from(expectBody) : expectBody;
    socket
      .setNoDelay()
      .setTimeout(ANSWER_MS_MAX, () => this.#fail(`no answer within ${ANSWER_MS_MAX} ms`))
      .on('error', (error) => this.#fail(error.message))
      .on('close', () => this.#fail('the connection was closed'))
      .on('data', (chunk) => this.#take(chunk));
    this.#send();
  }

  #send(): void {
    this.#sentMs = performance.now();
    this.#socket.write(this.#request);
  }

  #take(chunk: Buffer): void {
    const body = this.#bodyBytes === undefined ? this.#takeHead(chunk) : chunk;
    if (body === undefined || this.#bodyBytes === undefined) return;
    const end = this.#received + body.length;
    const expected = this.#expected?.subarray(this.#received, end);
    if (expected && !expected.equals(body)) return this.#fail(`not the expected answer: ${quote(body)}`);
    this.#received = end;
    if (end > this.#bodyBytes) return this.#fail('an answer has more bytes than it says');
    if (end === this.#bodyBytes) this.#finish();
  }

  /** The first bytes of the body, if the head is complete. */
  #takeHead(chunk: Buffer): Buffer | undefined {
    this.#head = this.#head.length === 0 ? chunk : Buffer.concat([this.#head, chunk]);
    const end = this.#head.indexOf('\r\n\r\n');
    if (end < 0) {
      if (this.#head.length > HEAD_BYTES_MAX) this.#fail(`not an answer: ${quote(this.#head)}`);
      return undefined;
    }
    const head = this.#head.toString('latin1', 0, end);
    const [, length] = /^HTTP\/1\.1 2\d\d [^]*\r\ncontent-length: (\d+)/i.exec(head) ?? [];
    if (length === undefined) {
      this.#fail(`not 2xx with a length: ${quote(this.#head)}`);
      return undefined;
    }
    const expectedBytes = this.#expected?.length ?? Number(length);
    if (Number(length) !== expectedBytes) {
      this.#fail(`${length} bytes, expected ${expectedBytes}`);
      return undefined;
    }
    this.#bodyBytes = Number(length);
    this.#headBytes = end + 4;
    const body = this.#head.subarray(end + 4);
    this.#head = Buffer.alloc(0);
    return body;
  }

  #finish(): void {
    const nowMs = performance.now();
    if (nowMs > this.#endMs) {
      this.#socket.removeAllListeners('close');
      return this.#settle.resolve();
    }
    this.latenciesMs.push(nowMs - this.#sentMs);
    this.answersBytes += this.#headBytes + this.#received;
    this.#bodyBytes = undefined;
    this.#received = 0;
    this.#send();
  }

  #fail(reason: string): void {
    this.#settle.reject(new Error(`${this.#target.name}: ${reason}.`));
  }
}

function quote(bytes: Buffer): string {
  return JSON.stringify(bytes.subarray(0, 400).toString('latin1'));
}
