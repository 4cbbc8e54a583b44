// Answers are sent from linear memory, where they were written: their blocks are freed only when the
// system has accepted all of an answer.
import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { sample, sized } from '../helpers/long.ts';

/** 20 MB and more: the system takes up to 10 MB, the rest has to wait for its reader. */
const ROWS = { 'application/json': 2_000, 'application/octet-stream': 4_000 };
/** Few: the weights, and what is computed with them, grow with their square. */
const COLUMNS = 256;
const JSON_TYPE = 'application/json';
const SLOW_MS = 300;
/** The system reports what was read in steps of megabytes: a slow reader must reach one in this time. */
const STALL_MS = 1_000;
const WAIT = { timeout: 20_000, interval: 5 };

const step = (rows: number, shift: number) => ({
  weights: { W_x: [Array(COLUMNS).fill(0.01)], W_h: Array(COLUMNS).fill(Array(COLUMNS).fill(0)) },
  x: Array.from({ length: rows }, (_, n) => [Math.sin(n + shift)]),
  trace: true,
});

/** Sends one request whose answer is read late, while others are answered. */
async function askSlowly(accept: keyof typeof ROWS) {
  const { buildApp } = await import('../helpers/app.ts');
  const { http, memory } = await buildApp();
  await http.listen({ port: 0, host: '127.0.0.1' });
  const { port } = http.server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}/v1/step`;
  const headers = { 'content-type': JSON_TYPE, accept };
  const post = async (body: object) => {
    const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
    return Buffer.from(await response.arrayBuffer());
  };
  const asked = step(ROWS[accept], 0);
  const expected = await post(asked);

  const body = JSON.stringify(asked);
  const socket = connect({ port, host: '127.0.0.1' }).pause();
  await once(socket, 'connect');
  socket.write(
    `POST /v1/step HTTP/1.1\r\nhost: localhost\r\ncontent-type: ${JSON_TYPE}\r\naccept: ${accept}\r\n` +
      `connection: close\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  await sleep(SLOW_MS);
  await post(step(ROWS[accept], 1));

  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk)).resume();
  await once(socket, 'close');
  const response = Buffer.concat(chunks);
  const received = response.subarray(response.indexOf('\r\n\r\n') + 4);
  await sleep(50);
  return { received, expected, bytesUsed: () => memory.bytesUsed, post };
}

const ACCEPTED = Object.keys(ROWS) as (keyof typeof ROWS)[];

describe.each(sample(ACCEPTED, 1))('%s', (accept) => {
  test('a slow reader gets its own answer, and the memory is freed afterwards', async () => {
    const { received, expected, bytesUsed, post } = await askSlowly(accept);
    expect(expected.length).toBeGreaterThan(16_000_000);
    expect(received).toHaveLength(expected.length);
    expect(received.equals(expected)).toBe(true);
    const before = bytesUsed();
    await post(step(ROWS[accept], 9));
    await sleep(50);
    expect(bytesUsed()).toBe(before);
  });
});

test('a reader that disconnects frees the memory as well', async () => {
  const { buildApp } = await import('../helpers/app.ts');
  const { http, memory } = await buildApp();
  await http.listen({ port: 0, host: '127.0.0.1' });
  const { port } = http.server.address() as AddressInfo;
  const ask = async (isPatient: boolean) => {
    const body = JSON.stringify(step(ROWS[JSON_TYPE], 0));
    const socket = connect({ port, host: '127.0.0.1' }).pause();
    await once(socket, 'connect');
    socket.write(
      `POST /v1/step HTTP/1.1\r\nhost: localhost\r\ncontent-type: ${JSON_TYPE}\r\n` +
        `connection: close\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
    if (isPatient) {
      socket.resume();
      await once(socket, 'close');
    } else {
      await sleep(SLOW_MS);
      socket.destroy();
    }
    await sleep(100);
    return memory.bytesUsed;
  };
  const idle = await ask(true);
  await ask(false);
  await expect.poll(() => memory.bytesUsed).toBe(idle);
});

test('the connection of a reader that reads nothing is terminated, that of a slow reader is not', async () => {
  const { buildApp } = await import('../helpers/app.ts');
  const { http, memory } = await buildApp({ STREAM_STALL_MS: String(STALL_MS) });
  await http.listen({ port: 0, host: '127.0.0.1' });
  const { port } = http.server.address() as AddressInfo;
  const body = JSON.stringify(step(ROWS[JSON_TYPE], 0));
  const ask = async () => {
    const socket = connect({ port, host: '127.0.0.1' }).pause();
    await once(socket, 'connect');
    socket.write(
      `POST /v1/step HTTP/1.1\r\nhost: localhost\r\ncontent-type: ${JSON_TYPE}\r\n` +
        `connection: close\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
    return socket;
  };
  const slow = await ask();
  const startMs = performance.now();
  let slowBytes = 0;
  slow.on('data', (chunk) => {
    slowBytes += chunk.length;
    slow.pause();
    setTimeout(() => slow.resume(), 5);
  });
  slow.resume();
  await once(slow, 'close');
  expect(slowBytes).toBeGreaterThan(16_000_000);
  expect(performance.now() - startMs).toBeGreaterThan(STALL_MS);
  const idle = memory.bytesUsed;

  const stalled = await ask();
  await vi.waitUntil(() => memory.bytesUsed > idle + 16_000_000, WAIT);
  await vi.waitUntil(() => memory.bytesUsed === idle, WAIT);
  let stalledBytes = 0;
  stalled.on('error', () => {}).on('data', (chunk) => (stalledBytes += chunk.length)).resume();
  await once(stalled, 'close');
  expect(stalledBytes).toBeLessThan(slowBytes);
});

describe('control: memory that is freed while its answer is being sent is overwritten', () => {
  beforeAll(() => {
    vi.resetModules();
    vi.doMock('../../src/http/request.ts', async (original) => ({
      ...(await original<object>()),
      addRelease: (_request: unknown, release: () => void) => {
        setImmediate(release);
        return true;
      },
    }));
  });

  test.each(sized({ short: ACCEPTED.slice(0, 1), long: ACCEPTED }))('%s', async (accept) => {
    const { received, expected } = await askSlowly(accept);
    expect(received.equals(expected)).toBe(false);
  });
});
