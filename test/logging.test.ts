// The lines of the log, as an operator and a collector read them.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyBaseLogger } from 'fastify';
import { describe, expect, test } from 'vitest';
import { CarryoverError } from '../src/errors.ts';
import { logProblem } from '../src/http/responses/problem.ts';
import { HeldLines, createLogger } from '../src/logging.ts';
import { MemoryStore } from '../src/store/memory.ts';
import { buildApp } from './helpers/app.ts';
import { describeWith } from './helpers/needs.ts';
import { RawClient } from './helpers/raw-client.ts';
import { requestText } from './helpers/request-text.ts';

const JSON_TYPE = { 'content-type': 'application/json' };
const STEP = '{"weights":{"W_x":[[0.5]],"W_h":[[0.8]]},"x":[[0.6789]]}';

function memoryLog() {
  const text: string[] = [];
  const logger = createLogger('trace', { write: (line) => void text.push(line) });
  return { logger, text, lines: () => text.map((line) => JSON.parse(line)) };
}

async function listen() {
  const log = memoryLog();
  const app = await buildApp({}, { logger: log.logger });
  const url = await app.http.listen({ port: 0, host: '127.0.0.1' });
  const requests = () => log.lines().filter(({ msg }) => msg === 'request');
  return { ...log, url, port: Number(new URL(url).port), requests };
}

const server = await listen();

/** The line of the one request that `act` makes. */
async function lineOf(act: () => Promise<unknown>) {
  const before = server.requests().length;
  await act();
  await expect.poll(() => server.requests().length).toBe(before + 1);
  return server.requests()[before];
}

describe('the access log', () => {
  test('a request has one line: method, route, status, durations, bytes and address', async () => {
    const wanted = requestText('POST', '/v1/step', { ...JSON_TYPE, 'content-length': STEP.length }, STEP);
    let received = '';
    const line = await lineOf(async () => {
      const client = new RawClient(server.port, wanted);
      await client.answer();
      received = client.text;
      client.socket.destroy();
    });
    expect(line).toEqual({
      level: 30,
      time: expect.any(Number),
      pid: process.pid,
      hostname: expect.any(String),
      reqId: expect.any(String),
      method: 'POST',
      route: '/v1/step',
      statusCode: 200,
      durationMs: expect.any(Number),
      bytesIn: STEP.length,
      bytesOut: received.length,
      client: '127.0.0.1',
      model: expect.stringMatching(/^sha256:[0-9a-f]{12}$/),
      N: 1,
      T: 1,
      msg: 'request',
    });
  });

  test('the line has the pattern of the route in place of the address', async () => {
    const line = await lineOf(() => fetch(`${server.url}/v1/sessions/none?x=1`));
    expect(line).toMatchObject({ route: '/v1/sessions/:id', statusCode: 400, code: 'invalid_request' });
    expect(line).not.toHaveProperty('url');
  });

  test('the line has no route for an address that is not served', async () => {
    const line = await lineOf(() => fetch(`${server.url}/nowhere`));
    expect(line).toMatchObject({ method: 'GET', statusCode: 404, code: 'not_found' });
    expect(line).not.toHaveProperty('route');
    expect(line).not.toHaveProperty('model');
  });

  test.each([
    ['a malformed path', requestText('GET', '/v1/%'), { method: 'GET', statusCode: 400, code: 'invalid_request' }],
    ['bytes that are no request', 'NONSENSE / HTTP/1.1\r\n\r\n', { statusCode: 400, code: 'invalid_request', bytesIn: 23 }],
    ['CONNECT', 'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n', { method: 'CONNECT', statusCode: 405 }],
    ['headers of 32 KiB', requestText('GET', '/', { a: 'b'.repeat(32_768) }), { statusCode: 431 }],
  ])('%s: refused before a route was found, and one line', async (_, bytes, wanted) => {
    const line = await lineOf(async () => {
      const client = new RawClient(server.port, bytes);
      expect((await client.answer()).status).toBe(wanted.statusCode);
      client.socket.destroy();
    });
    expect(line).toMatchObject({ ...wanted, client: '127.0.0.1', reqId: expect.any(String) });
    expect(line.bytesOut).toBeGreaterThan(100);
    expect(line).not.toHaveProperty('route');
  });

  test('a session is named by the first 8 digits of the SHA-256 of its id, however the call names it', async () => {
    const send = (path: string, body: unknown, headers = {}) =>
      fetch(`${server.url}${path}`, { method: 'POST', headers: { ...JSON_TYPE, ...headers }, body: JSON.stringify(body) });
    const created = await send('/v1/sessions', { ...JSON.parse(STEP), x: undefined });
    const id = created.headers.get('location')!.split('/').at(-1)!;
    const session = createHash('sha256').update(id).digest('hex').slice(0, 8);
    const x = [[1]];
    expect(await lineOf(() => send('/v1/step', { session: id, x }))).toMatchObject({ session, N: 1, T: 1 });
    expect(await lineOf(() => send('/v1/step', { x }, { 'x-session-id': id }))).toMatchObject({ session });
    expect(await lineOf(() => fetch(`${server.url}/v1/sessions/${id}`))).toMatchObject({ session });
    const socket = new WebSocket(`${server.url.replace('http', 'ws')}/v1/sessions/${id}/stream`);
    const next = () => once(socket, 'message');
    await next();
    socket.send(JSON.stringify({ x }));
    await next();
    const line = await lineOf(async () => socket.close());
    expect(line).toMatchObject({ route: '/v1/sessions/:id/stream', statusCode: 101, session });
    expect(line).not.toHaveProperty('unanswered');
    expect(line.bytesIn).toBeGreaterThan(0);
    const gone = await lineOf(() => fetch(`${server.url}/v1/sessions/${id}`, { method: 'DELETE' }));
    expect(gone).toMatchObject({ session, statusCode: 204 });
    expect(server.text.join('')).not.toContain(id);
  });

  test('the bytes of every request of a connection are counted by themselves', async () => {
    const client = new RawClient(server.port);
    for (let k = 0; k < 3; k++) {
      const before = client.text.length;
      const line = await lineOf(() => {
        client.send(requestText('GET', `/v1/models?limit=${k + 1}`));
        return client.answer(k);
      });
      expect(line.bytesOut).toBe(client.text.length - before);
    }
    client.socket.destroy();
  });

  test('the line of a request whose client disconnected has that, and how much it had sent', async () => {
    const line = await lineOf(async () => {
      const headers = { ...JSON_TYPE, 'content-length': 1_000 };
      const client = new RawClient(server.port, requestText('POST', '/v1/step', headers, STEP));
      await sleep(100);
      client.socket.resetAndDestroy();
    });
    expect(line).toMatchObject({ route: '/v1/step', bytesIn: STEP.length, unanswered: 'the client left' });
  });
});

