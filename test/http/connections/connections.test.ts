// Connections that are idle, pipelined or open at the end: their number and what they take are bounded.
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test, vi } from 'vitest';
import { startServer } from '../../helpers/process.ts';
import { eventually, RawClient } from '../../helpers/raw-client.ts';
import { requestText } from '../../helpers/request-text.ts';
import { JSON_TYPE, LIVE, SOON_MS, listen, longStream, stepRequest } from './server.ts';

describe('connections', () => {
  test('idle connections are closed for new ones, the oldest first, and this is logged once', async () => {
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

  test('busy connections at the maximum leave capacity for health checks, and for no other request', async () => {
    const server = await listen({ CONNECTIONS_MAX: '3' });
    const half = requestText('POST', '/v1/step', { ...JSON_TYPE, 'content-length': 100 }, '{');
    let begun = 0;
    server.app.http.server.on('request', () => begun++);
    const busy = Array.from({ length: 3 }, () => new RawClient(server.port, half));
    await eventually(() => begun === busy.length, SOON_MS);
    const other = await new RawClient(server.port, stepRequest()).answer();
    expect([other.status, other.headers.connection]).toEqual([503, 'close']);
    const probe = await new RawClient(server.port, LIVE).answer();
    expect(probe.status).toBe(200);
    // After two seconds a silent connection is closed in favour of a new one.
    await vi.waitFor(
      async () => {
        const next = await new RawClient(server.port, stepRequest()).answer();
        expect(next.status).toBe(200);
      },
      { timeout: 8_000, interval: 200 },
    );
    expect(busy.filter(({ isClosed }) => !isClosed)).not.toHaveLength(0);
  });

  test('line ends do not keep a connection alive', async () => {
    const server = await listen({ KEEP_ALIVE_TIMEOUT_MS: '200' });
    const client = new RawClient(server.port, LIVE);
    await client.answer();
    const timer = setInterval(() => client.send('\r\n'), 50);
    expect(await client.closedWithin(SOON_MS)).toBe(true);
    clearInterval(timer);
  });

  test('pipelined requests are not read any further until the earlier ones are answered', async () => {
    const server = await listen();
    const client = new RawClient(server.port, longStream(), false);
    const wrong = stepRequest({}, '{"q":1}');
    const heapBefore = process.memoryUsage().heapUsed;
    let begun = 0;
    server.app.http.server.on('request', () => begun++);
    let sent = 0;
    for (; sent < 2_000; sent += 100) {
      client.send(wrong.repeat(100));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await sleep(300);
    expect(server.lines().filter(({ code }) => code === 'invalid_request')).toHaveLength(0);
    expect(begun).toBeLessThan(1_500);
    expect(process.memoryUsage().heapUsed - heapBefore).toBeLessThan(60e6);
    const STATUS = 'HTTP/1.1 400';
    let [refused, rest] = [0, ''];
    client.socket.resume().on('data', (chunk) => {
      const parts = (rest + chunk.toString('latin1')).split(STATUS);
      refused += parts.length - 1;
      // The beginning of another one may be at its end.
      rest = parts.at(-1)!.slice(1 - STATUS.length);
    });
    await eventually(() => refused >= sent, 120_000);
    expect(refused).toBe(sent);
  });
});

describe('an upgrade that is declined', () => {
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

describe('SIGTERM', () => {
  test('SIGTERM ends the process at once in spite of open connections without a request', async () => {
    const server = await startServer();
    const sent = [
      '',
      'GET /health/live HTTP/1.1\r\nHost: x\r\n',
      requestText('POST', '/v1/step', { ...JSON_TYPE, 'content-length': 33 }, '{"mod'),
      requestText('GET', '/openapi.json').repeat(60),
    ];
    const clients = sent.flatMap((bytes) =>
      [true, false].map((reads) => new RawClient(server.port, bytes, reads)),
    );
    await eventually(() => clients.every(({ socket }) => !socket.connecting), SOON_MS);
    await sleep(200);
    const startMs = performance.now();
    expect(await server.stop(), server.output()).toBe(0);
    expect(performance.now() - startMs).toBeLessThan(8_000);
  });
});
