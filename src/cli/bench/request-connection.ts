// A connection of a load generator: one request in flight, and its response compared as it is received. Plain sockets and no
// client library, because the generator shares the cores with the service.
import type { Socket } from 'node:net';
import { type ResponseCheck, RESPONSE_MS_MAX } from './http-target.ts';
import { quote, readResponseHead } from './response-head.ts';

export interface ConnectionEvents {
  /**
   * A response is complete, and the next request may be sent.
   *
   * @param bytes its headers and its body
   */
  readonly onResponse: (status: number, bytes: number) => void;
  /** Something else came than an expected response, or nothing. */
  readonly onFailure: (error: Error) => void;
}

export class RequestConnection {
  readonly #name: string;
  readonly #socket: Socket;
  readonly #check: ResponseCheck;
  readonly #events: ConnectionEvents;
  readonly #expected: Buffer | undefined;
  /** Bytes of a response whose head is not complete. */
  #head: Buffer = Buffer.alloc(0);
  #headBytes = 0;
  #status = 0;
  /** Content-Length; undefined until the head is complete. */
  #bodyBytes: number | undefined;
  #receivedBytes = 0;
  /** Of the body, if all of it is looked at together. */
  #chunks: Buffer[] = [];

  /** @param name of what is measured, for errors */
  constructor(name: string, socket: Socket, check: ResponseCheck, events: ConnectionEvents) {
    const { expectBody } = check;
    this.#name = name;
    this.#socket = socket;
    this.#check = check;
    this.#events = events;
    this.#expected = typeof expectBody === 'string' ? Buffer.from(expectBody) : expectBody;
    socket
      .setNoDelay()
      .setTimeout(RESPONSE_MS_MAX, () => this.#fail(`no response within ${RESPONSE_MS_MAX} ms`))
      .on('error', (error) => this.#fail(error.message))
      .on('close', () => this.#fail('the connection was closed'))
      .on('data', (chunk) => this.#receive(chunk));
  }

  send(request: Buffer): void {
    this.#socket.write(request);
  }

  /** From here on the connection may be closed by the service, or be silent. */
  end(): void {
    this.#socket.setTimeout(0).removeAllListeners('close');
  }

  #receive(chunk: Buffer): void {
    const body = this.#bodyBytes === undefined ? this.#receiveHead(chunk) : chunk;
    if (body === undefined || this.#bodyBytes === undefined) return;
    const end = this.#receivedBytes + body.length;
    const expected = this.#isRefusal ? undefined : this.#expected?.subarray(this.#receivedBytes, end);
    if (expected && !expected.equals(body)) return this.#fail(`not the expected response: ${quote(body)}`);
    if (this.#check.problemOf) this.#chunks.push(body);
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
    this.#status = status;
    const expectedBytes = this.#isRefusal ? bodyBytes : (this.#expected?.length ?? bodyBytes);
    if (!(this.#isRefusal || (status >= 200 && status <= 299)) || bodyBytes !== expectedBytes) {
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

  /** A service that has too much to do says so, if that is allowed. */
  get #isRefusal(): boolean {
    return this.#check.mayRefuse === true && (this.#status === 503 || this.#status === 429);
  }

  #finish(): void {
    const problem = this.#isRefusal ? undefined : this.#check.problemOf?.(Buffer.concat(this.#chunks));
    if (problem !== undefined) return this.#fail(problem);
    const bytes = this.#headBytes + this.#receivedBytes;
    this.#bodyBytes = undefined;
    this.#receivedBytes = 0;
    this.#chunks = [];
    this.#events.onResponse(this.#status, bytes);
  }

  #fail(reason: string): void {
    this.#events.onFailure(new Error(`${this.#name}: ${reason}.`));
  }
}
