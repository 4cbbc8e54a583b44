// JSON bodies over HTTP: the three paths of parsing give the same answers, and linear memory is freed however a
// request ends.
import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { CarryoverError } from '../../src/errors.ts';
import type { LinearMemory } from '../../src/wasm/memory.ts';
import { type TestApp, buildApp } from '../helpers/app.ts';
import { HOSTILE_CORPUS, hostileRequests } from '../helpers/hostile.ts';
import { runs } from '../helpers/long.ts';
import { SEED, fc } from '../helpers/seed.ts';

/** Dispatches every body above 12 KiB to the worker. */
const app = await buildApp({ WEIGHTS_CACHE_BYTES_MAX: '0' }, { inlineFlopsMax: 0 });
/** Parses whole bodies by JSON.parse: the reference. */
const plain = await buildApp({}, { reading: { wholeBytesMax: Infinity, inlineBytesMax: Infinity } });
/** Lets the kernel read bodies of any length on the main thread, and JSON.parse those that it declines. */
const fast = await buildApp({}, { reading: { wholeBytesMax: 0, inlineBytesMax: Infinity } });
/** Lets a worker read bodies of any length, and find out what is wrong with them. */
const long = await buildApp({}, { inlineFlopsMax: 0, reading: { wholeBytesMax: 0, inlineBytesMax: 0 } });
const HOSTILE = runs(1_000);
const bytesIdle = app.memory.bytesUsed;
const { port } = (await app.http.listen({ port: 0 }), app.http.server.address() as AddressInfo);

/** Waits up to 2 s, as a request ends only when its connection is closed. */
async function expectIdle(): Promise<void> {
  for (let i = 0; i < 200 && app.memory.bytesUsed !== bytesIdle; i++) await sleep(10);
  expect(app.memory.bytesUsed).toBe(bytesIdle);
}

const W = { W_x: [[0.5, -1]], W_h: [[1, 0.25], [0.125, 1e-3]] };

function stepBody(N: number): string {
  return JSON.stringify({ weights: W, x: Array.from({ length: N }, (_, n) => [n / 1_000 + 1 / 3]) });
}

async function responseOf(path: TestApp, url: string, body: string) {
  const { status, body: response } = await path.post(url, body);
  return { status, response: { ...response, instance: undefined } };
}

/** @param isWrongOnce whether the body has one fault at most; of several, a long body may report another one first */
async function expectSame(url: string, text: string, isWrongOnce = true): Promise<void> {
  const expected = await responseOf(plain, url, text);
  expect(await responseOf(fast, url, text), text.slice(0, 300)).toEqual(expected);
  const response = await responseOf(long, url, text);
  if (isWrongOnce) expect(response, text.slice(0, 300)).toEqual(expected);
  else expect(response.status >= 400, text.slice(0, 300)).toBe(expected.status >= 400);
}

describe('every path of parsing', () => {
  test('valid bodies of any size are answered the same', async () => {
    for (const N of [1, 2, 100, 3_000]) await expectSame('/v1/step', stepBody(N));
  });

  test.each([
    ['a rank too low', '{"x":[1.50,2]}'],
    ['a rank too high', '{"x":[[[1,2],[3,4]]]}'],
    ['a row that is too short', '{"x":[[1,2],[3]]}'],
    ['null in a row', '{"x":[[1,2],[3,null]]}'],
    ['a string in a row', '{"x":[[1,2],["3",4]]}'],
    ['an object in a row', '{"x":[[1,2],[3,{}]]}'],
    ['a number among rows', '{"x":[[1,2],3]}'],
    ['a number beyond float32', '{"x":[[1],[1e39]]}'],
    ['a decimal that rounds beyond float32', '{"x":[[3.40282356779733661637539395458142568448e38]]}'],
    ['an empty row', '{"x":[[1],[]]}'],
    ['a name with an escape in it', '{"\\u0078":[[1.5]]}'],
    ['two names with escapes', '{"x":[[1.5]],"\\u0068":[[1]]}'],
    ['a tensor where an object is expected', '{"x":[[1]],"weights":[[1,2]]}'],
    ['a bias of three axes', '{"x":[[1]],"weights":{"W_x":[[1]],"W_h":[[1]],"b":[[[1,2,3]]]}}'],
    ['a bias of the wrong length', '{"x":[[1]],"weights":{"W_x":[[1]],"W_h":[[1]],"b":[[1,2,3]]}}'],
    ['a shape that does not fit', '{"x":[[1,2]],"weights":{"W_x":[[1]],"W_h":[[1]]}}'],
    ['an unknown field', '{"x":[[1]],"y":[[1]]}'],
    ['a tensor in an unknown field', '{"x":[[1]],"y":{"h":[[1]]}}'],
    ['a key that appears twice', '{"x":[[1]],"h":[[1]],"h":[[2]]}'],
    ['a tensor twice', '{"x":[[1]],"x":[[2]]}'],
    ['no end', '{"x":[[1,2'],
    ['a comma too many', '{"x":[[1,2,]]}'],
    ['two objects', '{"x":[[1,2]]}{}'],
  ])('the answer is the same for %s', async (_, text) => {
    const body = text.includes('weights') ? text : text.replace('{', '{"model":"sunspots",');
    await expectSame('/v1/step', body);
    await expectSame('/v1/sequence', body, false);
  });

  test(`the hostile corpus and ${HOSTILE} hostile bodies are answered the same`, async () => {
    const random = fc.sample(hostileRequests, { numRuns: HOSTILE, seed: SEED });
    const json = [...HOSTILE_CORPUS, ...random].filter(
      ({ headers, body }) => headers['content-type'] === 'application/json' && body.length < 200_000,
    );
    expect(json.length).toBeGreaterThan(HOSTILE / 2);
    for (const { url, body } of json) await expectSame(url, body.toString(), false);
  });

  test('the error for malformed JSON has the byte and the path', async () => {
    const text = '{"é":1,"x":[[1,2],[3,}';
    await expectSame('/v1/step', text);
    const { response } = await responseOf(long, '/v1/step', text);
    expect(response.errors).toEqual([{ pointer: '/x/1/1', message: response.detail }]);
    expect(response.detail).toBe('Not JSON at byte 22, in /x/1/1: expected a value, got "}".');
  });
});

