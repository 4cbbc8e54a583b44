// Streams that are refused, or fail after their first step.
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { buildApp } from '../../helpers/app.ts';
import { sample, sized } from '../../helpers/long.ts';
import { EventReader, openStream, readAll, readLines } from '../../helpers/streams.ts';
import { NDJSON, SSE, W, ask, repeat, untilIdle, urlOf } from './requests.ts';

const plain = await buildApp({ MODELS_MAX: '10000' });

describe('a failure before the first step', () => {
  test.each([
    [{ weights: W, x: [[[1, 2]]] }, 422, 'shape_mismatch'],
    [{ weights: W, x: [[[1e39]]] }, 422, 'out_of_range'],
    [{ weights: W, x: [[[1]]], lengths: [2] }, 422, 'out_of_range'],
    [{ weights: W, x: [[[1]], [[1], [2]]] }, 400, 'ragged_array'],
    [{ weights: W, model: 'sunspots', x: [[[1]]] }, 400, 'invalid_request'],
    [{ model: 'none', x: [[[1]]] }, 404, 'model_not_found'],
    [{ weights: { W_x: [[3e38]], W_h: [[0]] }, x: [[[9]]], trace: true }, 422, 'not_finite'],
  ])('the answer is an ordinary problem: %j', async (body, status, code) => {
    const bytesIdle = plain.memory.bytesUsed;
    const response = await ask(plain, body, NDJSON);
    expect(response.statusCode).toBe(status);
    expect(response.headers['content-type']).toMatch(/^application\/problem\+json/);
    expect(response.json().code).toBe(code);
    // Weights that were packed stay in the cache; nothing else stays.
    expect(plain.memory.bytesUsed - bytesIdle).toBeLessThan(1_000);
  });

  test('a 406 lists streams where the route has them; a step has none', async () => {
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

  test('a session has no streams: the 406 says so, and what to do', async () => {
    const session = (await plain.post('/v1/sessions', { weights: W })).body.id;
    for (const type of [NDJSON, SSE, `text/html, ${SSE};q=0.5`]) {
      const { detail, applied, ...problem } = (await ask(plain, { session, x: [[[1]]] }, type)).json();
      expect([problem.status, problem.code, applied]).toEqual([406, 'not_acceptable', 'no']);
      expect(detail).toMatch(/asks for a stream .*only a call without a session has/);
      expect(detail).toMatch(/application\/json.*WebSocket.*POST \/v1\/batch/);
    }
    expect((await ask(plain, { session, x: [[[1]]] }, 'text/html')).json().detail).toMatch(/^Expected Accept to allow one of application\/json/);
    expect((await ask(plain, { session, x: [[[1]]] }, `${NDJSON}, application/json;q=0.1`)).json().session.t).toBe(1);
  });

  test('JSON is preferred where Accept leaves the choice', async () => {
    for (const accept of ['*/*', 'application/*', `${NDJSON};q=0.5, application/json`]) {
      const response = await ask(plain, { weights: W, x: [[[1]]] }, accept);
      expect(response.headers['content-type']).toMatch(/^application\/json/);
    }
  });
});

describe('a failure after the first step', () => {
  const workerEntry = new URL('../../fixtures/workers/faulty.ts', import.meta.url);

  test.each(sample([1001, 1005], 1))('the error is the last line: a worker fails at input %d', async (fault) => {
    const code = 'worker_failed';
    const app = await buildApp(
      { ANSWER_NUMBERS_MAX: '20', WORKER_HANG_MS: '300', WEIGHTS_CACHE_BYTES_MAX: '0' },
      { workerEntry, inlineFlopsMax: 0 },
    );
    const bytesIdle = app.memory.bytesUsed;
    // The faulty worker checks the first input of each chunk: that of the first chunk causes no fault.
    const x = [[[0.5]], ...repeat(99, [[fault]])];
    for (const type of [NDJSON, SSE]) {
      const response = await ask(app, { weights: W, x }, type);
      expect(response.statusCode).toBe(200);
      const reader = new EventReader();
      reader.push(response.rawPayload);
      const jsonCodec = type === SSE ? reader.events.map(({ data }) => data) : response.body.split('\n');
      const lines = jsonCodec.filter((text) => text !== '').map((text) => JSON.parse(text));
      expect(lines.length).toBeGreaterThan(5);
      expect(lines.at(-2).t).toBe(lines.length - 1);
      expect(lines.at(-1).error).toMatchObject({
        code,
        instance: response.headers['x-request-id'],
        type: `/problems#${code}`,
      });
      if (type === SSE) expect(reader.events.at(-1)!.type).toBe('error');
      await untilIdle(app, bytesIdle);
      while ((await app.http.inject('/health/ready')).statusCode !== 200) await sleep(5);
    }
    expect((await ask(app, { weights: W, x: [[[1]]] }, NDJSON)).statusCode).toBe(200);
  });

  test('many streams that have begun share one worker without a queue', async () => {
    const app = await buildApp(
      { ANSWER_NUMBERS_MAX: '20', QUEUE_JOBS_MAX: '0', WORKERS: '1' },
      { inlineFlopsMax: 0 },
    );
    const url = await urlOf(app);
    const x = repeat(sized({ short: 5_000, long: 20_000 }), [[0.5]]);
    const streams = [];
    while (streams.length < 3) {
      const response = await openStream(url, { weights: W, x });
      if (response.statusCode === 200) streams.push(response);
      else await readAll(response);
    }
    const jsonCodec = await Promise.all(streams.map((response) => readAll(response)));
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

  test('a readout of an intermediate state that is not finite fails only if all are asked for', async () => {
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