describe('the address of the client', () => {
  const forwarded = { 'x-forwarded-for': '203.0.113.7, 198.51.100.9' };

  test.each([
    ['', forwarded, '127.0.0.1'],
    ['true', forwarded, '203.0.113.7'],
    ['1', forwarded, '198.51.100.9'],
    ['127.0.0.0/8', forwarded, '198.51.100.9'],
    ['127.0.0.1,198.51.100.0/24', forwarded, '203.0.113.7'],
    ['10.0.0.0/8', forwarded, '127.0.0.1'],
    ['true', { 'x-forwarded-for': 'x'.repeat(8_000) }, '127.0.0.1'],
    ['true', {}, '127.0.0.1'],
  ])('TRUST_PROXY=%s', async (TRUST_PROXY, headers, client) => {
    const log = memoryLog();
    const app = await buildApp({ TRUST_PROXY }, { logger: log.logger });
    await app.http.inject({ method: 'GET', url: '/v1/models', headers, remoteAddress: '127.0.0.1' });
    await expect.poll(() => log.lines().filter(({ msg }) => msg === 'request')).toMatchObject([{ client }]);
  });
});

class FailingStore extends MemoryStore {
  override async change(id: string): Promise<never> {
    const detail = `The store has not changed session ${id}.`;
    throw new CarryoverError('store_unavailable', { detail, cause: new Error(`no reply about session ${id}`) });
  }
}

