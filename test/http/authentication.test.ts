// Who may call what: keys, tokens and scopes, decided before a body is read and before a WebSocket is accepted.
import type { AddressInfo } from 'node:net';
import { randomBytes, randomInt } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { newKey } from '../../src/access/api-key.ts';
import { buildApp } from '../helpers/app.ts';
import { makeKeys, startIssuer } from '../helpers/access.ts';
import { count } from '../helpers/long.ts';
import { RawClient, eventually } from '../helpers/raw-client.ts';
import { StreamClient } from '../helpers/stream-client.ts';

const WEIGHTS = { W_x: [[0.5, -0.25]], W_h: [[0.1, 0.2], [-0.3, 0.4]] };
const STEP = { weights: WEIGHTS, x: [[1]] };

const keys = makeKeys();
const issuer = await startIssuer();
const all = keys.add('a');
const computeOnly = keys.add('a', ['compute']);
const modelsOnly = keys.add('a', ['models']);
const sessionsOnly = keys.add('a', ['sessions']);
const admin = keys.add('a', ['admin']);
const expired = keys.add('a', ['admin'], { expires_at: '2020-01-01T00:00:00Z' });

const app = await buildApp({
  API_KEYS_FILE: keys.path,
  JWT_ISSUER: issuer.issuer,
  JWT_AUDIENCE: issuer.audience,
  BODY_BYTES_MAX: '100000',
});
let port: number;
beforeAll(async () => {
  await app.http.listen({ port: 0 });
  ({ port } = app.http.server.address() as AddressInfo);
});

const bearer = (secret: string) => ({ authorization: `Bearer ${secret}` });

function call(method: 'GET' | 'POST' | 'PUT' | 'DELETE', url: string, headers: Record<string, string>, body?: object) {
  return app.http.inject({ method, url, headers: { ...headers }, ...(body && { payload: body }) });
}

/** Every route of the OpenAPI document, with a body that it would take. */
async function protectedRoutes() {
  const { body } = await app.http.inject('/openapi.json');
  const { paths } = JSON.parse(body) as { paths: Record<string, Record<string, { security?: object[] }>> };
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods)
      .filter(([, { security = [] }]) => security.length > 0)
      .map(([method]) => ({ method: method.toUpperCase() as 'GET', url: path.replace(/\{\w+\}/, 'x') })),
  );
}

describe('a key or a token', () => {
  test('is needed for every route that the document does not call public', async () => {
    const routes = await protectedRoutes();
    expect(routes.length).toBeGreaterThanOrEqual(15);
    for (const { method, url } of routes) {
      const answer = await call(method, url, {});
      expect(answer.statusCode, `${method} ${url}`).toBe(401);
      expect(answer.headers['www-authenticate']).toBe('Bearer realm="carryover"');
      // The Open Inference Protocol has errors of its own form.
      const { code, detail, error = `${code}: ${detail}` } = answer.json<Record<string, string>>();
      expect(error).toMatch(url.startsWith('/v2') ? /x-api-key/ : /^unauthenticated: .*x-api-key/);
    }
  });

  test('is not needed for probes, documentation and what is not there', async () => {
    for (const url of ['/health/live', '/health/ready', '/docs/', '/openapi.json', '/problems', '/']) {
      expect((await call('GET', url, {})).statusCode, url).toBe(200);
    }
    expect((await call('GET', '/v1/none', {})).statusCode).toBe(404);
    expect((await call('DELETE', '/v1/step', {})).statusCode).toBe(405);
  });

  test('may come in either header, and in both if they agree', async () => {
    for (const headers of [bearer(all), { authorization: `bearer  ${all} ` }, { 'x-api-key': all }, { ...bearer(all), 'x-api-key': all }]) {
      expect((await call('POST', '/v1/step', headers as never, STEP)).statusCode).toBe(200);
    }
    const differing = await call('POST', '/v1/step', { ...bearer(all), 'x-api-key': admin }, STEP);
    expect(differing.json()).toMatchObject({ status: 401, detail: expect.stringContaining('several that differ') });
    const wrong: [Record<string, string>, string][] = [
      [{ authorization: `Basic ${all}` }, 'another form of Authorization'],
      [{ authorization: 'Bearer ' }, 'an empty one'],
      [{ 'x-api-key': '' }, 'an empty one'],
      [{}, 'none'],
    ];
    for (const [headers, got] of wrong) {
      const refused = await call('POST', '/v1/step', headers, STEP);
      expect(refused.json()).toMatchObject({ status: 401, detail: expect.stringContaining(`got ${got}.`) });
    }
  });

  test('a token is as good as a key', async () => {
    const token = await issuer.token();
    expect((await call('POST', '/v1/step', bearer(token), STEP)).statusCode).toBe(200);
    expect((await call('POST', '/v1/step', { 'x-api-key': token }, STEP)).statusCode).toBe(200);
    const narrow = await issuer.token({ scope: 'models' });
    expect((await call('POST', '/v1/step', bearer(narrow), STEP)).statusCode).toBe(403);
  });

  test('is good from when its file has it until the file has it no more', async () => {
    const late = keys.add('late');
    await eventually(async () => (await call('GET', '/v1/models', bearer(late))).statusCode === 200);
    keys.revoke('late');
    await eventually(async () => (await call('GET', '/v1/models', bearer(late))).statusCode === 401);
    expect((await call('GET', '/v1/models', bearer(all))).statusCode).toBe(200);
  });
});

