// Request bodies that do not arrive, arrive slowly, or are refused early: what they take is bounded.
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { BodyBudget } from '../../../src/http/bodies/body-budget.ts';
import { sample } from '../../helpers/long.ts';
import { eventually, RawClient } from '../../helpers/raw-client.ts';
import { requestText } from '../../helpers/request-text.ts';
import { JSON_TYPE, LARGE_STEP, SOON_MS, STEP, expectProblem, listen, longSequence, openSockets, statusOf, stepRequest } from './server.ts';

describe('bodies', () => {
  const limits = { BODY_BYTES_MAX: '1000000', BODIES_BYTES_MAX: '4000000' };

  test('announced bodies that are not sent take no memory, and their connections are closed after 408', async () => {
    const server = await listen({ ...limits, REQUEST_TIMEOUT_MS: '3000' });
    const head = requestText('POST', '/v1/step', { ...JSON_TYPE, 'content-length': 1_000_000 });
    const silent = Array.from({ length: 20 }, () => new RawClient(server.port, head));
    await eventually(() => server.app.http.server.listening && silent.every(({ socket }) => !socket.connecting), SOON_MS);
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

  test('received bodies count: beyond the budget large ones are refused, small ones are served', async () => {
    const server = await listen(limits);
    const head = requestText('POST', '/v1/step', { ...JSON_TYPE, 'content-length': 1_000_000 });
    const held = Array.from({ length: 3 }, () => new RawClient(server.port, head + ' '.repeat(999_000)));
    await eventually(() => server.app.memory.bytesUsed > 3_000_000, SOON_MS);
    expect(await statusOf(server, LARGE_STEP)).toBe(503);
    expect(await statusOf(server)).toBe(200);
    for (const { socket } of held) socket.destroy();
    await eventually(() => server.app.memory.bytesUsed < 100_000, SOON_MS);
    expect(await statusOf(server, LARGE_STEP)).toBe(200);
  });

  test('chunked bodies count by their received bytes, and chunks of one byte cost no more', async () => {
    const server = await listen({ ...limits, BODIES_BYTES_MAX: '1000000' });
    const chunked = requestText('POST', '/v1/step', { ...JSON_TYPE, 'transfer-encoding': 'chunked' });
    const small = Array.from({ length: 40 }, () => new RawClient(server.port, `${chunked}1\r\n{\r\n`));
    await eventually(() => small.every(({ socket }) => socket.bytesWritten > 0), SOON_MS);
    expect(await statusOf(server)).toBe(200);
    const before = process.memoryUsage();
    const slow = new RawClient(server.port, chunked);
    slow.send('1\r\n \r\n'.repeat(100_000));
    await eventually(() => slow.socket.writableLength === 0, SOON_MS);
    const after = process.memoryUsage();
    const grown = after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers;
    expect(grown).toBeLessThan(40e6);
    slow.send(`${STEP.length.toString(16)}\r\n${STEP}\r\n0\r\n\r\n`);
    expect((await slow.answer()).status).toBeLessThan(500);
  });

  test('the bodies of one connection share a part of the budget, and a refused body takes nothing', () => {
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

  test('bodies of pipelined requests are not read before the earlier requests are answered', async () => {
    const server = await listen({ ...limits, WORKERS: '1' });
    const idleBytes = server.app.memory.bytesUsed;
    const one = new RawClient(server.port, longSequence() + stepRequest({}, LARGE_STEP).repeat(4));
    await eventually(() => server.app.memory.bytesUsed > idleBytes + 100_000, SOON_MS);
    expect(await statusOf(server, LARGE_STEP)).toBe(200);
    await eventually(() => one.answers.length === 5, SOON_MS);
    expect(one.answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
  });
});

describe('a body that is refused early', () => {
  const LONG = 8_000_000;

  test.each(sample<readonly [string, string, Record<string, string>, number]>([
    ['413', '/v1/step', JSON_TYPE, 413],
    ['415', '/v1/step', { 'content-type': 'text/plain' }, 415],
    ['404', '/v1/steps', JSON_TYPE, 404],
  ], 1))('%s: a client that closes after sending it receives the response', async (_, path, type, status) => {
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

  test('of several clients that send at once: each can send all of it, and receives the response', async () => {
    const server = await listen({ BODY_BYTES_MAX: '100000' });
    const bytes = LONG / 4;
    const head = requestText('POST', '/v1/step', { ...JSON_TYPE, 'content-length': bytes });
    const clients = Array.from({ length: 4 }, () => new RawClient(server.port, head));
    const failures: Error[] = [];
    for (const { socket } of clients) socket.on('error', (error) => failures.push(error)).end(Buffer.alloc(bytes));
    for (const client of clients) expect((await client.answer()).status).toBe(413);
    expect(await Promise.all(clients.map((client) => client.closedWithin(SOON_MS)))).toEqual(clients.map(() => true));
    expect(failures).toEqual([]);
    for (const { socket } of clients) expect(socket.bytesWritten).toBe(head.length + bytes);
  });

  test.each([
    ['too long', '/v1/step', { ...JSON_TYPE, 'content-length': 200_000 }, 413],
    ['of another type', '/v1/step', { 'content-type': 'text/plain', 'content-length': 10 }, 415],
    ['unknown address', '/v1/steps', { ...JSON_TYPE, 'content-length': 10 }, 404],
  ])('%s: a client with Expect: 100-continue is refused before it sends it', async (_, path, headers, status) => {
    const server = await listen({ BODY_BYTES_MAX: '100000' });
    const head = requestText('POST', path, { ...headers, expect: '100-continue' });
    const client = new RawClient(server.port, head);
    const response = await client.answer();
    expect([response.status, response.headers.connection]).toEqual([status, 'close']);
    expect(await client.closedWithin(SOON_MS)).toBe(true);
  });

  test('control: a client with Expect: 100-continue is answered 100 if its body is accepted', async () => {
    const server = await listen();
    const headers = { ...JSON_TYPE, 'content-length': STEP.length, expect: '100-continue' };
    const client = new RawClient(server.port, requestText('POST', '/v1/step', headers));
    await eventually(() => client.text !== '', SOON_MS);
    expect(client.text).toBe('HTTP/1.1 100 Continue\r\n\r\n');
    client.send(STEP);
    expect((await client.answer(1)).status).toBe(200);
  });

  test('a short body leaves the connection open for the next request', async () => {
    const server = await listen();
    const refused = requestText('POST', '/v1/steps', { ...JSON_TYPE, 'content-length': 2 }, '{}');
    const client = new RawClient(server.port, refused + stepRequest());
    await client.answer(1);
    expect(client.answers.map(({ status }) => status)).toEqual([404, 200]);
  });
});
