// Peers that send nothing, read nothing, or send what is no request: what they hold is bounded, they are
// told what is wrong if they can be, and they are gone soon. Everybody else is served meanwhile.
import { PassThrough } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test, vi } from 'vitest';
import { BodyBudget } from '../../src/http/bodies/body-budget.ts';
import { createLogger } from '../../src/logging.ts';
import { type TestApp, buildApp } from '../helpers/app.ts';
import { startServer } from '../helpers/process.ts';
import { padded } from '../helpers/padding.ts';
import { RawClient, until } from '../helpers/raw-client.ts';
import { requestText } from '../helpers/request-text.ts';

const JSON_TYPE = { 'content-type': 'application/json' };
const STEP = '{"weights":{"W_x":[[0.5]],"W_h":[[0.8]]},"x":[[1]]}';
const LARGE_STEP = padded(STEP, 900_000);
const LIVE = requestText('GET', '/health/live');
/** Longer than any timeout here, and than looking for it takes. */
const SOON_MS = 3_000;

const stepRequest = (headers: Record<string, string | number> = {}, body = STEP) =>
  requestText('POST', '/v1/step', { ...JSON_TYPE, 'content-length': body.length, ...headers }, body);

interface Listening {
  readonly app: TestApp;
  readonly port: number;
  /** Lines of the log so far, those of probes left out. */
  readonly lines: () => any[];
}

const servers = new Map<string, Promise<Listening>>();

/** One for each environment; its log begins anew. */
async function listen(environment: Record<string, string> = {}): Promise<Listening> {
  const key = JSON.stringify(environment);
  const starting = servers.get(key) ?? start(environment);
  servers.set(key, starting);
  const server = await starting;
  const linesBefore = server.lines().length;
  return { ...server, lines: () => server.lines().slice(linesBefore) };
}

async function start(environment: Record<string, string> = {}): Promise<Listening> {
  const stream = new PassThrough();
  let text = '';
  stream.on('data', (chunk) => (text += chunk));
  const app = await buildApp(environment, { logger: createLogger('info', stream) });
  await app.http.listen({ port: 0, host: '127.0.0.1' });
  const { port } = app.http.server.address() as { port: number };
  text = '';
  return { app, port, lines: () => text.split('\n').filter(Boolean).map((line) => JSON.parse(line)) };
}

const statusOf = async ({ port }: Listening, body = STEP, headers = {}) => {
  const answer = await fetch(`http://127.0.0.1:${port}/v1/step`, {
    method: 'POST',
    headers: { ...JSON_TYPE, ...headers },
    body,
  });
  await answer.arrayBuffer();
  return answer.status;
};

function expectProblem(answer: { status: number; headers: Record<string, string>; body: string }) {
  expect(answer.headers['content-type']).toContain('application/problem+json');
  expect(answer.headers['x-content-type-options']).toBe('nosniff');
  const problem = JSON.parse(answer.body);
  expect(problem.status).toBe(answer.status);
  expect(answer.headers['x-request-id']).toMatch(/./);
  expect(problem.instance).toBe(answer.headers['x-request-id']);
  return problem;
}

