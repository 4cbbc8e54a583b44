// What a load generator sends, and what it measures.

/** Connections of both generators; each has one request in flight. */
export const CONNECTIONS = 16;

/** No answer takes this long: a request that waits longer has failed. */
export const RESPONSE_MS_MAX = 20_000;

/** What a response must be; any body with 2xx if nothing is said. */
export interface ResponseCheck {
  /** Every response body must equal it. */
  readonly expectBody?: string | Buffer | undefined;
  /** What is wrong with a response body of which parts differ, or undefined. */
  readonly problemOf?: (body: Buffer) => string | undefined;
  /** Whether 429 and 503 are answers, too. */
  readonly mayRefuse?: boolean;
}

export interface HttpTarget extends ResponseCheck {
  readonly name: string;
  readonly url: string;
  readonly method: 'GET' | 'POST';
  readonly body?: Buffer;
  /** In turn, each with the same headers; in place of `body`. */
  readonly bodies?: readonly Buffer[];
  readonly headers?: Readonly<Record<string, string>>;
}

/** One target in one round. */
export interface HttpRound {
  readonly requestsPerS: number;
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
  /** Of one request, headers included. */
  readonly requestBytes: number;
  /** Of one response, headers included. */
  readonly responseBytes: number;
}

/** The bytes of one HTTP/1.1 request. */
export function requestBytesOf({ url, method, headers = {}, body }: HttpTarget): Buffer {
  const { host, pathname, search } = new URL(url);
  const all = { host, ...headers, ...(body && { 'content-length': body.length }) };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = `${method} ${pathname}${search} HTTP/1.1\r\n${lines.join('')}\r\n`;
  return Buffer.concat([Buffer.from(head), body ?? Buffer.alloc(0)]);
}

/** @returns a function that gives the bytes of one request after another */
export function nextRequestOf(target: HttpTarget): () => Buffer {
  const { bodies } = target;
  if (!bodies) {
    const request = requestBytesOf(target);
    return () => request;
  }
  const requests = bodies.map((body) => requestBytesOf({ ...target, body }));
  let next = 0;
  return () => requests[next++ % requests.length]!;
}
