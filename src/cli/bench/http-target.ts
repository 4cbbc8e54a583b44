// What a load generator sends, and what it measures.

/** Connections of both generators; each has one request in flight. */
export const CONNECTIONS = 16;

/** No answer takes this long: a request that waits longer has failed. */
export const RESPONSE_MS_MAX = 20_000;

export interface HttpTarget {
  readonly name: string;
  readonly url: string;
  readonly method: 'GET' | 'POST';
  readonly body?: Buffer;
  readonly headers?: Readonly<Record<string, string>>;
  /** Every response body must equal it. */
  readonly expectBody?: string | Buffer | undefined;
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
