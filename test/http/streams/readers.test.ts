// Readers of streams that disconnect, stall or are slow, and streams at shutdown.
import { once } from 'node:events';
import { ServerResponse } from 'node:http';
import { Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { write } from '../../../src/http/responses/stream-response.ts';
import { buildApp } from '../../helpers/app.ts';
import { sized, testLong } from '../../helpers/long.ts';
import { startServer } from '../../helpers/process.ts';
import { openStream, readAll, readLines } from '../../helpers/streams.ts';
import { NDJSON, W, ask, repeat, untilIdle, urlOf } from './requests.ts';

describe('a reader', () => {
  /** 25 MB of text: more than the buffers of two sockets. */
  const long = { weights: { W_x: [repeat(64, 0.5)], W_h: repeat(64, repeat(64, 0.01)) } };
  const body = { ...long, x: Array.from({ length: 40_000 }, (_, t) => [[Math.sin(t)]]) };

  test('a reader that disconnects ends the computation, and its memory is freed', async () => {
    const app = await buildApp({ WEIGHTS_CACHE_BYTES_MAX: '0' });
    const bytesIdle = app.memory.bytesUsed;
    const url = await urlOf(app);
    for (let round = 0; round < sized({ short: 1, long: 3 }); round++) {
      const response = await openStream(url, body);
      await once(response, 'readable');
      expect(app.memory.bytesUsed).toBeGreaterThan(bytesIdle + 40_000 * 4);
      response.destroy();
      expect(await untilIdle(app, bytesIdle)).toBeLessThan(5_000);
    }
  });

  test('a reader that disconnects before the first bytes are sent ends it too', async () => {
    const app = await buildApp({ WEIGHTS_CACHE_BYTES_MAX: '0' });
    const bytesIdle = app.memory.bytesUsed;
    const url = await urlOf(app);
    const abort = new AbortController();
    const H = 256;
    const wide = {
      weights: { W_x: [repeat(H, 0.01)], W_h: repeat(H, repeat(H, 0.001)) },
      // Some seconds of work.
      x: repeat(5_000, repeat(128, [1])),
      outputs: ['h'],
    };
    const asked = fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: NDJSON },
      body: JSON.stringify(wide),
      signal: abort.signal,
    }).catch(() => undefined);
    while (app.memory.bytesUsed < bytesIdle + 5_000 * 128 * 4) await sleep(5);
    await sleep(50);
    abort.abort();
    await asked;
    expect(await untilIdle(app, bytesIdle)).toBeLessThan(1_000);
  });

  test('a reader that reads nothing for STREAM_STALL_MS is disconnected; a slow one is not', async () => {
    const app = await buildApp({ STREAM_STALL_MS: '600', WEIGHTS_CACHE_BYTES_MAX: '0' });
    const bytesIdle = app.memory.bytesUsed;
    const url = await urlOf(app);
    const [stalled, slow] = [await openStream(url, body), await openStream(url, body)];
    let slowBytes = 0;
    let wasTerminated = false;
    slow.once('error', () => {
      wasTerminated = true;
    });
    const start = performance.now();
    while (performance.now() - start < 3_000) {
      slowBytes += (slow.read() as Buffer | null)?.length ?? 0;
      await sleep(20);
    }
    expect([wasTerminated, slow.readableEnded]).toEqual([false, false]);
    expect(slowBytes).toBeGreaterThan(1_000_000);
    slow.destroy();
    const left = await readAll(stalled);
    expect(left.wasTerminated).toBe(true);
    expect(left.text).not.toContain('done');
    await untilIdle(app, bytesIdle);
  });

  test('a reader beyond STREAMS_MAX is answered 503 with Retry-After, until a stream has ended', async () => {
    const app = await buildApp({ STREAMS_MAX: '1' });
    const url = await urlOf(app);
    const first = await openStream(url, body);
    const second = await openStream(url, { weights: W, x: [[[1]]] });
    expect(second.statusCode).toBe(503);
    expect(second.headers['retry-after']).toBe('1');
    expect(JSON.parse((await readAll(second)).text)).toMatchObject({ code: 'queue_full' });
    expect((await ask(app, { weights: W, x: [[[1]]] }, 'application/json')).statusCode).toBe(200);
    first.destroy();
    const start = performance.now();
    for (;;) {
      const third = await openStream(url, { weights: W, x: [[[1]]] });
      const { text } = await readAll(third);
      if (third.statusCode === 200) {
        expect(readLines(text)).toHaveLength(2);
        break;
      }
      expect(performance.now() - start).toBeLessThan(30_000);
      await sleep(5);
    }
  });

  test('a reader of a long stream takes nothing of the budget of bodies', async () => {
    const bytes = Buffer.byteLength(JSON.stringify(body));
    const [BODY_BYTES_MAX, BODIES_BYTES_MAX] = [String(bytes), String(Math.floor(bytes * 1.5))];
    const app = await buildApp({ BODY_BYTES_MAX, BODIES_BYTES_MAX });
    const url = await urlOf(app);
    const first = await openStream(url, body);
    const second = await openStream(url, body);
    expect([first.statusCode, second.statusCode]).toEqual([200, 200]);
    first.destroy();
    second.destroy();
  });

  test('a reader is sent an error when the server closes, and disconnected if it does not read', async () => {
    const app = await buildApp({ SHUTDOWN_TIMEOUT_MS: '2000' });
    const url = await urlOf(app);
    const [late, silent, fast] = [
      await openStream(url, body),
      await openStream(url, body),
      await openStream(url, { weights: W, x: repeat(100, [[1]]) }),
    ];
    const start = performance.now();
    const closed = app.close();
    const lines = readLines((await readAll(fast)).text);
    expect(lines.at(-1)).toMatchObject({ done: true });
    // After half of the time streams end with an error; after three quarters they are disconnected.
    await sleep(1_100);
    const sent = await readAll(late);
    expect(sent.wasTerminated).toBe(false);
    const last = readLines(sent.text).at(-1)!;
    expect(last.error).toMatchObject({ code: 'shutting_down' });
    await closed;
    expect(performance.now() - start).toBeLessThan(10_000);
    expect((await readAll(silent)).wasTerminated).toBe(true);
    expect(app.memory.bytesUsed).toBeLessThan(1e6);
  });

  // In the short form connections/connections.test.ts ends a process.
  testLong('a reader that does not read does not keep a process from exiting', async () => {
    const server = await startServer({ SHUTDOWN_TIMEOUT_MS: '5000' });
    const silent = await openStream(`${server.url}/v1/sequence`, body);
    expect(silent.statusCode).toBe(200);
    expect(await server.stop(), server.output()).toBe(0);
    expect((await readAll(silent)).wasTerminated).toBe(true);
  });
});

