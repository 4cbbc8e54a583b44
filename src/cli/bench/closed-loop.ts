// A closed loop of requests over plain sockets: each of sixteen connections sends its next request when it
// has received its response. The generator shares the cores with the service, so it uses no client library,
// and it compares every response byte by byte, whether it is text or not. `carryover bench` and `bench:wire` use it; `npm run load`
// uses autocannon, whose reading of a response costs 0.8 ms for 66 kB of float32.
import { once } from 'node:events';
import { type Socket, connect } from 'node:net';
import { percentile } from './statistics.ts';
import {
  CONNECTIONS,
  type HttpRound,
  type HttpTarget,
  RESPONSE_MS_MAX,
  requestBytesOf,
} from './http-target.ts';
import { quote, readResponseHead } from './response-head.ts';

/**
 * Sends requests for `seconds` and waits for the responses of those in flight.
 *
 * @throws Error if a response is not 2xx, is not the expected one, or does not come
 */
export async function runClosedLoop(target: HttpTarget, seconds: number): Promise<HttpRound> {
  const request = requestBytesOf(target);
  const { hostname, port } = new URL(target.url);
  const sockets = Array.from({ length: CONNECTIONS }, () => connect(Number(port || 80), hostname));
  try {
    await Promise.all(sockets.map((socket) => once(socket, 'connect')));
    const startMs = performance.now();
    const endMs = startMs + 1_000 * seconds;
    const connections = sockets.map((socket) => new Connection(target, socket, request, endMs));
    await Promise.all(connections.map(({ done }) => done));
    const latenciesMs = connections.flatMap((connection) => connection.latenciesMs);
    const lastMs = Math.max(...connections.map((connection) => connection.countedMs));
    const responsesBytes = connections.reduce((sum, connection) => sum + connection.responsesBytes, 0);
    return {
      requestsPerS: (1_000 * latenciesMs.length) / (Math.max(endMs, lastMs) - startMs),
      p50Ms: percentile(latenciesMs, 50),
      p90Ms: percentile(latenciesMs, 90),
      p99Ms: percentile(latenciesMs, 99),
      requestBytes: request.length,
      responseBytes: responsesBytes / latenciesMs.length,
    };
  } finally {
    for (const socket of sockets) socket.destroy();
  }
}

/** One connection: one request in flight, responses compared as they are received. */
class Connection {
  /** Resolves with the first response after the end of the round, which is counted only if there was none before. */
  readonly done: Promise<void>;
  readonly latenciesMs: number[] = [];
  /** When the last response that is counted was received. */
  countedMs = 0;
  /** Of the responses counted, headers included. */
  responsesBytes = 0;
  readonly #target: HttpTarget;
  readonly #socket: Socket;
  readonly #request: Buffer;
  readonly #endMs: number;
  readonly #expected: Buffer | undefined;
  readonly #settle: { readonly resolve: () => void; readonly reject: (error: Error) => void };
  /** Bytes of a response whose head is not complete. */
  #head: Buffer = Buffer.alloc(0);
  #headBytes = 0;
  /** Content-Length; undefined until the head is complete. */
  #bodyBytes: number | undefined;
  #receivedBytes = 0;
  #sentMs = 0;

  constructor(target: HttpTarget, socket: Socket, request: Buffer, endMs: number) {
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
      .setTimeout(RESPONSE_MS_MAX, () => this.#fail(`no response within ${RESPONSE_MS_MAX} ms`))
      .on('error', (error) => this.#fail(error.message))
      .on('close', () => this.#fail('the connection was closed'))
      .on('data', (chunk) => this.#receive(chunk));
    this.#send();
  }

  #send(): void {
    this.#sentMs = performance.now();
    this.#socket.write(this.#request);
  }

  #receive(chunk: Buffer): void {
    const body = this.#bodyBytes === undefined ? this.#receiveHead(chunk) : chunk;
    if (body === undefined || this.#bodyBytes === undefined) return;
    const end = this.#receivedBytes + body.length;
    const expected = this.#expected?.subarray(this.#receivedBytes, end);
    if (expected && !expected.equals(body)) return this.#fail(`not the expected response: ${quote(body)}`);
    this.#receivedBytes = end;
    if (end > this.#bodyBytes) return this.#fail('a response is longer than its Content-Length');
    if (end === this.#bodyBytes) this.#finish();
  }

  /** The first bytes of the body; undefined while the head is not complete. */
  #receiveHead(chunk: Buffer): Buffer | undefined {
    this.#head = this.#head.length === 0 ? chunk : Buffer.concat([this.#head, chunk]);
    const head = this.#readHead();
    if (head === undefined) return undefined;
    const { status, headBytes, bodyBytes } = head;
    const expectedBytes = this.#expected?.length ?? bodyBytes;
    if (status < 200 || status > 299 || bodyBytes !== expectedBytes) {
      this.#fail(`not 2xx with ${expectedBytes} bytes: ${quote(this.#head)}`);
      return undefined;
    }
    this.#headBytes = headBytes;
    this.#bodyBytes = bodyBytes;
    const body = this.#head.subarray(headBytes);
    this.#head = Buffer.alloc(0);
    return body;
  }

  #readHead() {
    try {
      return readResponseHead(this.#head);
    } catch (error) {
      this.#fail((error as Error).message);
      return undefined;
    }
  }

  #finish(): void {
    const nowMs = performance.now();
    const isOver = nowMs > this.#endMs;
    if (!isOver || this.latenciesMs.length === 0) {
      this.latenciesMs.push(nowMs - this.#sentMs);
      this.responsesBytes += this.#headBytes + this.#receivedBytes;
      this.countedMs = nowMs;
    }
    if (isOver) {
      this.#socket.removeAllListeners('close');
      return this.#settle.resolve();
    }
    this.#bodyBytes = undefined;
    this.#receivedBytes = 0;
    this.#send();
  }

  #fail(reason: string): void {
    this.#settle.reject(new Error(`${this.#target.name}: ${reason}.`));
  }
}