test('a scope opens its routes and no others', async () => {
  const scopes = { compute: computeOnly, models: modelsOnly, sessions: sessionsOnly, admin };
  const needs: [string, 'GET' | 'POST', string, object?][] = [
    ['compute', 'POST', '/v1/step', STEP],
    ['compute', 'POST', '/v1/sequence', { weights: WEIGHTS, x: [[[1]]] }],
    ['models', 'GET', '/v1/models'],
    ['models', 'POST', '/v1/models', { weights: WEIGHTS }],
    ['sessions', 'GET', '/v1/sessions'],
    ['sessions', 'POST', '/v1/sessions', { weights: WEIGHTS }],
  ];
  for (const [scope, method, url, body] of needs) {
    for (const [name, key] of Object.entries(scopes)) {
      const { statusCode, headers, body: text } = await call(method, url, bearer(key), body);
      const isAllowed = name === scope || name === 'admin';
      expect(statusCode < 300, `${name}: ${method} ${url}: ${text}`).toBe(isAllowed);
      if (isAllowed) continue;
      expect(JSON.parse(text)).toMatchObject({ code: 'forbidden', detail: expect.stringContaining(`the scope ${scope}`) });
      expect(headers['www-authenticate']).toContain('insufficient_scope');
    }
  }
});

test('a computation on a session needs both scopes, wherever the session is named', async () => {
  const created = await call('POST', '/v1/sessions', bearer(all), { weights: WEIGHTS });
  const { id } = created.json();
  for (const key of [computeOnly, sessionsOnly]) {
    const inBody = await call('POST', '/v1/step', bearer(key), { session: id, x: [[1]] });
    const inHeader = await call('POST', '/v1/step', { ...bearer(key), 'x-session-id': id }, { x: [[1]] });
    expect(inHeader.json()).toMatchObject({ code: 'forbidden', applied: 'no' });
    expect(inBody.json().code).toBe('forbidden');
    // Without the scope for the route its body, which names the session, is not read.
    expect(inBody.json().applied).toBe(key === computeOnly ? 'no' : undefined);
  }
  const read = await call('GET', `/v1/sessions/${id}`, bearer(all));
  expect(read.json().t).toBe(0);
});