describe('write', () => {
  function responseTo(socket: Writable): ServerResponse {
    const response = new ServerResponse({ method: 'POST', httpVersionMajor: 1 } as never);
    response.useChunkedEncodingByDefault = false;
    response.assignSocket(socket as never);
    return response;
  }

  test('every byte is written, also of characters that are split', async () => {
    const text = 'h₁ = tanh(…) 😀 '.repeat(5_000);
    const parts: Buffer[] = [];
    const socket = new Writable({
      write: (part, _, done) => {
        parts.push(Buffer.from(part));
        setImmediate(done);
      },
    });
    const response = responseTo(socket);
    expect(await write(response, Buffer.from(text))).toBe(true);
    const sent = Buffer.concat(parts).toString();
    expect(sent.slice(sent.indexOf('\r\n\r\n') + 4)).toBe(text);
    expect(parts.some((part) => part.at(-1)! >= 0x80)).toBe(true);
  });

  test('write() resolves to true when all is written, to false when the connection is lost before', async () => {
    const held: (() => void)[] = [];
    const socket = new Writable({ write: (_part, _encoding, done) => void held.push(done) });
    const response = responseTo(socket);
    let isSettled = false;
    const writing = write(response, Buffer.alloc(10)).finally(() => {
      isSettled = true;
    });
    await sleep(20);
    expect(isSettled).toBe(false);
    socket.destroy();
    expect(await writing).toBe(false);
    expect(held).toHaveLength(1);
  });
});
