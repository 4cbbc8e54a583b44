// Several clients, each on a connection of its own, and one worker: which requests are computed, and in which order.
import { once } from 'node:events';
import { Agent, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, expect, test } from 'vitest';
import { type TestApp, buildApp } from '../helpers/app.ts';

const [H, N, T] = [256, 64, 1_500];
const LONG = JSON.stringify({
  model: 'long',
  outputs: ['h'],
  x: Array.from({ length: T }, () => Array.from({ length: N }, () => [0.5])),
});
/** For a worker, not for the main thread. */
const SHORT = JSON.stringify({ model: 'long', x: Array.from({ length: N }, () => [0.5]) });

let app: TestApp;
let port: number;
let bytesIdle: number;

beforeAll(async () => {
  app = await buildApp({ WORKERS: '1' });
  await app.http.listen({ port: 0, host: '127.0.0.1' });
  ({ port } = app.http.server.address() as AddressInfo);
  const row = Array.from({ length: H }, (_, i) => Math.sin(i) / H);
  const weights = { W_x: [row], W_h: Array.from({ length: H }, () => row) };
  expect((await app.post('/v1/models', { name: 'long', weights })).status).toBe(201);
  expect((await app.post('/v1/sequence', LONG)).status).toBe(200);
  bytesIdle = app.memory.bytesUsed;
});

/** One client. */
function connect() {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const post = (path: string, body: string) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const request = httpRequest({ port, path, method: 'POST', agent, headers });
    request.end(body);
    return request;
  };
  const ask = async (path: string, body: string) => {
    const [response] = await once(post(path, body), 'response');
    response.resume();
    await once(response, 'end');
    return response.statusCode as number;
  };
  return { post, ask };
}

async function untilIdle(): Promise<void> {
  for (let i = 0; i < 500 && app.memory.bytesUsed > bytesIdle; i++) await sleep(10);
  expect(app.memory.bytesUsed).toBe(bytesIdle);
}

test('a short request does not wait for the long one of another client', async () => {
  const order: string[] = [];
  const greedy = connect();
  const long = greedy.ask('/v1/sequence', LONG).then((status) => order.push(`long ${status}`));
  while (app.pool.idleCount > 0) await sleep(1);
  const other = connect();
  for (let i = 0; i < 2; i++) order.push(`short ${await other.ask('/v1/step', SHORT)}`);
  await long;
  expect(order).toEqual(['short 200', 'short 200', 'long 200']);
  await untilIdle();
});

test('requests of clients that have disconnected are not computed', async () => {
  const startMs = performance.now();
  expect(await connect().ask('/v1/sequence', LONG)).toBe(200);
  const oneMs = performance.now() - startMs;
  const left = Array.from({ length: 12 }, () => connect().post('/v1/sequence', LONG));
  for (const request of left) request.on('error', () => {});
  while (app.pool.idleCount > 0) await sleep(1);
  await sleep(20);
  for (const request of left) request.destroy();
  const leftMs = performance.now();
  expect(await connect().ask('/v1/sequence', LONG)).toBe(200);
  // All of them would take twelve times as long.
  expect(performance.now() - leftMs).toBeLessThan(6 * oneMs);
  await untilIdle();
});

test('requests beyond what can be done in time are refused with the time until they could be', async () => {
  const hurried = await buildApp({ WORKERS: '1', JOB_DEADLINE_MS: '5000', QUEUE_JOBS_MAX: '4' });
  const row = Array.from({ length: H }, (_, i) => Math.sin(i) / H);
  await hurried.post('/v1/models', { name: 'long', weights: { W_x: [row], W_h: Array.from({ length: H }, () => row) } });
  const responses = await Promise.all(Array.from({ length: 16 }, () => hurried.post('/v1/sequence', LONG)));
  const refused = responses.filter(({ status }) => status === 503);
  expect(refused.length).toBeGreaterThan(6);
  for (const { body, headers } of refused) {
    expect(['queue_full', 'deadline_exceeded']).toContain(body.code);
    expect(Number(headers['retry-after'])).toBeGreaterThanOrEqual(1);
    expect(Number.isInteger(Number(headers['retry-after']))).toBe(true);
  }
  expect(responses.some(({ status }) => status === 200)).toBe(true);
  expect((await hurried.http.inject('/health/ready')).statusCode).toBe(200);
  expect(hurried.pool.readyCount).toBe(1);
});
