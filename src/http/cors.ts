// Cross-origin requests of web pages (the Fetch standard, section 3.2): which pages may read responses, and what a browser
// is told about it.
//
// @fastify/cors is not used. It sets headers in a hook, and errors before the first hook and responses that are written
// on a socket need the same headers; and it adds a route of its own for OPTIONS at every address, where there are routes
// already that answer 405.
import type { FastifyReply } from 'fastify';
import { ANY_ORIGIN } from '../settings/origins.ts';
import { varyBy } from './vary.ts';

/** Headers of requests that any route reads. */
const REQUEST_HEADERS = [
  'accept',
  'authorization',
  'content-type',
  'idempotency-key',
  'if-match',
  'inference-header-content-length',
  'traceparent',
  'tracestate',
  'x-api-key',
  'x-request-id',
  'x-session-id',
];

/** Headers of responses that say something to a client, besides those that a page may read anyway. */
const RESPONSE_HEADERS = [
  'allow',
  'etag',
  'idempotency-replayed',
  'inference-header-content-length',
  'location',
  'ratelimit',
  'ratelimit-policy',
  'retry-after',
  'server-timing',
  'traceparent',
  'www-authenticate',
  'x-request-id',
  'x-session-id',
];

/** How long a browser need not ask again: two hours, the most that Chromium takes. */
const PREFLIGHT_S = 7_200;

const PREFLIGHT_HEADERS = {
  'access-control-allow-methods': 'GET, POST, PUT, DELETE',
  'access-control-allow-headers': REQUEST_HEADERS.join(', '),
  'access-control-max-age': String(PREFLIGHT_S),
};

const EXPOSED = { 'access-control-expose-headers': RESPONSE_HEADERS.join(', ') };

type Headers = Readonly<Record<string, string>>;

/** Cookies are not used, so pages send no credentials by themselves, and none are allowed. */
export class Cors {
  readonly #origins: ReadonlySet<string>;
  readonly #isForAny: boolean;

  constructor(origins: readonly string[]) {
    this.#origins = new Set(origins);
    this.#isForAny = this.#origins.has(ANY_ORIGIN);
  }

  get isOff(): boolean {
    return this.#origins.size === 0;
  }

  /** @param origin the Origin header as it was sent: of several joined, none is allowed */
  allows(origin: string): boolean {
    return this.#isForAny || this.#origins.has(origin);
  }

  /** Sets what every response has, whether a page asks or not: a cache would give the answer to another page. */
  setHeaders(reply: FastifyReply, origin: string | undefined): void {
    if (this.isOff) return;
    if (this.#isForAny) return void reply.headers(this.unreadRequestHeaders);
    varyBy(reply, 'origin');
    if (origin !== undefined && this.allows(origin)) void reply.headers({ 'access-control-allow-origin': origin, ...EXPOSED });
  }

  /** Of a response to a preflight of an origin that is allowed, besides the headers above. */
  get preflightHeaders(): Headers {
    return PREFLIGHT_HEADERS;
  }

  /** Of a response to a request that could not be read, so that its origin is not known. */
  get unreadRequestHeaders(): Headers {
    return this.#isForAny ? { 'access-control-allow-origin': ANY_ORIGIN, ...EXPOSED } : {};
  }
}
