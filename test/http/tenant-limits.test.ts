// The limits of tenants and keys, each by itself: what is refused, with which headers, and that nobody else is.
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { WebSocket } from 'ws';
import type { KeyEntry, TenantLimits } from '../../src/access/keys-file.ts';
import { buildApp } from '../helpers/app.ts';
import { writeKeys } from '../helpers/keys.ts';
import { RawClient } from '../helpers/raw-client.ts';

const STEP = { model: 'sunspots', x: [[0.5]] };

interface Options {
  readonly limits?: TenantLimits;
  readonly ofKeys?: Partial<KeyEntry>;
  readonly env?: Record<string, string>;
}

/** A service with the tenants `a`, whose limits are given, and `b`, which has none. */
async function serve({ limits = {}, ofKeys = {}, env = {} }: Options) {
  const keys = writeKeys(['a', 'b'], { a: limits }, ofKeys);
  const app = await buildApp({ API_KEYS_FILE: keys.file, ...env });
  const [a, b] = keys.keys as [string, string];
  const call = async (key: string, method: 'GET' | 'POST' | 'PUT' | 'DELETE', url: string, payload?: object, more = {}) => {
    const headers = { authorization: `Bearer ${key}`, ...more };
    const response = await app.http.inject({ method, url, headers, ...(payload && { payload }) });
    return { status: response.statusCode, headers: response.headers, body: response.body === '' ? {} : response.json() };
  };
  const listen = async () => {
    await app.http.listen({ host: '127.0.0.1', port: 0 });
    return (app.http.server.address() as AddressInfo).port;
  };
  return { a, b, app, keys, call, listen, step: (key: string) => call(key, 'POST', '/v1/step', STEP) };
}

const LIMITED = { status: 429, body: { code: 'rate_limited' } };

