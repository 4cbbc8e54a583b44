// DNS rebinding: a page of another site whose name points to this service. Its requests are of the page's own origin, so
// nothing but the name in them tells them from others.
import { describe, expect, test } from 'vitest';
import { RawClient } from '../helpers/raw-client.ts';
import { requestText } from '../helpers/request-text.ts';
import { STEP, listen, stepRequest } from './connections/server.ts';
import { exchange, handshake, problemOf } from './websocket/server.ts';

const local = await listen();
const named = await listen({ ALLOWED_HOSTS: 'rnn.example.org,carryover:8080', PUBLIC_URL: 'https://public.example/rnn' });
const reachable = await listen({ HOST: '0.0.0.0', ALLOW_ANONYMOUS: 'true' });

const statusAt = async ({ port }: { port: number }, host: string, path = '/v1/models') =>
  (await new RawClient(port, requestText('GET', path, { host })).answer()).status;

describe('a service of this machine only', () => {
  test.each(['localhost', 'localhost:8080', 'LOCALHOST', 'localhost.', 'app.localhost:1', '127.0.0.1', '127.0.0.2:80', '[::1]:8080', '10.1.2.3', '[fd00::1]', '127.1'])(
    'is addressed as %s',
    async (host) => expect(await statusAt(local, host)).toBe(200),
  );

  test.each(['evil.example', 'evil.example:8080', 'localhost.evil.example', '127.0.0.1.evil.example', 'evil-localhost', 'user@localhost', 'localhost/', 'a b', '[::1'])(
    'is not addressed as %s',
    async (host) => {
      const { status, headers, body } = await new RawClient(local.port, requestText('GET', '/v1/models', { host })).answer();
      expect([status, headers['content-type']]).toEqual([421, 'application/problem+json; charset=utf-8']);
      expect(JSON.parse(body)).toMatchObject({ code: 'misdirected_request', detail: expect.stringContaining('ALLOWED_HOSTS') });
    },
  );

  test('is refused before the body is read', async () => {
    const { status } = await new RawClient(local.port, stepRequest({ host: 'evil.example', 'content-length': 1_000_000 }, STEP)).answer();
    expect(status).toBe(421);
  });

  test('is refused for a preflight and for a WebSocket, too', async () => {
    const ask = { host: 'evil.example', origin: 'http://evil.example', 'access-control-request-method': 'POST' };
    expect((await new RawClient(local.port, requestText('OPTIONS', '/v1/step', ask)).answer()).status).toBe(421);
    const upgrade = handshake('/v1/sessions/AAAAAAAAAAAAAAAAAAAAAA/stream', { host: 'evil.example', origin: 'http://evil.example' });
    const startMs = performance.now();
    expect(problemOf(await exchange(local.port, upgrade))).toMatchObject({ status: 421, body: { code: 'misdirected_request' } });
    // Its connection is closed; exchange() would give up after three seconds.
    expect(performance.now() - startMs).toBeLessThan(2_500);
  });

  test('answers about its health whatever it is called', async () => {
    expect(await statusAt(local, 'evil.example', '/health/live')).toBe(200);
    expect(await statusAt(local, 'evil.example', '/healthy')).toBe(421);
    expect(await statusAt(local, 'evil.example', '/v1/models?x=/health/')).toBe(421);
  });

  test('answers a client of HTTP/1.0, which may name no host', async () => {
    const { status } = await new RawClient(local.port, 'GET /v1/models HTTP/1.0\r\n\r\n').answer();
    expect(status).toBe(200);
  });

  test('of a target with a host, that host counts', async () => {
    const statusOf = async (target: string, host: string) => (await new RawClient(local.port, requestText('GET', target, { host })).answer()).status;
    expect(await statusOf('http://evil.example/v1/models', 'localhost')).toBe(421);
    expect(await statusOf('http://localhost/v1/models', 'evil.example')).toBe(200);
    expect(await statusOf('http://localhost/v1/sessions/x', 'localhost')).toBe(404);
  });

  test('X-Forwarded-Host does not count', async () => {
    const trusting = await listen({ TRUST_PROXY: 'true' });
    const headers = { host: 'evil.example', 'x-forwarded-host': 'localhost', 'x-forwarded-proto': 'https' };
    expect((await new RawClient(trusting.port, requestText('GET', '/v1/models', headers)).answer()).status).toBe(421);
  });
});

describe('ALLOWED_HOSTS', () => {
  test.each(['rnn.example.org', 'RNN.Example.Org.:9', 'carryover:8080', 'public.example', 'public.example:8443', '127.0.0.1:1', 'localhost'])('%s', async (host) => {
    expect(await statusAt(named, host)).toBe(200);
  });

  test.each(['carryover', 'carryover:80', 'example.org', 'x.rnn.example.org', 'rnn.example.org.evil.example'])('not %s', async (host) => {
    expect(await statusAt(named, host)).toBe(421);
  });

  test('a service that other machines reach knows not by which names, unless it is told', async () => {
    expect(await statusAt(reachable, 'whatever.example')).toBe(200);
    expect(await statusAt(await listen({ ALLOWED_HOSTS: '*' }), 'whatever.example')).toBe(200);
  });
});
