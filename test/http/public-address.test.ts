// The service behind a path: requests with and without it, and every address that is sent.
import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import { describe, expect, test } from 'vitest';
import { readConfig } from '../../src/config.ts';
import { PublicAddress, authorityOf } from '../../src/http/public-address.ts';
import { OWN_SEGMENTS, readPublicUrl } from '../../src/settings/public-address.ts';
import { buildApp } from '../helpers/app.ts';
import { RawClient } from '../helpers/raw-client.ts';
import { requestText } from '../helpers/request-text.ts';
import { StreamClient } from '../helpers/stream-client.ts';

const STEP = { weights: { W_x: [[0.5]], W_h: [[0.8]] }, x: [[1]] };

test('no path of the service itself, by the routes that it registers, can be BASE_PATH', async () => {
  const firsts = new Set<string>();
  const collect = fp((app: FastifyInstance) => {
    app.addHook('onRoute', ({ url }) => void firsts.add(url.split('/')[1] ?? ''));
  });
  await buildApp({}, { plugin: collect });
  // What is at / and what matches any address begin with no word of their own.
  const segments = [...firsts].filter((segment) => segment !== '' && segment !== '*');
  expect(segments.toSorted()).toEqual(OWN_SEGMENTS.toSorted());
  for (const segment of segments) {
    expect(() => readConfig({ BASE_PATH: `/${segment}` })).toThrow(/BASE_PATH must not begin like the service's own paths/);
    expect(() => readConfig({ PUBLIC_URL: `https://example.org/${segment}/x` })).toThrow(/PUBLIC_URL must not begin like/);
  }
});

describe('the target of a request', () => {
  const behind = new PublicAddress('/ml/rnn', undefined);
  test.each([
    ['/ml/rnn/v1/step', '/v1/step'],
    ['/ml/rnn/v1/models?limit=1', '/v1/models?limit=1'],
    ['/ml/rnn', '/'],
    ['/ml/rnn/', '/'],
    ['/ml/rnn?x=/ml/rnn', '/?x=/ml/rnn'],
    ['/ml/rnn/ml/rnn/v1/step', '/ml/rnn/v1/step'],
    ['/ml/rnn//v1/step', '//v1/step'],
    ['/%6Dl/rn%6e/v1/step', '/v1/step'],
    ['/%6Dl/rnn?x', '/?x'],
    // The gateway has stripped it, or the client came without one.
    ['/v1/step', '/v1/step'],
    ['/health/live', '/health/live'],
    ['/', '/'],
    // Other paths.
    ['/ml/rnnfoo/v1/step', '/ml/rnnfoo/v1/step'],
    ['/ml/rnn%2Fv1/step', '/ml/rnn%2Fv1/step'],
    ['/ml%2Frnn/v1/step', '/ml%2Frnn/v1/step'],
    ['/%6Dl/rnnfoo/v1', '/%6Dl/rnnfoo/v1'],
    ['/ml/v1/step', '/ml/v1/step'],
    ['//ml/rnn/v1/step', '//ml/rnn/v1/step'],
    ['/ML/RNN/v1/step', '/ML/RNN/v1/step'],
    ['/x?/ml/rnn/v1', '/x?/ml/rnn/v1'],
    ['/%/rnn/v1', '/%/rnn/v1'],
    ['/ml/%/v1', '/ml/%/v1'],
    ['/%6Dl', '/%6Dl'],
    // Absolute form.
    ['http://example.org/ml/rnn/v1/step', '/v1/step'],
    ['HTTP://example.org/v1/step?x', '/v1/step?x'],
    ['https://example.org', '/'],
    ['https://example.org?x', '/?x'],
    ['*', '*'],
    ['', ''],
    ['ml/rnn', 'ml/rnn'],
  ])('%s is %s', (target, path) => {
    expect(behind.ownPath(target)).toBe(path);
  });

  test('without a path it stays as it is, in absolute form without its host', () => {
    const direct = new PublicAddress('', undefined);
    for (const target of ['/v1/step', '/ml/rnn/v1', '//v1', '/?x', '*', '/a%2Fb']) expect(direct.ownPath(target)).toBe(target);
    expect(direct.ownPath('http://example.org/v1/step')).toBe('/v1/step');
    expect([authorityOf('http://a.example:8/x'), authorityOf('/http://a.example'), authorityOf('*')]).toEqual(['a.example:8', undefined, undefined]);
  });
});

describe.each([
  ['BASE_PATH', { BASE_PATH: '/ml/rnn' }, '/ml/rnn', [{ url: '/ml/rnn' }]],
  [
    'PUBLIC_URL',
    { PUBLIC_URL: 'https://example.org/ml/rnn' },
    'https://example.org/ml/rnn',
    [{ url: 'https://example.org/ml/rnn' }, { url: '/ml/rnn', description: 'Where this document is' }],
  ],
])('with %s', async (_, environment, base, servers) => {
  const app = await buildApp(environment);
  await app.http.listen({ port: 0, host: '127.0.0.1' });
  const { port } = app.http.server.address() as { port: number };

  // As a gateway passes it that keeps the path, and as one that strips it.
  describe.each(['/ml/rnn', ''])('a request with the path %j', (prefix) => {
    const get = (path: string) => app.http.inject(`${prefix}${path}`);

    test('is served, with right addresses', async () => {
      expect((await app.post(`${prefix}/v1/step`, STEP)).status).toBe(200);
      const model = await app.post(`${prefix}/v1/models`, { weights: STEP.weights });
      expect(model.headers.location).toBe(`/ml/rnn/v1/models/${model.body.id}`);
      expect((await app.http.inject(String(model.headers.location))).statusCode).toBe(200);
      const session = await app.post(`${prefix}/v1/sessions`, { weights: STEP.weights });
      expect(session.headers.location).toBe(`/ml/rnn/v1/sessions/${session.body.id}`);
      expect((await app.http.inject(String(session.headers.location))).json()).toMatchObject({ id: session.body.id });
    });

    test('is served with its problems', async () => {
      const problem = (await get('/v1/nothing')).json();
      expect(problem.type).toBe(`${base}/problems#not_found`);
      expect(problem.detail).toBe(`Nothing is served at GET ${prefix}/v1/nothing; GET /ml/rnn/docs lists the addresses.`);
      expect((await get('/problems')).body).toContain('id="not_found"');
      const call = await app.http.inject({ method: 'DELETE', url: `${prefix}/v1/sessions/AAAAAAAAAAAAAAAAAAAAAA` });
      expect(call.json()).toMatchObject({ code: 'session_not_found', applied: 'no', type: `${base}/problems#session_not_found` });
    });

    test('is served with the index, the documentation and its files', async () => {
      expect((await get('/')).json()).toMatchObject({ docs: '/ml/rnn/docs', openapi: '/ml/rnn/openapi.json', health: '/ml/rnn/health/ready' });
      for (const path of ['/openapi.json', '/docs/json', '/docs/yaml']) expect((await get(path)).json().servers).toEqual(servers);
      for (const address of ['/docs', '/docs/', '/problems']) {
        const { body } = await get(address);
        const files = [...body.matchAll(/<(?:script|link)[^>]* (?:src|href)="([^"]+)"/g)].map(([, file]) => file!);
        expect(files.length).toBeGreaterThan(2);
        for (const file of files) {
          // Relative, so that a browser finds it where it found the page.
          const { pathname } = new URL(file, `http://localhost${prefix}${address}`);
          expect((await app.http.inject(pathname)).statusCode, pathname).toBe(200);
        }
      }
      expect((await get('/docs/static/index.html')).headers.location).toBe('/ml/rnn/docs/');
    });

    test('is a WebSocket', async () => {
      const { id } = (await app.post('/v1/sessions', { weights: STEP.weights })).body;
      const { client, greeting } = await StreamClient.connect(`ws://127.0.0.1:${port}${prefix}/v1/sessions/${id}/stream`);
      expect(greeting.session).toMatchObject({ id, t: 0 });
      expect((await client.ask({ y: 1 })).error.type).toBe(`${base}/problems#invalid_request`);
      await client.close();
    });
  });

  test('the probes are where they are without a gateway', async () => {
    for (const path of ['/health/live', '/health/ready']) expect((await app.http.inject(path)).statusCode).toBe(200);
  });

  test('a path that only begins like it is unknown', async () => {
    for (const url of ['/ml/rnnfoo/v1/models', '/ml', '/ml/rnn//v1/models', '//ml/rnn/v1/models']) {
      expect((await app.http.inject({ url: `http://localhost${url}` })).statusCode, url).toBe(404);
    }
  });

  test('a problem that is written on the socket has the address, too', async () => {
    const { body } = await new RawClient(port, 'NONSENSE / HTTP/1.1\r\n\r\n').answer();
    expect(JSON.parse(body).type).toBe(`${base}/problems#invalid_request`);
  });

  test('a repeated call is answered by the same address', async () => {
    const create = () => app.http.inject({ method: 'POST', url: '/v1/sessions', headers: { 'idempotency-key': 'k' }, payload: { weights: STEP.weights } });
    const [first, again] = [await create(), await create()];
    expect(again.headers['idempotency-replayed']).toBe('true');
    expect(again.headers.location).toBe(first.headers.location);
    expect(first.headers.location).toMatch(/^\/ml\/rnn\/v1\/sessions\//);
  });

  test('X-Forwarded-Host, -Proto and -Prefix change no address', async () => {
    const trusting = await buildApp({ ...environment, TRUST_PROXY: 'true' });
    const headers = { 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'gopher', 'x-forwarded-prefix': '/evil', 'content-type': 'application/json' };
    const created = await trusting.http.inject({ method: 'POST', url: '/v1/sessions', headers, payload: { weights: STEP.weights } });
    const others = await Promise.all(['/', '/docs', '/docs/static/index.html', '/openapi.json', '/nowhere'].map((url) => trusting.http.inject({ url, headers })));
    for (const response of [created, ...others]) expect(JSON.stringify(response.headers) + response.body).not.toMatch(/evil|gopher/);
    expect(created.statusCode).toBe(201);
  });
});

test('a request in absolute form is known as a call on a session', async () => {
  const app = await buildApp();
  await app.http.listen({ port: 0, host: '127.0.0.1' });
  const { port } = app.http.server.address() as { port: number };
  const { status, body } = await new RawClient(port, requestText('DELETE', 'http://localhost/v1/sessions/x', {})).answer();
  expect([status, JSON.parse(body)]).toEqual([404, expect.objectContaining({ applied: 'no', type: '/problems#session_not_found' })]);
});

test('an address of the root has no path', () => {
  const root = new PublicAddress('', readPublicUrl('https://example.org/'));
  expect([root.basePath, root.pathOf('/docs'), root.problemType('not_found'), root.servers[0]]).toEqual([
    '',
    '/docs',
    'https://example.org/problems#not_found',
    { url: 'https://example.org' },
  ]);
});