describe('memory of bodies', () => {
  test('an answer frees the memory', async () => {
    const bodies = [1, 10, 1_000, 4_000].map(stepBody);
    const responses = await Promise.all(bodies.map((body) => app.post('/v1/step', body)));
    expect(new Set(responses.map(({ status }) => status))).toEqual(new Set([200]));
    // Its answer is copied in several iterations of the event loop.
    const x = Array.from({ length: 60_000 }, (_, t) => [[1 / (t + 1)]]);
    const { body } = await app.post('/v1/sequence', { weights: W, x });
    expect(body.hs.length).toBe(60_000);
    expect(body.hs.at(-1)).toEqual(body.h);
    await expectIdle();
  });

  test('a refusal frees the memory, before and after the tensors were read', async () => {
    const big = stepBody(3_000);
    const bodies = [
      big.replace(']]}', ']'),
      big.replace('"x"', '"y"'),
      big.replace('"W_h"', '"W_y"'),
      big.replace('[[0.5,-1]]', '[[0.5,-1],[1,1]]'),
      big.replace('[[0.5,-1]]', '[[1e39,-1]]'),
      '{"x":[[1]]',
    ];
    for (const body of bodies) expect((await app.post('/v1/step', body)).status).toBeGreaterThan(399);
    const other = { method: 'POST', url: '/v1/nothing', payload: {} } as const;
    expect((await app.http.inject(other)).statusCode).toBe(404);
    await expectIdle();
  });

  test('a lost connection frees the memory: in the head, in the body, and before the answer', async () => {
    const body = stepBody(4_000);
    const head = `POST /v1/step HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n`;
    const whole = `${head}content-length: ${body.length}\r\n\r\n${body}`;
    const chunked = `${head}transfer-encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}`;
    for (const text of [whole, chunked]) {
      for (const part of [0.001, 0.1, 0.5, 0.9, 0.999, 1]) {
        for (const waitMs of [0, 1, 5, 30]) {
          const socket = connect(port, '127.0.0.1');
          socket.on('error', () => {});
          socket.write(text.slice(0, Math.floor(text.length * part)));
          await sleep(waitMs);
          socket.destroy();
          await once(socket, 'close');
        }
      }
    }
    await expectIdle();
    expect((await app.post('/v1/step', body)).status).toBe(200);
  });

  test('control: a body that is being received takes memory', async () => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write(
      'POST /v1/step HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n' +
        `content-length: 1000001\r\n\r\n{${' '.repeat(999_999)}`,
    );
    for (let i = 0; i < 200 && app.memory.bytesUsed < bytesIdle + 1e6; i++) await sleep(10);
    expect(app.memory.bytesUsed).toBeGreaterThan(bytesIdle + 1_000_000);
    socket.destroy();
    await expectIdle();
  });

  test('a body that does not fit in memory is answered memory_full, and a smaller one is served', async () => {
    const small = await buildApp();
    fillMemory(small.memory, 1024 * 1024);
    const idle = small.memory.bytesUsed;
    const full = await small.post('/v1/step', stepBody(150_000));
    expect(full.body.code).toBe('memory_full');
    expect(small.memory.bytesUsed).toBe(idle);
    expect((await small.post('/v1/step', stepBody(3))).status).toBe(200);
  });
});

/** Allocates all memory but one block of so many bytes, and smaller gaps. */
function fillMemory(memory: LinearMemory, bytes: number): void {
  let last = 0;
  try {
    for (;;) last = memory.allocate(bytes);
  } catch (error) {
    if ((error as CarryoverError).code !== 'memory_full') throw error;
    memory.free(last);
  }
}

test('a body without a declared length, in many pieces, is read', async () => {
  const body = Buffer.from(stepBody(1_000));
  const pieces = Array.from({ length: 100 }, (_, i) =>
    body.subarray(Math.floor((i * body.length) / 100), Math.floor(((i + 1) * body.length) / 100)),
  );
  const response = await fetch(`http://127.0.0.1:${port}/v1/step`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: Readable.toWeb(Readable.from(pieces)) as unknown as BodyInit,
    duplex: 'half',
  } as RequestInit);
  expect(await response.json()).toEqual((await app.post('/v1/step', stepBody(1_000))).body);
  await expectIdle();
});