describe('requests a second', () => {
  test('beyond the burst are refused with what must be waited for, and admitted after that', async () => {
    const { a, b, step } = await serve({ limits: { requests_per_s: 0.5 } });
    await step(b);
    const first = await step(a);
    expect([first.status, first.headers.ratelimit, first.headers['ratelimit-policy']]).toEqual([
      200,
      '"requests";r=0;t=2',
      '"requests";q=1;w=2',
    ]);
    const refused = await step(a);
    expect(refused).toMatchObject(LIMITED);
    expect(refused.headers).toMatchObject({ 'retry-after': '2', ratelimit: '"requests";r=0;t=2' });
    expect(refused.body.detail).toContain('0.5 requests a second');
    for (let k = 0; k < 20; k++) expect((await step(b)).status).toBe(200);
    expect((await step(b)).headers).not.toHaveProperty('ratelimit');
    await sleep(1_000 * Number(refused.headers['retry-after']));
    expect((await step(a)).status).toBe(200);
  });

  test('are those of a key as well', async () => {
    const { a, step } = await serve({ limits: { requests_per_s: 100 }, ofKeys: { requests_per_s: 0.1 } });
    const first = await step(a);
    expect(first.headers.ratelimit).toMatch(/^"requests";r=99;t=1, "key-requests";r=0;t=10$/);
    expect(await step(a)).toMatchObject(LIMITED);
  });

  test('are limited by the settings where the file says nothing, also without keys', async () => {
    const { a, b, step } = await serve({ limits: { requests_per_s: 50 }, env: { TENANT_REQUESTS_PER_S: '1' } });
    for (let k = 0; k < 5; k++) expect((await step(a)).status).toBe(200);
    expect((await step(b)).status).toBe(200);
    expect(await step(b)).toMatchObject(LIMITED);
    const open = await buildApp({ TENANT_REQUESTS_PER_S: '1' });
    expect((await open.post('/v1/step', STEP)).status).toBe(200);
    expect(await open.post('/v1/step', STEP)).toMatchObject(LIMITED);
    expect((await open.http.inject('/health/live')).statusCode).toBe(200);
    const unlimited = await buildApp();
    for (let k = 0; k < 5; k++) expect((await unlimited.post('/v1/step', STEP)).headers).not.toHaveProperty('ratelimit');
  });

  test('follow the file when it changes', async () => {
    const { a, keys, step } = await serve({ limits: { requests_per_s: 0.1 } });
    await step(a);
    expect(await step(a)).toMatchObject(LIMITED);
    keys.setLimits({});
    await expect.poll(async () => (await step(a)).status, { timeout: 10_000 }).toBe(200);
    for (let k = 0; k < 5; k++) expect((await step(a)).status).toBe(200);
  });

  test('are refused before the body is read', async () => {
    const { a, step, listen } = await serve({ limits: { requests_per_s: 0.1 } });
    const port = await listen();
    await step(a);
    const head = `POST /v1/step HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${a}\r\ncontent-type: application/json\r\n`;
    const client = new RawClient(port, `${head}content-length: 1000000\r\n\r\n{`);
    await expect.poll(() => client.answers[0]?.status, { timeout: 5_000 }).toBe(429);
  });

  test('are those of messages of a WebSocket too, which stays open', async () => {
    const { a, call, listen } = await serve({ limits: { requests_per_s: 4 } });
    const port = await listen();
    const { body } = await call(a, 'POST', '/v1/sessions', { model: 'sunspots' });
    const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/sessions/${body.id}/stream`, {
      headers: { authorization: `Bearer ${a}` },
    });
    onTestFinished(() => socket.terminate());
    const received: { error?: { code: string; retry_after_s: number; status: number }; h?: unknown }[] = [];
    socket.on('message', (data: Buffer) => received.push(JSON.parse(data.toString())));
    await expect.poll(() => received.length).toBe(1);
    for (let k = 0; k < 8; k++) socket.send(JSON.stringify({ x: [[0.5]] }));
    await expect.poll(() => received.length).toBe(9);
    const refused = received.filter(({ error }) => error);
    expect(refused.length).toBeGreaterThan(2);
    expect(refused.length).toBeLessThan(8);
    expect(refused[0]!.error).toMatchObject({ code: 'rate_limited', status: 429, retry_after_s: 1 });
    await sleep(1_000);
    socket.send(JSON.stringify({ x: [[0.5]] }));
    await expect.poll(() => received.length).toBe(10);
    expect(received.at(-1)).toHaveProperty('h');
  });
});

describe('operations a second', () => {
  const weights = { W_x: [[0.5]], W_h: [[0.5]] };
  const sequence = (T: number) => ({ weights, x: Array.from({ length: T }, () => [[0.5]]) });

  test('are a debt that must be paid before the next request', async () => {
    const { a, b, call } = await serve({ limits: { flops_per_s: 1_000 } });
    const first = await call(a, 'POST', '/v1/sequence', sequence(400));
    expect(first.status).toBe(200);
    const refused = await call(a, 'POST', '/v1/step', STEP);
    expect(refused).toMatchObject(LIMITED);
    expect(refused.body.detail).toContain('1000 operations of computations a second');
    const waitS = Number(refused.headers['retry-after']);
    expect(waitS).toBeGreaterThanOrEqual(1);
    expect(refused.headers.ratelimit).toBe(`"operations";r=0;t=${waitS}`);
    expect(refused.headers['ratelimit-policy']).toBe('"operations";q=1000;qu="operations";w=1');
    expect((await call(b, 'POST', '/v1/sequence', sequence(400))).status).toBe(200);
    await sleep(waitS * 1_000);
    expect((await call(a, 'POST', '/v1/step', { weights, x: [[0.5]] })).status).toBe(200);
  });

  test('of requests at once are charged one after the other: the second is not computed', async () => {
    const { a, call } = await serve({ limits: { flops_per_s: 1_000 } });
    const both = await Promise.all([1, 2, 3].map(() => call(a, 'POST', '/v1/sequence', sequence(1_000))));
    expect(both.map(({ status }) => status).toSorted((x, y) => x - y)).toEqual([200, 429, 429]);
  });

  test('of a stream are charged at once', async () => {
    const { a, app, call } = await serve({ limits: { flops_per_s: 1_000 } });
    const headers = { authorization: `Bearer ${a}`, accept: 'application/x-ndjson' };
    const stream = await app.http.inject({ method: 'POST', url: '/v1/sequence', headers, payload: sequence(400) });
    expect([stream.statusCode, stream.body.trim().split('\n').length]).toEqual([200, 401]);
    expect(await call(a, 'POST', '/v1/step', STEP)).toMatchObject(LIMITED);
  });
});

describe('sessions and the bytes of their states', () => {
  const create = { model: 'sunspots' };

  test('of a tenant are at most as many as it may have, and those that end make room', async () => {
    const { a, b, call } = await serve({ limits: { sessions: 2 } });
    const ids: string[] = [];
    for (let k = 0; k < 2; k++) ids.push((await call(a, 'POST', '/v1/sessions', create)).body.id);
    const refused = await call(a, 'POST', '/v1/sessions', create);
    expect(refused).toMatchObject({ ...LIMITED, body: { code: 'rate_limited', applied: 'no' } });
    expect(refused.headers['retry-after']).toBe('10');
    expect(await call(a, 'POST', `/v1/sessions/${ids[0]}/fork`)).toMatchObject(LIMITED);
    for (let k = 0; k < 3; k++) expect((await call(b, 'POST', '/v1/sessions', create)).status).toBe(201);
    await call(a, 'DELETE', `/v1/sessions/${ids[0]}`);
    expect((await call(a, 'POST', `/v1/sessions/${ids[1]}/fork`)).status).toBe(201);
    expect(await call(a, 'POST', '/v1/sessions', create)).toMatchObject(LIMITED);
  });

  test('created at once are not more either; the same call again is answered as before', async () => {
    const { a, call } = await serve({ limits: { sessions: 3 } });
    const key = (k: number) => ({ 'idempotency-key': `k${k}` });
    const calls = await Promise.all(Array.from({ length: 9 }, (_, k) => call(a, 'POST', '/v1/sessions', create, key(k))));
    const created = calls.flatMap(({ status }, k) => (status === 201 ? [k] : []));
    expect(created).toHaveLength(3);
    const again = await call(a, 'POST', '/v1/sessions', create, key(created[0]!));
    expect([again.status, again.body.id]).toEqual([201, calls[created[0]!]!.body.id]);
  });

  test('count by bytes as well', async () => {
    const { a, call } = await serve({ limits: { state_bytes: 1_000 } });
    const sized = (N: number) => call(a, 'POST', '/v1/sessions', { weights: { W_x: [[0.5]], W_h: [[0.5]] }, N });
    expect((await sized(200)).status).toBe(201);
    const refused = await sized(100);
    expect(refused).toMatchObject(LIMITED);
    expect(refused.body.detail).toContain('1200 bytes of states, at most 1000');
    expect((await sized(50)).status).toBe(201);
  });

  test('that are there when the service starts are counted', async () => {
    const { a, call, app, keys } = await serve({});
    for (let k = 0; k < 3; k++) await call(a, 'POST', '/v1/sessions', create);
    keys.setLimits({ a: { sessions: 4 } });
    await expect
      .poll(async () => (await call(a, 'POST', '/v1/sessions', create)).status, { timeout: 10_000, interval: 300 })
      .toBe(429);
    expect(await app.store.count()).toBeGreaterThanOrEqual(4);
  });
});

test('names of models: at most as many as models; a name that is moved is no other', async () => {
  const { a, b, call } = await serve({ limits: { models: 2 } });
  const weights = (value: number) => ({ W_x: [[value]], W_h: [[value]] });
  const [one, two] = [weights(1), weights(2)];
  expect((await call(a, 'POST', '/v1/models', { weights: one, name: 'x' })).status).toBe(201);
  expect((await call(a, 'POST', '/v1/models', { weights: two, name: 'y' })).status).toBe(201);
  expect(await call(a, 'POST', '/v1/models', { weights: two, name: 'z' })).toMatchObject(LIMITED);
  expect(await call(a, 'PUT', '/v1/models/z', { model: 'x' })).toMatchObject(LIMITED);
  expect((await call(a, 'PUT', '/v1/models/y', { model: 'x' })).status).toBe(200);
  expect((await call(b, 'POST', '/v1/models', { weights: one, name: 'z' })).status).toBe(201);
  expect((await call(a, 'GET', '/v1/models/z')).status).toBe(404);
});

test('models: at most as many as the tenant may register; the same one again is no other', async () => {
  const { a, b, call } = await serve({ limits: { models: 1 } });
  const model = (value: number) => ({ weights: { W_x: [[value]], W_h: [[0.5]] } });
  expect((await call(a, 'POST', '/v1/models', model(1))).status).toBe(201);
  expect(await call(a, 'POST', '/v1/models', model(2))).toMatchObject(LIMITED);
  expect((await call(a, 'POST', '/v1/models', model(1))).status).toBe(200);
  for (const value of [1, 2, 3]) expect((await call(b, 'POST', '/v1/models', model(value))).status).toBe(201);
  const { body } = await call(a, 'GET', '/v1/models');
  const own = body.models.filter((one: { names: string[] }) => one.names.length === 0);
  expect(own).toHaveLength(1);
  expect((await call(a, 'DELETE', `/v1/models/${own[0].id}`)).status).toBe(204);
  expect((await call(a, 'POST', '/v1/models', model(2))).status).toBe(201);
});

test('streams and WebSockets: one more is refused, and admitted when another has ended', async () => {
  const { a, b, call, listen } = await serve({ limits: { streams: 1 } });
  const port = await listen();
  const open = async (key: string) => {
    const { body } = await call(key, 'POST', '/v1/sessions', { model: 'sunspots' });
    const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/sessions/${body.id}/stream`, {
      headers: { authorization: `Bearer ${key}` },
    });
    onTestFinished(() => socket.terminate());
    const status = await new Promise<number>((resolve) => {
      socket.once('open', () => resolve(101));
      socket.once('unexpected-response', (_, response) => resolve(response.statusCode!));
      socket.once('error', () => {});
    });
    return { socket, status };
  };
  const first = await open(a);
  expect([first.status, (await open(a)).status, (await open(b)).status, (await open(b)).status]).toEqual([101, 429, 101, 101]);
  const sequence = { model: 'sunspots', x: [[[0.5]]] };
  const stream = await call(a, 'POST', '/v1/sequence', sequence, { accept: 'application/x-ndjson' });
  expect(stream).toMatchObject(LIMITED);
  first.socket.close();
  await expect.poll(async () => (await open(a)).status).toBe(101);
});

test('bytes of bodies in flight: a body beyond them is refused, and others are not', async () => {
  const { a, b, call } = await serve({ limits: { body_bytes: 2_000 } });
  const long = { model: 'sunspots', x: Array.from({ length: 2_000 }, () => [[0.5]]) };
  expect(await call(a, 'POST', '/v1/sequence', long)).toMatchObject(LIMITED);
  expect((await call(b, 'POST', '/v1/sequence', long)).status).toBe(200);
  for (let k = 0; k < 50; k++) expect((await call(a, 'POST', '/v1/step', STEP)).status).toBe(200);
});
