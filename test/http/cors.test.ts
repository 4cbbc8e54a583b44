// Cross-origin requests of web pages: who is told what, on every way by which a response can be sent.
import { describe, expect, test } from 'vitest';
import { RawClient } from '../helpers/raw-client.ts';
import { requestText } from '../helpers/request-text.ts';
import { JSON_TYPE, LARGE_STEP, STEP, listen, stepRequest } from './connections/server.ts';

const PAGE = 'https://app.example.org';
const listed = await listen({ CORS_ORIGINS: `${PAGE},http://localhost:5173`, BODY_BYTES_MAX: '100000', REQUEST_TIMEOUT_MS: '1000' });
const forAll = await listen({ CORS_ORIGINS: '*', REQUEST_TIMEOUT_MS: '1000' });
const off = await listen();

const ask = { 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type' };
const corsHeadersIn = (headers: object) => Object.keys(headers).filter((name) => name.startsWith('access-control-'));
const variesBy = (headers: Record<string, unknown>) => ((headers.vary as string | undefined) ?? '').split(', ');

/** The response with which a page that may read responses sees the reason. */
function expectReadable(headers: Record<string, unknown>): void {
  expect(headers['access-control-allow-origin']).toBe(PAGE);
  expect(headers['access-control-expose-headers']).toContain('etag');
  expect(variesBy(headers)).toContain('origin');
}

const answerTo = (text: string, { port } = listed) => new RawClient(port, text).answer();

describe('a preflight', () => {
  test.each(['/v1/step', '/v1/sessions/AAAAAAAAAAAAAAAAAAAAAA/state', '/v1/models/x', '/openapi.json', '/nowhere'])('of %s is answered', async (url) => {
    const { statusCode, headers, body } = await listed.app.http.inject({ method: 'OPTIONS', url, headers: { origin: PAGE, ...ask } });
    expect([statusCode, body]).toEqual([204, '']);
    expectReadable(headers);
    expect(headers).toMatchObject({ 'access-control-allow-methods': 'GET, POST, PUT, DELETE', 'access-control-max-age': '7200' });
    expect(headers['access-control-allow-headers']).toBe(
      'accept, authorization, content-type, idempotency-key, if-match, inference-header-content-length, traceparent, tracestate, x-api-key, x-request-id, x-session-id',
    );
    expect(headers).not.toHaveProperty('access-control-allow-credentials');
  });

  test.each(['https://evil.example', 'null', `${PAGE}/`, 'HTTPS://APP.EXAMPLE.ORG', `${PAGE}.evil.example`, `${PAGE}, ${PAGE}`, '*', ''])(
    'of the origin %j is refused',
    async (origin) => {
      const { statusCode, headers } = await listed.app.http.inject({ method: 'OPTIONS', url: '/v1/step', headers: { origin, ...ask } });
      expect([statusCode, corsHeadersIn(headers), headers.vary]).toEqual([405, [], expect.stringContaining('origin')]);
    },
  );

  test('with two Origin headers is refused', async () => {
    const { status, headers } = await answerTo(
      `OPTIONS /v1/step HTTP/1.1\r\nhost: localhost\r\norigin: ${PAGE}\r\norigin: ${PAGE}\r\naccess-control-request-method: POST\r\n\r\n`,
    );
    expect([status, corsHeadersIn(headers)]).toEqual([405, []]);
  });

  test('without CORS_ORIGINS there is none, and no CORS header anywhere', async () => {
    const preflight = await off.app.http.inject({ method: 'OPTIONS', url: '/v1/step', headers: { origin: PAGE, ...ask } });
    expect([preflight.statusCode, corsHeadersIn(preflight.headers)]).toEqual([405, []]);
    const step = await off.app.http.inject({ method: 'POST', url: '/v1/step', headers: { origin: PAGE, ...JSON_TYPE }, payload: STEP });
    expect([step.statusCode, corsHeadersIn(step.headers), step.headers.vary]).toEqual([200, [], 'accept, accept-encoding']);
  });

  test('a plain OPTIONS of a page is answered as any other', async () => {
    const { statusCode, headers } = await listed.app.http.inject({ method: 'OPTIONS', url: '/v1/step', headers: { origin: PAGE } });
    expect([statusCode, headers.allow]).toEqual([405, 'POST']);
    expectReadable(headers);
  });

  test('with a body that goes on is answered, and its connection closed', async () => {
    const head = requestText('OPTIONS', '/v1/step', { origin: PAGE, ...ask, 'content-length': 10_000_000 });
    const client = new RawClient(listed.port, head);
    expect((await client.answer()).status).toBe(204);
    expect(await client.closedWithin(10_000)).toBe(true);
  });
});

describe('a page that is listed can read', () => {
  test('a step, with its headers', async () => {
    const { statusCode, headers } = await listed.app.http.inject({ method: 'POST', url: '/v1/step', headers: { origin: PAGE, ...JSON_TYPE }, payload: STEP });
    expect(statusCode).toBe(200);
    expectReadable(headers);
    expect(variesBy(headers)).toEqual(['origin', 'accept', 'accept-encoding']);
  });

  test.each([
    ['JSON that is none', stepRequest({ origin: PAGE }, '{'), 400],
    ['an unknown address', requestText('GET', '/nowhere', { origin: PAGE }), 404],
    ['an address that is no URL', requestText('GET', '/v1/models/%', { origin: PAGE }), 400],
    ['an unknown session', requestText('GET', '/v1/sessions/AAAAAAAAAAAAAAAAAAAAAA', { origin: PAGE }), 404],
    ['a body that is too large', stepRequest({ origin: PAGE }, LARGE_STEP), 413],
    ['a body that does not come', stepRequest({ origin: PAGE, 'content-length': 1_000 }, '{'), 408],
    ['a type that is not read', stepRequest({ origin: PAGE, 'content-type': 'text/plain' }), 415],
    ['two hosts', requestText('GET', '/v1/models', { origin: PAGE, Host: 'localhost' }), 400],
    ['an expectation', requestText('GET', '/v1/models', { origin: PAGE, expect: 'x' }), 417],
    ['another host', requestText('GET', '/v1/models', { host: 'other.example', origin: PAGE }), 421],
    ['the documentation', requestText('GET', '/openapi.json', { origin: PAGE }), 200],
    ['health', requestText('GET', '/health/ready', { origin: PAGE }), 200],
  ])('%s', async (_, text, status) => {
    const response = await answerTo(text);
    expect(response.status).toBe(status);
    expectReadable(response.headers);
  });

  test('that the service is closing', async () => {
    const closing = await listen({ CORS_ORIGINS: PAGE, SESSIONS_MAX: '7' });
    const client = new RawClient(closing.port, stepRequest({ origin: PAGE, 'content-length': STEP.length }, STEP.slice(0, 9)));
    // Answered after the head of the first has arrived.
    expect((await answerTo(stepRequest(), closing)).status).toBe(200);
    void closing.app.close();
    const refused = await client.answer();
    expect(refused.status).toBe(503);
    expectReadable(refused.headers);
  });

  test.each(['application/x-ndjson', 'text/event-stream'])('a stream as %s', async (accept) => {
    const body = '{"weights":{"W_x":[[0.5]],"W_h":[[0.8]]},"x":[[[1]],[[2]]]}';
    const response = await fetch(`http://127.0.0.1:${listed.port}/v1/sequence`, { method: 'POST', headers: { ...JSON_TYPE, accept, origin: PAGE }, body });
    const headers = Object.fromEntries(response.headers);
    await response.text();
    expect(response.status).toBe(200);
    expectReadable(headers);
    expect(variesBy(headers)).toEqual(['origin', 'accept', 'accept-encoding']);
  });
});

test('another page, and a client that is no page, get no CORS headers, and Vary all the same', async () => {
  for (const headers of [{}, { origin: 'https://evil.example' }, { origin: 'null' }]) {
    const step = await listed.app.http.inject({ method: 'POST', url: '/v1/step', headers: { ...headers, ...JSON_TYPE }, payload: STEP });
    const refused = await listed.app.http.inject({ url: '/nowhere', headers });
    expect([step.statusCode, refused.statusCode]).toEqual([200, 404]);
    for (const response of [step, refused]) {
      expect(corsHeadersIn(response.headers)).toEqual([]);
      expect(variesBy(response.headers)).toContain('origin');
    }
  }
});

describe('CORS_ORIGINS=*', () => {
  test.each(['https://any.example', 'null', 'a, b'])('allows %s, by the same response for all', async (origin) => {
    const { headers } = await forAll.app.http.inject({ method: 'POST', url: '/v1/step', headers: { origin, ...JSON_TYPE }, payload: STEP });
    expect([headers['access-control-allow-origin'], headers.vary]).toEqual(['*', 'accept, accept-encoding']);
    const preflight = await forAll.app.http.inject({ method: 'OPTIONS', url: '/v1/step', headers: { origin, ...ask } });
    expect([preflight.statusCode, preflight.headers['access-control-allow-origin']]).toEqual([204, '*']);
  });

  test.each([
    ['headers that are too large', `GET / HTTP/1.1\r\nhost: localhost\r\n${'a: b\r\n'.repeat(5_000)}\r\n`, 431],
    ['a head that does not come', 'GET / HTTP/1.1\r\nhost: localhost\r\n', 408],
  ])('a page can read the problem of %s, which is written on the socket', async (_, text, status) => {
    const response = await answerTo(text, forAll);
    expect([response.status, response.headers['access-control-allow-origin']]).toEqual([status, '*']);
  });
});

/** What a page may read anyway, or what is for browsers and connections, not for pages. */
const NOT_EXPOSED = /^(access-control-|cross-origin-|content-|x-content-type-options$|x-frame-options$|referrer-policy$|cache-control$|connection$|date$|keep-alive$|transfer-encoding$|vary$|upgrade$)/;

test('every header of a response that says something to a client is exposed', async () => {
  const call = async (method: 'GET' | 'POST' | 'DELETE', url: string, payload?: object, headers = {}) =>
    (await listed.app.http.inject({ method, url, headers: { origin: PAGE, ...headers }, ...(payload && { payload }) })).headers;
  const inline = { weights: { W_x: [[0.5]], W_h: [[0.8]] } };
  const key = { 'idempotency-key': 'create-1' };
  const created = await call('POST', '/v1/sessions', inline, key);
  const session = String(created.location).split('/').at(-1)!;
  const file = { accept: 'application/vnd.carryover.safetensors' };
  const seen = [
    created,
    await call('POST', '/v1/sessions', inline, key),
    await call('GET', `/v1/sessions/${session}`),
    await call('POST', '/v1/step', { session, x: [[1]] }, file),
    await call('POST', '/v1/sequence', { ...inline, x: [[[1]]] }, file),
    await call('POST', '/v1/models', inline),
    await call('DELETE', '/v1/step'),
    await call('GET', '/nowhere'),
    await call('DELETE', `/v1/sessions/${session}`),
  ];
  const names = new Set(seen.flatMap((headers) => Object.keys(headers)).filter((name) => !NOT_EXPOSED.test(name)));
  expect([...names]).toEqual(expect.arrayContaining(['etag', 'location', 'server-timing', 'idempotency-replayed', 'allow']));
  const exposed = String(created['access-control-expose-headers']).split(', ');
  expect([...names].filter((name) => !exposed.includes(name))).toEqual([]);
});