/** A request whose body never comes: an answer shows that it was not waited for. */
async function answerBeforeBody(headers: string, path = '/v1/step') {
  const client = new RawClient(port, `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${headers}Content-Length: 90000\r\n\r\n`);
  const answer = await client.answer();
  client.socket.destroy();
  return answer;
}

test('who is refused is refused before a byte of the body is taken', async () => {
  expect((await answerBeforeBody('')).status).toBe(401);
  expect((await answerBeforeBody(`Authorization: Bearer ${newKey().key}\r\n`)).status).toBe(401);
  expect((await answerBeforeBody(`Authorization: Bearer ${modelsOnly}\r\n`)).status).toBe(403);
  expect((await answerBeforeBody(`x-session-id: x\r\nAuthorization: Bearer ${computeOnly}\r\n`)).status).toBe(403);
  const continued = await answerBeforeBody('Expect: 100-continue\r\n');
  expect(continued.status, 'no 100 Continue').toBe(401);
});

test('several headers are refused, whichever of them is right: a proxy may have looked at another', async () => {
  for (const lines of [
    `Authorization: Bearer ${all}\r\nauthorization: Bearer x\r\n`,
    `Authorization: Bearer x\r\nAuthorization: Bearer ${all}\r\n`,
    `x-api-key: ${all}\r\nX-Api-Key: ${all}\r\n`,
  ]) {
    expect((await answerBeforeBody(lines)).status, lines).toBe(401);
  }
});

test('what a refused request has in its body is not taken for a request, and the next one is answered by its own key', async () => {
  const request = (headers: string, body: string) =>
    `POST /v1/step HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${headers}Content-Length: ${body.length}\r\n\r\n${body}`;
  const good = request(`x-api-key: ${all}\r\n`, JSON.stringify(STEP));
  const client = new RawClient(port, `${request('', good)}${good}${request('', JSON.stringify(STEP))}`);
  const statuses = [];
  for (const k of [0, 1, 2]) statuses.push((await client.answer(k)).status);
  client.socket.destroy();
  expect(statuses).toEqual([401, 200, 401]);
});

test('thousands of wrong, expired, truncated and replayed keys and tokens: none in, and no body is read', async () => {
  const token = await issuer.token();
  const [head, , signature] = token.split('.');
  const foreign = await issuer.token({ tenant: 'b' });
  const wrong: (() => string | Promise<string>)[] = [
    () => newKey().key,
    () => `${all.slice(0, 27)}${randomBytes(32).toString('base64url')}`,
    () => all.slice(0, randomInt(all.length)),
    () => `${all}A`,
    () => all.toUpperCase(),
    () => expired,
    () => randomBytes(48).toString('base64url'),
    () => token.slice(0, randomInt(token.length)),
    () => `${head}.${foreign.split('.')[1]}.${signature}`,
    () => issuer.token({ exp: Math.floor(Date.now() / 1_000) - 60 }),
    () => issuer.token({ aud: 'another' }),
    () => issuer.forgedToken(),
  ];
  const total = count('WRONG_KEYS', { short: 600, long: 10_000 });
  let bytesRead = 0;
  for (let k = 0; k < total; k++) {
    const secret = await wrong[k % wrong.length]!();
    const isHeader = k % 2 === 0;
    const headers = isHeader ? { 'x-api-key': secret } : { authorization: `Bearer ${secret}` };
    const answer = await app.http.inject({
      method: 'POST',
      url: '/v1/step',
      headers: { ...headers, 'content-type': 'application/json' },
      payload: new ReadableStream({
        pull(controller) {
          bytesRead++;
          controller.enqueue(Buffer.from(JSON.stringify(STEP)));
          controller.close();
        },
      }, { highWaterMark: 0 }) as never,
    });
    expect(answer.statusCode, `${k % wrong.length}: ${secret.slice(0, 30)}`).toBe(401);
  }
  expect(bytesRead).toBe(0);
});