describe('bodies', () => {
  const limits = { BODY_BYTES_MAX: '1000000', BODIES_BYTES_MAX: '4000000' };

  test('that are announced and do not come hold nothing, and their sockets are gone after 408', async () => {
    const server = await listen({ ...limits, REQUEST_TIMEOUT_MS: '1000' });
    const head = requestText('POST', '/v1/step', { ...JSON_TYPE, 'content-length': 1_000_000 });
    const silent = Array.from({ length: 20 }, () => new RawClient(server.port, head));
    await until(() => server.app.http.server.listening && silent.every(({ socket }) => !socket.connecting), 1_000);
    expect(await statusOf(server, LARGE_STEP)).toBe(200);
    for (const client of silent) {
      const problem = expectProblem(await client.answer());
      expect(problem).toMatchObject({ code: 'request_timeout' });
    }
    // They never close their side.
    expect(await openSockets(server, 0)).toBe(true);
    const timeouts = server.lines().filter(({ msg, statusCode }) => msg === 'request' && statusCode === 408);
    expect(timeouts).toHaveLength(20);
  });

  test('that have come count: beyond the budget large ones are refused, small ones are served', async () => {
    const server = await listen(limits);
    const head = requestText('POST', '/v1/step', { ...JSON_TYPE, 'content-length': 1_000_000 });
    const held = Array.from({ length: 3 }, () => new RawClient(server.port, head + ' '.repeat(999_000)));
    await until(() => server.app.memory.bytesUsed > 3_000_000, SOON_MS);
    expect(await statusOf(server, LARGE_STEP)).toBe(503);
    expect(await statusOf(server)).toBe(200);
    for (const { socket } of held) socket.destroy();
    await until(() => server.app.memory.bytesUsed < 100_000, SOON_MS);
    expect(await statusOf(server, LARGE_STEP)).toBe(200);
  });

  test('in chunks count what has come of them, and one byte at a time costs no more', async () => {
    const server = await listen({ ...limits, BODIES_BYTES_MAX: '1000000' });
    const chunked = requestText('POST', '/v1/step', { ...JSON_TYPE, 'transfer-encoding': 'chunked' });
    const small = Array.from({ length: 40 }, () => new RawClient(server.port, `${chunked}1\r\n{\r\n`));
    await until(() => small.every(({ socket }) => socket.bytesWritten > 0), SOON_MS);
    expect(await statusOf(server)).toBe(200);
    const before = process.memoryUsage();
    const slow = new RawClient(server.port, chunked);
    slow.send('1\r\n \r\n'.repeat(100_000));
    await until(() => slow.socket.writableLength === 0, SOON_MS);
    const after = process.memoryUsage();
    const grown = after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers;
    expect(grown).toBeLessThan(40e6);
    slow.send(`${STEP.length.toString(16)}\r\n${STEP}\r\n0\r\n\r\n`);
    expect((await slow.answer()).status).toBeLessThan(500);
  });

  test('of one connection have a share of the budget, and a body that is refused takes nothing', () => {
    const budget = new BodyBudget(8_000_000, 1_000_000);
    const [one, other] = [{ bodyBytes: 0 }, { bodyBytes: 0 }];
    const first = budget.open(one);
    first.growTo(1_900_000);
    const second = budget.open(one);
    expect(() => second.growTo(200_000)).toThrow('its share of');
    budget.open(other).growTo(1_900_000);
    first.release();
    second.growTo(200_000);
    expect([one.bodyBytes, budget.bytes]).toEqual([200_000, 2_100_000]);
  });

  test('of requests sent ahead are not read before those are answered', async () => {
    const server = await listen({ ...limits, WORKERS: '1' });
    const one = new RawClient(server.port, longSequence() + stepRequest({}, LARGE_STEP).repeat(4));
    await until(() => server.app.memory.bytesUsed > 1_000_000, SOON_MS);
    expect(await statusOf(server, LARGE_STEP)).toBe(200);
    await until(() => one.answers.length === 5, 10_000);
    expect(one.answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
  });
});

/** Whether as many connections are open within SOON_MS, those of this process's fetch left out. */
async function openSockets({ app }: Listening, count: number): Promise<boolean> {
  const connections = () =>
    new Promise<number>((resolve) => app.http.server.getConnections((_, n) => resolve(n)));
  const endMs = performance.now() + SOON_MS + 2_000;
  while (performance.now() < endMs) {
    // fetch keeps one for its next request.
    if ((await connections()) <= count + 1) return true;
    await sleep(20);
  }
  return false;
}

/** About half a second of work, and a short answer. */
function longSequence(): string {
  const [H, T] = [64, 30_000];
  const W = Array(H).fill(0.01);
  const x = Array.from({ length: T }, () => [[1]]);
  const body = JSON.stringify({ weights: { W_x: [W], W_h: Array(H).fill(W) }, x, outputs: ['h'] });
  return requestText('POST', '/v1/sequence', { ...JSON_TYPE, 'content-length': body.length }, body);
}

/** 13 MB, more than the systems' buffers take. */
function longStream(): string {
  const x = JSON.stringify(Array.from({ length: 40_000 }, () => [[1]]));
  const W = Array(32).fill(0.01);
  const body = JSON.stringify({ weights: { W_x: [W], W_h: Array(32).fill(W) }, x: 0 }).replace(':0}', `:${x}}`);
  const headers = { ...JSON_TYPE, accept: 'application/x-ndjson', 'content-length': body.length };
  return requestText('POST', '/v1/sequence', headers, body);
}

describe('a reader', () => {
  test('that never reads small answers is cut off', async () => {
    const server = await listen({ STREAM_STALL_MS: '200' });
    const docs = requestText('GET', '/openapi.json').repeat(200);
    const clients = Array.from({ length: 4 }, () => new RawClient(server.port, docs, false));
    await until(() => clients.every(({ socket }) => !socket.connecting), SOON_MS);
    const cut = () => server.lines().filter(({ unanswered }) => unanswered === 'the response was not read');
    await until(() => cut().length >= 4, SOON_MS);
    expect(await openSockets(server, 0)).toBe(true);
  });

  test('that takes less than the least rate is cut off, one that takes more is not', async () => {
    const server = await listen({ STREAM_STALL_MS: '400', READ_BYTES_PER_S_MIN: '8000000' });
    const slow = new RawClient(server.port, longStream(), false);
    const timer = setInterval(() => slow.socket.read(20_000), 20);
    const fast = new RawClient(server.port, longStream());
    expect(await until(() => fast.text.endsWith('0\r\n\r\n'), 10_000)).toBe(true);
    await until(() => server.lines().some(({ unanswered }) => unanswered !== undefined), SOON_MS);
    clearInterval(timer);
    const cut = server.lines().filter(({ unanswered }) => unanswered === 'the response was not read');
    expect(cut).toHaveLength(1);
  });

  test('of a stream makes room for another when there are STREAMS_MAX', async () => {
    const server = await listen({ STREAMS_MAX: '2', STREAM_STALL_MS: '4000' });
    const deaf = [0, 1].map(() => new RawClient(server.port, longStream(), false));
    await vi.waitFor(
      async () => {
        const next = new RawClient(server.port, longStream());
        await until(() => next.text.length > 0, SOON_MS);
        expect(next.text).toMatch(/^HTTP\/1.1 200/);
        next.socket.destroy();
      },
      { timeout: 10_000, interval: 50 },
    );
    expect(deaf).toHaveLength(2);
    // In time both would be cut off.
    expect(server.lines().filter(({ unanswered }) => unanswered !== undefined)).toHaveLength(1);
  });
});

describe('connections', () => {
  test('that are idle make room for new ones, the oldest first, and the log says so once', async () => {
    const server = await listen({ CONNECTIONS_MAX: '4' });
    const idle: RawClient[] = [];
    for (let k = 0; k < 4; k++) {
      const client = new RawClient(server.port, LIVE);
      expect((await client.answer()).status).toBe(200);
      idle.push(client);
    }
    for (let k = 0; k < 3; k++) {
      const probe = new RawClient(server.port, LIVE);
      expect((await probe.answer()).status).toBe(200);
      expect(await idle[k]!.closedWithin(SOON_MS)).toBe(true);
    }
    expect(idle[3]!.isClosed).toBe(false);
    expect(server.lines().filter(({ msg }) => msg.includes('CONNECTIONS_MAX'))).toHaveLength(1);
  });

  test('that are all busy leave probes room, and nobody else', async () => {
    const server = await listen({ CONNECTIONS_MAX: '3' });
    const half = requestText('POST', '/v1/step', { ...JSON_TYPE, 'content-length': 100 }, '{');
    let begun = 0;
    server.app.http.server.on('request', () => begun++);
    const busy = Array.from({ length: 3 }, () => new RawClient(server.port, half));
    await until(() => begun === busy.length, SOON_MS);
    const other = await new RawClient(server.port, stepRequest()).answer();
    expect([other.status, other.headers.connection]).toEqual([503, 'close']);
    const probe = await new RawClient(server.port, LIVE).answer();
    expect(probe.status).toBe(200);
    // Two seconds later those that are silent make room.
    await vi.waitFor(
      async () => {
        const next = await new RawClient(server.port, stepRequest()).answer();
        expect(next.status).toBe(200);
      },
      { timeout: 8_000, interval: 200 },
    );
    expect(busy.filter(({ isClosed }) => !isClosed)).not.toHaveLength(0);
  });

  test('do not outlive the keep-alive timeout by line ends', async () => {
    const server = await listen({ KEEP_ALIVE_TIMEOUT_MS: '200' });
    const client = new RawClient(server.port, LIVE);
    await client.answer();
    const timer = setInterval(() => client.send('\r\n'), 50);
    expect(await client.closedWithin(1_500)).toBe(true);
    clearInterval(timer);
  });

  test('with requests ahead are read no further until those are answered', async () => {
    const server = await listen();
    const client = new RawClient(server.port, longStream(), false);
    const wrong = stepRequest({}, '{"q":1}');
    const heapBefore = process.memoryUsage().heapUsed;
    let begun = 0;
    server.app.http.server.on('request', () => begun++);
    let sent = 0;
    for (; sent < 4_000; sent += 100) {
      client.send(wrong.repeat(100));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await sleep(300);
    expect(server.lines().filter(({ code }) => code === 'invalid_request')).toHaveLength(0);
    expect(begun).toBeLessThan(1_500);
    expect(process.memoryUsage().heapUsed - heapBefore).toBeLessThan(60e6);
    client.socket.resume();
    client.socket.on('data', (chunk) => (client.text += chunk.toString('latin1')));
    await until(() => client.text.split('HTTP/1.1 400').length > sent, 15_000);
    expect(client.text.split('HTTP/1.1 400').length - 1).toBe(sent);
  });
});

describe('what is no request', () => {
  test('behind a running stream ends the connection, and no second head is in it', async () => {
    const server = await listen();
    const client = new RawClient(server.port, longStream());
    await until(() => client.text.includes('"t":2'), SOON_MS);
    client.send('GARBAGE\r\n\r\n');
    expect(await client.closedWithin(SOON_MS)).toBe(true);
    expect(client.text.split('HTTP/1.1 ')).toHaveLength(2);
    expect(server.lines().filter(({ msg }) => msg === 'request')).toHaveLength(1);
  });

  test.each([
    ['bytes', 'NONSENSE / HTTP/1.1\r\n\r\n', 400, 'invalid_request'],
    ['half a head', 'GET /health/live HTTP/1.1\r\nhost: x\r\n', 408, 'request_timeout'],
    ['a head of 32 KiB', requestText('GET', '/', { a: 'b'.repeat(32_768) }), 431, 'headers_too_large'],
    ['no host', 'GET /v1/models HTTP/1.1\r\n\r\n', 400, 'invalid_request'],
    ['a path that is none', requestText('GET', '/v1/%'), 400, 'invalid_request'],
    ['a coding of transfer', requestText('POST', '/v1/step', { ...JSON_TYPE, 'transfer-encoding': 'gzip, chunked' }, '0\r\n\r\n'), 415, 'unsupported_media_type'],
    ['an expectation', stepRequest({ expect: 'wonders' }), 417, 'expectation_failed'],
    ['a chunk that is none', requestText('POST', '/v1/step', { ...JSON_TYPE, 'transfer-encoding': 'chunked' }, 'x\r\n'), 400, 'invalid_request'],
  ])('%s: a problem with an id and headers, and a line in the log', async (_, bytes, status, code) => {
    const server = await listen({ REQUEST_TIMEOUT_MS: '200' });
    const client = new RawClient(server.port, bytes);
    const answer = await client.answer();
    const problem = expectProblem(answer);
    expect([answer.status, problem.code]).toEqual([status, code]);
    await until(() => server.lines().some(({ statusCode }) => statusCode === status), SOON_MS);
    const lines = server.lines().filter(({ statusCode }) => statusCode === status);
    expect(lines).toHaveLength(1);
    expect(lines[0].reqId).toBe(answer.headers['x-request-id']);
  });

  test('one line is logged for a request whose client left', async () => {
    const server = await listen();
    const client = new RawClient(server.port, longStream(), false);
    await sleep(100);
    client.socket.destroy();
    await until(() => server.lines().some(({ msg }) => msg === 'request'), SOON_MS);
    const lines = server.lines().filter(({ msg }) => msg === 'request');
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({ url: '/v1/sequence', unanswered: 'the client left' });
  });

  test('and for each that waited behind it, of which Fastify has seen nothing', async () => {
    const server = await listen();
    const client = new RawClient(server.port, longStream() + LIVE.repeat(100), false);
    await until(() => client.socket.bytesWritten > 0 && server.app.memory.bytesUsed > 1_000_000, SOON_MS);
    await sleep(100);
    client.socket.destroy();
    const lines = () => server.lines().filter(({ msg, unanswered }) => msg === 'request' && unanswered);
    await until(() => lines().length >= 2, SOON_MS);
    const ids = lines().map(({ reqId }) => reqId as string | undefined);
    expect(ids.filter((id) => id !== undefined)).toHaveLength(1);
    expect(lines().at(-1)).toMatchObject({ url: '/health/live', unanswered: 'the client left' });
  });
});

describe('an offer to upgrade that is declined', () => {
  test.each([
    ['websocket', 'Upgrade'],
    ['h2c', 'Upgrade, HTTP2-Settings'],
  ])('%s: the request is answered and the connection closed', async (upgrade, connection) => {
    const server = await listen();
    const client = new RawClient(server.port, stepRequest({ upgrade, connection }) + LIVE);
    expect(await client.closedWithin(SOON_MS)).toBe(true);
    expect(client.answers.map(({ status }) => status)).toEqual([200]);
    expect(client.answers[0]!.headers.connection).toBe('close');
  });
});

describe('a body that is refused early', () => {
  const LONG = 8_000_000;

  test.each([
    ['413', '/v1/step', JSON_TYPE, 413],
    ['415', '/v1/step', { 'content-type': 'text/plain' }, 415],
    ['404', '/v1/steps', JSON_TYPE, 404],
  ])('%s: a client that closes behind it gets its answer', async (_, path, type, status) => {
    const server = await listen({ BODY_BYTES_MAX: '100000' });
    const headers = { ...type, connection: 'close', 'content-length': LONG };
    const client = new RawClient(server.port, requestText('POST', path, headers));
    let failed: NodeJS.ErrnoException | undefined;
    client.socket.on('error', (error) => (failed = error));
    for (let sent = 0; sent < LONG; sent += 100_000) {
      client.send(Buffer.alloc(100_000));
      await sleep(1);
    }
    expect((await client.answer()).status).toBe(status);
    expect(failed).toBeUndefined();
    expect(client.answers).toHaveLength(1);
  });

  test.each([
    ['too long', '/v1/step', { ...JSON_TYPE, 'content-length': 200_000 }, 413],
    ['of another type', '/v1/step', { 'content-type': 'text/plain', 'content-length': 10 }, 415],
    ['nowhere', '/v1/steps', { ...JSON_TYPE, 'content-length': 10 }, 404],
  ])('%s: a client that asks whether to send it is told no', async (_, path, headers, status) => {
    const server = await listen({ BODY_BYTES_MAX: '100000' });
    const head = requestText('POST', path, { ...headers, expect: '100-continue' });
    const client = new RawClient(server.port, head);
    const answer = await client.answer();
    expect([answer.status, answer.headers.connection]).toEqual([status, 'close']);
    expect(await client.closedWithin(SOON_MS)).toBe(true);
  });

  test('control: a client whose body is wanted is told to send it', async () => {
    const server = await listen();
    const headers = { ...JSON_TYPE, 'content-length': STEP.length, expect: '100-continue' };
    const client = new RawClient(server.port, requestText('POST', '/v1/step', headers));
    await until(() => client.text !== '', SOON_MS);
    expect(client.text).toBe('HTTP/1.1 100 Continue\r\n\r\n');
    client.send(STEP);
    expect((await client.answer(1)).status).toBe(200);
  });

  test('a short one leaves the connection open for the next request', async () => {
    const server = await listen();
    const refused = requestText('POST', '/v1/steps', { ...JSON_TYPE, 'content-length': 2 }, '{}');
    const client = new RawClient(server.port, refused + stepRequest());
    await client.answer(1);
    expect(client.answers.map(({ status }) => status)).toEqual([404, 200]);
  });
});

describe('SIGTERM', () => {
  test('ends a process at once, whatever connections are open that ask for nothing', async () => {
    const server = await startServer();
    const sent = [
      '',
      'GET /health/live HTTP/1.1\r\nHost: x\r\n',
      requestText('POST', '/v1/step', { ...JSON_TYPE, 'content-length': 33 }, '{"mod'),
      requestText('GET', '/openapi.json').repeat(200),
    ];
    const clients = sent.flatMap((bytes) =>
      [true, false].map((reads) => new RawClient(server.port, bytes, reads)),
    );
    await until(() => clients.every(({ socket }) => !socket.connecting), 1_000);
    await sleep(200);
    const startMs = performance.now();
    expect(await server.stop(), server.output()).toBe(0);
    expect(performance.now() - startMs).toBeLessThan(8_000);
  });
});
