// Streams of steps: the same bits as in one piece, and how they are sent.
import { describe, expect, test } from 'vitest';
import { buildApp } from '../../helpers/app.ts';
import { runs } from '../../helpers/long.ts';
import { bitsOf, nested, recurrences, weightsBody } from '../../helpers/recurrence.ts';
import { writeSafetensors } from '../../helpers/safetensors.ts';
import { fc } from '../../helpers/seed.ts';
import { EventReader, type StreamLine, openStream, readAll, readLines } from '../../helpers/streams.ts';
import { NDJSON, SSE, W, ask, repeat, urlOf } from './requests.ts';

const plain = await buildApp({ MODELS_MAX: '10000' });
/** So few numbers make many chunks of a few steps. */
const CHUNK_NUMBERS = 700;
const chunked = await buildApp({ MODELS_MAX: '10000', ANSWER_NUMBERS_MAX: String(CHUNK_NUMBERS) });

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
function content(response: any): Record<string, unknown> {
  const shape = (value: any): number[] =>
    Array.isArray(value) ? [value.length, ...shape(value[0])] : [];
  const { trace = {}, ...tensors } = response;
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

  test('a stream has the same bits as the response in one piece, with all options', async () => {
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

        const response = (await ask(plain, request, 'application/json')).json();
        const whole = layout === 'NTD' ? timeFirst(response) : response;
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
      { numRuns: runs(60) },
    );
    expect(chunked.memory.bytesUsed).toBeGreaterThan(0);
  });

  test('a stream has headers that make proxies forward each step at once', async () => {
    const response = await ask(plain, { weights: W, x: [[[1]]] }, NDJSON);
    expect(response.headers).toMatchObject({
      'content-type': NDJSON,
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
      vary: 'accept, accept-encoding',
      'x-content-type-options': 'nosniff',
    });
    expect(response.headers['content-length']).toBeUndefined();
    expect(response.headers['x-request-id']).toBeTruthy();
  });

  test('a stream is not compressed, though the client would accept it', async () => {
    const response = await plain.http.inject({
      method: 'POST',
      url: '/v1/sequence',
      headers: { accept: NDJSON, 'accept-encoding': 'gzip, br' },
      payload: { weights: W, x: repeat(10_000, [[1]]) },
    });
    expect(response.headers['content-encoding']).toBeUndefined();
    expect(readLines(response.body)).toHaveLength(10_001);
  });

  test('a stream may be longer than a response in one piece: the limit on numbers holds for a step', async () => {
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

  test('a stream of events is parsed completely, however its bytes are split', async () => {
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

  test('a stream does not block the event loop, though the socket accepts every write', async () => {
    // Every chunk is small enough for the main thread, and all of them for the socket's buffer.
    const here = await buildApp({ ANSWER_NUMBERS_MAX: '100' }, { inlineFlopsMax: 1e9 });
    const url = await urlOf(here);
    let iterations = 0;
    let isRunning = true;
    const count = () => {
      iterations++;
      if (isRunning) setImmediate(count);
    };
    here.http.server.once('request', count);
    const response = await openStream(url, { weights: W, x: repeat(5_000, [[1]]) });
    await readAll(response);
    isRunning = false;
    expect(iterations).toBeGreaterThan(5_000 / 100);
  });
});
