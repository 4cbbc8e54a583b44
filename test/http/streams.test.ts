// Sequences as streams: the same bits as in one piece, bounded, and honest about how they end.
import { once } from 'node:events';
import { ServerResponse } from 'node:http';
import { Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { write } from '../../src/http/responses/stream-response.ts';
import { type TestApp, buildApp } from '../helpers/app.ts';
import { startServer } from '../helpers/process.ts';
import { bitsOf, nested, recurrences, weightsBody } from '../helpers/recurrence.ts';
import { writeSafetensors } from '../helpers/safetensors.ts';
import { EventReader, type StreamLine, openStream, readAll, readLines } from '../helpers/streams.ts';
import { fc } from '../helpers/seed.ts';

const NDJSON = 'application/x-ndjson';
const SSE = 'text/event-stream';
const W = { W_x: [[0.5]], W_h: [[0.25]] };

function repeat<Value>(count: number, value: Value): Value[] {
  return Array.from({ length: count }, () => value);
}

const plain = await buildApp({ MODELS_MAX: '10000' });
/** So few numbers make many chunks of a few steps. */
const CHUNK_NUMBERS = 700;
const chunked = await buildApp({ MODELS_MAX: '10000', ANSWER_NUMBERS_MAX: String(CHUNK_NUMBERS) });

function ask(app: TestApp, body: unknown, accept: string, url = '/v1/sequence') {
  const isFile = body instanceof Uint8Array;
  return app.http.inject({
    method: 'POST',
    url,
    headers: { 'content-type': isFile ? 'application/octet-stream' : 'application/json', accept },
    payload: isFile ? Buffer.from(body) : JSON.stringify(body),
  });
}

/** Waits until all memory is given back, and says how long that took. */
async function untilIdle(app: TestApp, bytesIdle: number): Promise<number> {
  const start = performance.now();
  while (app.memory.bytesUsed !== bytesIdle && performance.now() - start < 20_000) await sleep(5);
  expect(app.memory.bytesUsed).toBe(bytesIdle);
  return performance.now() - start;
}

async function urlOf(app: TestApp): Promise<string> {
  return `${await app.http.listen({ host: '127.0.0.1', port: 0 })}/v1/sequence`;
}

/** The answer in one piece that the lines of a stream add up to, with T as the outer axis. */
function together(lines: readonly StreamLine[]) {
  const { done, t, ...last } = lines.at(-1)!;
  expect(done).toBe(true);
  const steps = lines.slice(0, -1);
  expect(steps.map((step) => step.t)).toEqual(steps.map((_, i) => i + 1));
  if (steps.length > 0) expect(t).toBe(steps.length);
  const field = (read: (step: StreamLine) => unknown) =>
    steps.length > 0 && read(steps[0]!) !== undefined ? steps.map(read) : undefined;
  const trace = steps[0]?.trace && {
    h_W_h: field((step) => step.trace.h_W_h),
    x_W_x: field((step) => step.trace.x_W_x),
    z: field((step) => step.trace.z),
  };
  const all = { hs: field((step) => step.h), ys: field((step) => step.y), trace, ...last };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

/** An answer with layout NTD as one with TND. */
function timeFirst({ hs, ys, trace, ...last }: any): any {
  const swap = (cube: any[][] | undefined) =>
    cube?.[0]!.map((_, t) => cube.map((row: any[]) => row[t]));
  const products =
    trace && Object.fromEntries(Object.entries<any>(trace).map(([name, cube]) => [name, swap(cube)]));
  const all = { hs: swap(hs), ys: swap(ys), trace: products, ...last };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

/** By name, so that two answers are the same if their fields, shapes and bits are. */
function content(answer: any): Record<string, unknown> {
  const shape = (value: any): number[] =>
    Array.isArray(value) ? [value.length, ...shape(value[0])] : [];
  const { trace = {}, ...tensors } = answer;
  return Object.fromEntries(
    Object.entries<any>({ ...tensors, ...trace }).map(([name, value]) => [
      name,
      { shape: shape(value), bits: bitsOf(value) },
    ]),
  );
}

describe('a stream', () => {
  const options = fc.record({
    layout: fc.constantFrom('TND', 'NTD'),
    outputs: fc.constantFrom(['hs'], ['h'], ['hs', 'h'], undefined),
    trace: fc.boolean(),
    hasState: fc.boolean(),
    hasLengths: fc.boolean(),
    O: fc.nat(4),
    asFile: fc.boolean(),
    seed: fc.nat(1_000),
  });

  test('adds up to the answer in one piece, bit for bit, whatever is asked for', async () => {
    await fc.assert(
      fc.asyncProperty(recurrences(12, 60), options, async (input, option) => {
        const { T, N, weights, x, h } = input;
        const { D, H } = weights;
        const { layout, outputs, trace, O, seed } = option;
        const W_y = Float32Array.from({ length: H * O }, (_, i) => Math.sin(i + seed));
        const model = {
          weights: weightsBody(weights),
          ...(O > 0 && { readout: { W_y: nested(W_y, [H, O]) } }),
        };
        const { body } = await plain.post('/v1/models', model);
        await chunked.post('/v1/models', model);
        const lengths = Array.from({ length: N }, (_, n) => (n * 7 + seed) % (T + 1));
        const shape = layout === 'NTD' ? [N, T, D] : [T, N, D];
        const request = option.asFile
          ? writeSafetensors(
              { x: { shape, data: x }, ...(option.hasState && { h: { shape: [N, H], data: h } }) },
              {
                model: body.id,
                layout,
                trace: String(trace),
                ...(outputs && { outputs: outputs.join(',') }),
                ...(option.hasLengths && { lengths: lengths.join(',') }),
              },
            )
          : {
              model: body.id,
              x: nested(x, shape),
              h: option.hasState ? nested(h, [N, H]) : undefined,
              lengths: option.hasLengths ? lengths : undefined,
              layout,
              outputs,
              trace,
            };

        const answer = (await ask(plain, request, 'application/json')).json();
        const whole = layout === 'NTD' ? timeFirst(answer) : answer;
        for (const app of [plain, chunked]) {
          const lines = await ask(app, request, NDJSON);
          if (app === chunked && lines.statusCode === 422) {
            // One step alone is beyond the limit.
            expect(lines.json().code).toBe('limit_exceeded');
            continue;
          }
          expect(lines.statusCode, lines.body.slice(0, 300)).toBe(200);
          expect(content(together(readLines(lines.body)))).toEqual(content(whole));

          const reader = new EventReader();
          reader.push((await ask(app, request, SSE)).rawPayload);
          expect(reader.events.map(({ data }) => `${data}\n`).join('')).toBe(lines.body);
        }
      }),
      { numRuns: 60 },
    );
    expect(chunked.memory.bytesUsed).toBeGreaterThan(0);
  });

  test('has headers that let each step through at once', async () => {
    const answer = await ask(plain, { weights: W, x: [[[1]]] }, NDJSON);
    expect(answer.headers).toMatchObject({
      'content-type': NDJSON,
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
      vary: 'accept, accept-encoding',
      'x-content-type-options': 'nosniff',
    });
    expect(answer.headers['content-length']).toBeUndefined();
    expect(answer.headers['x-request-id']).toBeTruthy();
  });

  test('is not compressed, though the client would take it', async () => {
    const answer = await plain.http.inject({
      method: 'POST',
      url: '/v1/sequence',
      headers: { accept: NDJSON, 'accept-encoding': 'gzip, br' },
      payload: { weights: W, x: repeat(10_000, [[1]]) },
    });
    expect(answer.headers['content-encoding']).toBeUndefined();
    expect(readLines(answer.body)).toHaveLength(10_001);
  });

  test('may be longer than an answer: the limit on numbers holds for a step', async () => {
    const x = repeat(2_000, [[1]]);
    expect((await ask(chunked, { weights: W, x }, 'application/json')).json().code).toBe(
      'limit_exceeded',
    );
    expect(readLines((await ask(chunked, { weights: W, x }, NDJSON)).body)).toHaveLength(2_001);
    const rows = [repeat(CHUNK_NUMBERS, [1])];
    const tooWide = await ask(chunked, { weights: W, x: rows }, NDJSON);
    expect(tooWide.json()).toMatchObject({ status: 422, code: 'limit_exceeded' });
    const bounded = await buildApp({ WORK_FLOPS_MAX: '1000' });
    expect((await ask(bounded, { weights: W, x }, NDJSON)).json().detail).toMatch(/WORK_FLOPS_MAX/);
  });

  test('of events is read whole, wherever the bytes are cut', async () => {
    const body = { weights: W, x: [[[1]], [[2]]] };
    const bytes = (await ask(plain, body, SSE)).rawPayload;
    const whole = new EventReader();
    whole.push(bytes);
    expect(whole.events.map(({ type, lastEventId }) => `${type} ${lastEventId}`)).toEqual([
      'step 1',
      'step 2',
      'done 2',
    ]);
    for (let size = 1; size < 40; size++) {
      const reader = new EventReader();
      for (let at = 0; at < bytes.length; at += size) reader.push(bytes.subarray(at, at + size));
      expect(reader.events).toEqual(whole.events);
    }
  });

  test('lets others have their turn, though the socket takes all at once', async () => {
    // Every chunk is small enough for the main thread, and all of them for the socket's buffer.
    const here = await buildApp({ ANSWER_NUMBERS_MAX: '100' }, { inlineFlopsMax: 1e9 });
    const url = await urlOf(here);
    let turns = 0;
    let isRunning = true;
    const count = () => {
      turns++;
      if (isRunning) setImmediate(count);
    };
    here.http.server.once('request', count);
    const answer = await openStream(url, { weights: W, x: repeat(5_000, [[1]]) });
    await readAll(answer);
    isRunning = false;
    expect(turns).toBeGreaterThan(5_000 / 100);
  });
});

describe('what is wrong before the first step', () => {
  test.each([
    [{ weights: W, x: [[[1, 2]]] }, 422, 'shape_mismatch'],
    [{ weights: W, x: [[[1e39]]] }, 422, 'out_of_range'],
    [{ weights: W, x: [[[1]]], lengths: [2] }, 422, 'out_of_range'],
    [{ weights: W, x: [[[1]], [[1], [2]]] }, 400, 'ragged_array'],
    [{ weights: W, model: 'sunspots', x: [[[1]]] }, 400, 'invalid_request'],
    [{ model: 'none', x: [[[1]]] }, 404, 'model_not_found'],
    [{ weights: { W_x: [[3e38]], W_h: [[0]] }, x: [[[9]]], trace: true }, 422, 'not_finite'],
  ])('is an ordinary problem: %j', async (body, status, code) => {
    const bytesIdle = plain.memory.bytesUsed;
    const answer = await ask(plain, body, NDJSON);
    expect(answer.statusCode).toBe(status);
    expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
    expect(answer.json().code).toBe(code);
    // Weights that were packed stay in the cache; nothing else stays.
    expect(plain.memory.bytesUsed - bytesIdle).toBeLessThan(1_000);
  });

  test('406 lists streams where there are some; a step has none', async () => {
    const sequence = await ask(plain, { weights: W, x: [[[1]]] }, 'text/html');
    expect(sequence.json()).toMatchObject({ status: 406, code: 'not_acceptable' });
    expect(sequence.json().detail).toContain(NDJSON);
    expect(sequence.json().detail).toContain(SSE);
    expect(sequence.headers['vary']).toMatch(/^accept, accept-encoding$/);
    for (const type of [NDJSON, SSE]) {
      const step = await ask(plain, { weights: W, x: [[1]] }, type, '/v1/step');
      expect(step.json()).toMatchObject({ status: 406, code: 'not_acceptable' });
      expect(step.json().detail).not.toContain(`${type},`);
    }
  });

  test('JSON comes first where Accept leaves the choice', async () => {
    for (const accept of ['*/*', 'application/*', `${NDJSON};q=0.5, application/json`]) {
      const answer = await ask(plain, { weights: W, x: [[[1]]] }, accept);
      expect(answer.headers['content-type']).toMatch(/^application\/json/);
    }
  });
});

describe('what goes wrong in the middle', () => {
  const workerEntry = new URL('../fixtures/workers/faulty.ts', import.meta.url);

  test.each([1001, 1005])('is the last line: a worker fails at input %d', async (fault) => {
    const code = 'worker_failed';
    const app = await buildApp(
      { ANSWER_NUMBERS_MAX: '20', WORKER_HANG_MS: '300', WEIGHTS_CACHE_BYTES_MAX: '0' },
      { workerEntry, inlineFlopsMax: 0 },
    );
    const bytesIdle = app.memory.bytesUsed;
    // The worker looks at the first input of a chunk: that of the first is harmless.
    const x = [[[0.5]], ...repeat(99, [[fault]])];
    for (const type of [NDJSON, SSE]) {
      const answer = await ask(app, { weights: W, x }, type);
      expect(answer.statusCode).toBe(200);
      const reader = new EventReader();
      reader.push(answer.rawPayload);
      const jsonCodec = type === SSE ? reader.events.map(({ data }) => data) : answer.body.split('\n');
      const lines = jsonCodec.filter((text) => text !== '').map((text) => JSON.parse(text));
      expect(lines.length).toBeGreaterThan(5);
      expect(lines.at(-2).t).toBe(lines.length - 1);
      expect(lines.at(-1).error).toMatchObject({
        code,
        instance: answer.headers['x-request-id'],
        type: `/problems#${code}`,
      });
      if (type === SSE) expect(reader.events.at(-1)!.type).toBe('error');
      await untilIdle(app, bytesIdle);
      while ((await app.http.inject('/health/ready')).statusCode !== 200) await sleep(5);
    }
    expect((await ask(app, { weights: W, x: [[[1]]] }, NDJSON)).statusCode).toBe(200);
  });

  test('a crowd is waited for: streams that have begun share one worker without a queue', async () => {
    const app = await buildApp(
      { ANSWER_NUMBERS_MAX: '20', QUEUE_JOBS_MAX: '0', WORKERS: '1' },
      { inlineFlopsMax: 0 },
    );
    const url = await urlOf(app);
    const x = repeat(60_000, [[0.5]]);
    const streams = [];
    while (streams.length < 3) {
      const answer = await openStream(url, { weights: W, x });
      if (answer.statusCode === 200) streams.push(answer);
      else await readAll(answer);
    }
    const jsonCodec = await Promise.all(streams.map((answer) => readAll(answer)));
    for (const { text } of jsonCodec) expect(readLines(text).at(-1)).toMatchObject({ done: true });
  });

  test('a result that is not finite names its place in the whole sequence', async () => {
    const app = await buildApp({ ANSWER_NUMBERS_MAX: '100' });
    const x = repeat(200, [[0.1]]).with(150, [[9]]);
    const body = { weights: { W_x: [[3e38]], W_h: [[0]] }, x, trace: true };
    const { error } = readLines((await ask(app, body, NDJSON)).body).at(-1)!;
    expect(error).toMatchObject({ code: 'not_finite' });
    expect(error!.detail).toMatch(/^trace\.x_W_x\[150\]\[0\]\[0\] is Infinity/);
    expect((await ask(plain, body, 'application/json')).json().detail).toBe(error!.detail);
  });

  test('but not the readout of a state between, unless all are asked for', async () => {
    const [T, N, H] = [100, 64, 256];
    // y overflows for h = tanh(5), and does not for h = tanh(-0.5). A chunk has fewer steps than T.
    const unit = repeat(H, 0).with(0, 1);
    const model = {
      weights: { W_x: [unit], W_h: repeat(H, repeat(H, 0)) },
      readout: { W_y: unit.map((one) => [3e38 * one]), b_y: [3e38] },
    };
    const { body } = await plain.post('/v1/models', model);
    const step = (value: number) => repeat(N, [value]);
    const x = Array.from({ length: T }, (_, t) => step(t < 10 || t === T - 1 ? -0.5 : 5));
    const request = { model: body.id, x, outputs: ['h'] };
    const whole = (await ask(plain, request, 'application/json')).json();
    expect(whole.y).toHaveLength(N);
    const [last, ...others] = readLines((await ask(plain, request, NDJSON)).body);
    expect(others).toEqual([]);
    expect(last!.y).toEqual(whole.y);
    const all = await ask(plain, { ...request, outputs: ['hs', 'h'] }, NDJSON);
    expect(readLines(all.body).at(-1)!.error).toMatchObject({ code: 'not_finite' });
  });
});

describe('a reader', () => {
  /** 25 MB of text: more than the buffers of two sockets. */
  const long = { weights: { W_x: [repeat(8, 0.5)], W_h: repeat(8, repeat(8, 0.1)) } };
  const body = { ...long, x: Array.from({ length: 40_000 }, (_, t) => repeat(8, [Math.sin(t)])) };

  test('that goes away ends the computation and frees its memory', async () => {
    const app = await buildApp({ WEIGHTS_CACHE_BYTES_MAX: '0' });
    const bytesIdle = app.memory.bytesUsed;
    const url = await urlOf(app);
    for (let round = 0; round < 5; round++) {
      const answer = await openStream(url, body);
      await once(answer, 'readable');
      expect(app.memory.bytesUsed).toBeGreaterThan(bytesIdle + 40_000 * 8 * 4);
      answer.destroy();
      expect(await untilIdle(app, bytesIdle)).toBeLessThan(1_000);
    }
  });

  test('that goes away ends it also where there is nothing to send yet', async () => {
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
    expect(await untilIdle(app, bytesIdle)).toBeLessThan(500);
  });

  test('that takes nothing for STREAM_STALL_MS is cut off; a slow one is not', async () => {
    const app = await buildApp({ STREAM_STALL_MS: '600', WEIGHTS_CACHE_BYTES_MAX: '0' });
    const bytesIdle = app.memory.bytesUsed;
    const url = await urlOf(app);
    const [stalled, slow] = [await openStream(url, body), await openStream(url, body)];
    let slowBytes = 0;
    let wasCut = false;
    slow.once('error', () => {
      wasCut = true;
    });
    const start = performance.now();
    while (performance.now() - start < 3_000) {
      slowBytes += (slow.read() as Buffer | null)?.length ?? 0;
      await sleep(20);
    }
    expect([wasCut, slow.readableEnded]).toEqual([false, false]);
    expect(slowBytes).toBeGreaterThan(1_000_000);
    slow.destroy();
    const left = await readAll(stalled);
    expect(left.wasCut).toBe(true);
    expect(left.text).not.toContain('done');
    await untilIdle(app, bytesIdle);
  });

  test('too many at a time: 503 with Retry-After, until one has ended', async () => {
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
      expect(performance.now() - start).toBeLessThan(2_000);
      await sleep(5);
    }
  });

  test('of a long stream does not take room for bodies from others', async () => {
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

  test('is told when the server closes, and cut if it does not listen', async () => {
    const app = await buildApp({ SHUTDOWN_TIMEOUT_MS: '2000' });
    const url = await urlOf(app);
    const [late, deaf, fast] = [
      await openStream(url, body),
      await openStream(url, body),
      await openStream(url, { weights: W, x: repeat(100, [[1]]) }),
    ];
    const start = performance.now();
    const closed = app.close();
    const lines = readLines((await readAll(fast)).text);
    expect(lines.at(-1)).toMatchObject({ done: true });
    // Half of the time is over: what comes now ends with an error. At three quarters it is cut.
    await sleep(1_100);
    const told = await readAll(late);
    expect(told.wasCut).toBe(false);
    const last = readLines(told.text).at(-1)!;
    expect(last.error).toMatchObject({ code: 'shutting_down' });
    await closed;
    expect(performance.now() - start).toBeLessThan(3_000);
    expect((await readAll(deaf)).wasCut).toBe(true);
    expect(app.memory.bytesUsed).toBeLessThan(1e6);
  });

  test('that does not listen does not keep a process from ending as it should', async () => {
    const server = await startServer({ SHUTDOWN_TIMEOUT_MS: '2000' });
    const deaf = await openStream(`${server.url}/v1/sequence`, body);
    expect(deaf.statusCode).toBe(200);
    expect(await server.stop(), server.output()).toBe(0);
    expect((await readAll(deaf)).wasCut).toBe(true);
  });
});

describe('write', () => {
  function responseTo(socket: Writable): ServerResponse {
    const response = new ServerResponse({ method: 'POST', httpVersionMajor: 1 } as never);
    response.useChunkedEncodingByDefault = false;
    response.assignSocket(socket as never);
    return response;
  }

  test('keeps every byte, also of characters that it cuts in two', async () => {
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

  test('is true only when all has been taken, and false when the connection is lost before', async () => {
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