describe('a WebSocket', () => {
  let id: string;
  beforeAll(async () => {
    id = (await call('POST', '/v1/sessions', bearer(all), { weights: WEIGHTS })).json().id;
  });
  const url = () => `ws://127.0.0.1:${port}/v1/sessions/${id}/stream`;

  test('is not accepted without a key, with a wrong one, or without both scopes', async () => {
    const secrets = [undefined, newKey().key, computeOnly, sessionsOnly, modelsOnly];
    for (const [k, secret] of secrets.entries()) {
      const client = new RawClient(
        port,
        `GET /v1/sessions/${id}/stream HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
          `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n` +
          `${secret === undefined ? '' : `x-api-key: ${secret}\r\n`}\r\n`,
      );
      expect((await client.answer()).status).toBe(k < 2 ? 401 : 403);
      expect(await client.closedWithin(5_000), 'closed by the service').toBe(true);
    }
  });

  test('takes the key from a header, or from a subprotocol where a browser cannot set headers', async () => {
    const { client, greeting } = await StreamClient.connect(url(), { headers: bearer(all) });
    expect(greeting.session.id).toBe(id);
    await client.close();
    const socket = new WebSocket(url(), ['carryover', `bearer.${all}`]);
    await new Promise((resolve, reject) => {
      socket.addEventListener('message', resolve, { once: true });
      socket.addEventListener('error', reject, { once: true });
    });
    expect(socket.protocol).toBe('carryover');
    socket.close();
  });

  test('is closed when its key was revoked, at the next message or without one, and no step is taken', async () => {
    const late = keys.add('a', ['compute', 'sessions'], { note: 'late' });
    await eventually(async () => (await call('GET', '/v1/sessions', bearer(late))).statusCode === 200);
    const { client } = await StreamClient.connect(url(), { headers: bearer(late) });
    const { client: idle } = await StreamClient.connect(url(), { headers: bearer(late) });
    expect(await client.ask({ x: [[1]] })).toMatchObject({ session: { id } });
    const before = (await call('GET', `/v1/sessions/${id}`, bearer(all))).json().t;
    keys.revoke('a');
    await eventually(async () => (await call('GET', '/v1/sessions', bearer(late))).statusCode === 401);
    // At its next message, or without one: whichever comes first.
    client.send({ x: [[1]] });
    expect(await client.nextJson()).toMatchObject({ error: { code: 'unauthenticated' } });
    expect((await client.closed).code).toBe(4401);
    expect((await idle.closed).code).toBe(4401);
    const again = keys.add('a');
    await eventually(async () => (await call('GET', '/v1/sessions', bearer(again))).statusCode === 200);
    expect((await call('GET', `/v1/sessions/${id}`, bearer(again))).json().t).toBe(before);
  });
});

test('a token is checked with an issuer that is down: 503, and keys stay good', async () => {
  const down = await buildApp({ API_KEYS_FILE: keys.path, JWT_ISSUER: 'http://127.0.0.1:1', JWT_AUDIENCE: 'x' });
  const key = keys.add('c');
  await eventually(async () => (await down.http.inject({ url: '/v1/models', headers: bearer(key) })).statusCode === 200);
  const answer = await down.http.inject({ url: '/v1/models', headers: bearer(await issuer.token()) });
  expect(answer.statusCode).toBe(503);
  expect(answer.headers['retry-after']).toBe('5');
  expect(answer.json()).toMatchObject({ code: 'access_unavailable' });
});

test('the document says what each route needs, and that nothing is needed where nothing is configured', async () => {
  const step = async (server: typeof app) => JSON.parse((await server.http.inject('/openapi.json')).body).paths['/v1/step'].post;
  expect((await step(app)).security).toEqual([{ bearer: ['compute'] }, { apiKey: ['compute'] }]);
  expect(Object.keys((await step(app)).responses)).toEqual(expect.arrayContaining(['401', '403']));
  const open = await buildApp();
  expect((await step(open)).security).toEqual([{ bearer: ['compute'] }, { apiKey: ['compute'] }, {}]);
});