describe('content that is not logged', () => {
  test('headers that grant access or name a call are not logged, nor the numbers of a request', async () => {
    const headers = {
      ...JSON_TYPE,
      authorization: 'Bearer top-secret',
      cookie: 'sid=top-secret',
      'idempotency-key': 'top-secret',
    };
    await lineOf(() => fetch(`${server.url}/v1/step`, { method: 'POST', headers: JSON_TYPE, body: STEP }));
    await lineOf(() => fetch(`${server.url}/v1/step`, { method: 'POST', headers, body: STEP }));
    await lineOf(() => fetch(`${server.url}/v1/sessions/${'s'.repeat(22)}`, { headers }));
    expect(server.text.join('')).not.toMatch(/top-secret|0\.6789/);
  });

  test.each([
    (id: string) => `The record of session ${id} is damaged.`,
    (id: string) => `Session "${id}" is gone`,
    (id: string) => `GET /v1/sessions/${id}/state failed`,
  ])('an error that names a session is logged with its hash: %s', (textOf) => {
    const id = 'AbC-_'.repeat(5).slice(0, 22);
    const hash = createHash('sha256').update(id).digest('hex').slice(0, 8);
    const { logger, lines, text } = memoryLog();
    logger.error({ err: new Error(textOf(id), { cause: new Error(textOf(id)) }), req: { url: textOf(id) } }, 'x');
    expect(lines()[0].err.message).toBe(textOf(id).replace(id, `#${hash}`));
    expect(text.join('')).not.toContain(id);
  });

  test('a failure of the store is logged without the id of its session', async () => {
    const log = memoryLog();
    const store = new FailingStore(1e9);
    const app = await buildApp({}, { logger: log.logger, store });
    const { id } = (await app.post('/v1/sessions', { ...JSON.parse(STEP), x: undefined })).body;
    const { status } = await app.post('/v1/step', { session: id, x: [[1]] });
    expect(status).toBe(503);
    expect(log.text.join('')).toContain('no reply about session #');
    expect(log.text.join('')).not.toContain(id);
  });

  test('a secret that is logged by mistake is redacted', () => {
    const { logger, text } = memoryLog();
    const headers = { authorization: 'top-secret', 'set-cookie': 'top-secret', 'idempotency-key': 'top-secret' };
    logger.info({ headers, req: { headers, method: 'GET' }, ...headers, body: 'top-secret' }, 'a');
    logger.info({ res: { headers, statusCode: 200 } }, 'b');
    expect(text.join('')).not.toContain('top-secret');
    expect(text.join('')).toContain('[redacted]');
  });

  test('an error is logged with its type, message, code, stack and causes only', () => {
    const { logger, lines } = memoryLog();
    const cause = Object.assign(new Error('refused'), { code: 'ECONNREFUSED', command: { args: ['top-secret'] } });
    logger.error({ err: Object.assign(new TypeError('failed', { cause }), { data: 'top-secret' }) }, 'x');
    expect(lines()[0].err).toEqual({
      type: 'TypeError',
      message: 'failed',
      stack: expect.stringContaining('TypeError: failed'),
      cause: { type: 'Error', message: 'refused', code: 'ECONNREFUSED', stack: expect.any(String) },
    });
  });
});

test('a refusal at a limit is a line without a stack, and a failure has one', () => {
  const lines: Record<string, unknown>[] = [];
  const logger = createLogger('info', { write: (line) => void lines.push(JSON.parse(line)) }) as FastifyBaseLogger;
  for (const code of ['queue_full', 'shape_mismatch', 'store_unavailable'] as const) {
    const error = new CarryoverError(code, { detail: 'a detail' });
    logProblem(error, error, logger);
  }
  const [limit, mistake, failure] = lines;
  expect(limit).toMatchObject({ level: 40, code: 'queue_full', msg: 'request refused' });
  expect(limit).not.toHaveProperty('err');
  expect(mistake).toMatchObject({ level: 30, code: 'shape_mismatch', msg: 'request refused' });
  expect(failure).toMatchObject({ level: 50, code: 'store_unavailable', msg: 'a detail', err: { stack: expect.any(String) } });
});

test('lines that are held come when they are released, and all later ones at once', () => {
  const written: string[] = [];
  const held = new HeldLines({ write: (line) => void written.push(line) });
  held.write('a');
  held.write('b');
  expect(written).toEqual([]);
  held.release();
  held.write('c');
  held.release();
  expect(written).toEqual(['a', 'b', 'c']);
  const many = new HeldLines({ write: (line) => void written.push(line) });
  for (let k = 0; k < 1_000; k++) many.write(String(k));
  expect(written).toHaveLength(1_003);
});

describeWith('script', 'the log at a terminal', () => {
  test('the greeting comes before the lines of the start', () => {
    const program = join(import.meta.dirname, '../src/server.ts');
    const env = { ...process.env, TERM: 'xterm', NO_COLOR: '1', PORT: '0', METRICS_PORT: '0', STORE_URL: 'memory:', LOG_LEVEL: 'info' };
    const { stdout } = spawnSync('script', ['-qec', `timeout 8 ${process.execPath} ${program}`, '/dev/null'], { encoding: 'utf8', env });
    const [greeted, loaded] = [stdout.indexOf('Carryover'), stdout.indexOf('model loaded')];
    expect(greeted).toBeGreaterThanOrEqual(0);
    expect(loaded).toBeGreaterThan(greeted);
  });

  test('the lines are readable, and JSON otherwise', () => {
    const program = join(import.meta.dirname, 'fixtures/servers/one-line.ts');
    const env = { ...process.env, TERM: 'xterm', NO_COLOR: '1' };
    const command = `${process.execPath} ${program}`;
    const terminal = spawnSync('script', ['-qec', command, '/dev/null'], { encoding: 'utf8', env });
    expect(terminal.stdout).toMatch(/\[\d\d:\d\d:\d\d\.\d{3}\] .*INFO.*: .*hello.*\{"answer":42\}/);
    const piped = spawnSync(process.execPath, [program], { encoding: 'utf8', env });
    expect(JSON.parse(piped.stdout)).toMatchObject({ level: 30, answer: 42, msg: 'hello' });
  });
});
