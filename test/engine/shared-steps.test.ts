// Steps of several requests that are computed as one mini-batch: each is answered as if it were alone.
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { METRICS } from '../../src/metrics/catalogue.ts';
import type { LayerSpec } from '../../src/layers.ts';
import { layersJson } from '../../load/cases/layers-json.ts';
import { randomLayers } from '../../src/wasm/random-layers.ts';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';
import { type TestApp, buildApp } from '../helpers/app.ts';
import { sumOf } from '../helpers/prometheus.ts';
import { fc } from '../helpers/seed.ts';

/** Every step goes to the one worker, and those that come while it computes wait. */
const ON_WORKERS = { inlineFlopsMax: 1, workerEntry: new URL('../fixtures/workers/slow.ts', import.meta.url) };
const SETTINGS = { WORKERS: '1', METRICS_PORT: '9464', JOB_DEADLINE_MS: '60000' };
const V = 11;

const MODELS: Record<string, readonly LayerSpec[]> = {
  rnn: [{ type: 'rnn', D: 5, H: 7, activation: 'tanh', direction: 'forward' }],
  relu: [{ type: 'rnn', D: 5, H: 70, activation: 'relu', direction: 'forward' }],
  gru: [{ type: 'gru', D: 5, H: 60, reset: 'before', direction: 'forward' }, { type: 'dense', I: 60, O: 3, activation: 'softmax' }],
  stack: [
    { type: 'embedding', V, D: 6 },
    { type: 'lstm', D: 6, H: 9, direction: 'forward' },
    { type: 'gru', D: 9, H: 100, reset: 'after', direction: 'forward' },
    { type: 'dense', I: 100, O: 2, activation: 'linear' },
  ],
};

async function register(app: TestApp): Promise<void> {
  for (const [k, [name, specs]] of Object.entries(MODELS).entries()) {
    const layers = layersJson(randomLayers(specs, pseudoRandom(k + 1)));
    expect((await app.post('/v1/models', { name, layers })).status).toBe(201);
  }
}

const shared = await buildApp(SETTINGS, ON_WORKERS);
const alone = await buildApp({ ...SETTINGS, SHARED_ROWS_MAX: '1' }, { inlineFlopsMax: 1 });
await register(shared);
await register(alone);
const sharedSteps = async (app: TestApp) => sumOf(await app.metrics!.print(), METRICS.sharedSteps.name);

interface Step {
  readonly model: string;
  readonly x: number[] | number[][];
  readonly trace?: true;
}

const steps: fc.Arbitrary<Step> = fc
  .record({
    model: fc.constantFrom(...Object.keys(MODELS)),
    // 16 rows are the most that are shared.
    N: fc.constantFrom(1, 1, 1, 2, 3, 5, 16, 17),
    seed: fc.integer({ min: 1, max: 1_000 }),
    trace: fc.boolean(),
  })
  .map(({ model, N, seed, trace }) => {
    const random = pseudoRandom(seed);
    const number = () => Math.fround(random());
    const row = () => Array.from({ length: 5 }, number);
    const token = () => Math.floor(((random() + 1) / 2) * V) % V;
    return {
      model,
      x: model === 'stack' ? Array.from({ length: N }, token) : Array.from({ length: N }, row),
      ...(trace && seed % 5 === 0 && { trace: true as const }),
    };
  });

test('random steps of several models at once have the bits that each has alone', async () => {
  const before = await sharedSteps(shared);
  await fc.assert(
    fc.asyncProperty(fc.array(steps, { minLength: 16, maxLength: 40 }), async (batch) => {
      const together = await Promise.all(batch.map((step) => shared.post('/v1/step', step)));
      for (const [k, step] of batch.entries()) {
        const expected = await alone.post('/v1/step', step);
        expect(together[k]!.status, JSON.stringify(together[k]!.body)).toBe(200);
        expect(together[k]!.body).toEqual(expected.body);
      }
    }),
    { numRuns: 8 },
  );
  expect((await sharedSteps(shared)) - before).toBeGreaterThan(40);
  expect(await sharedSteps(alone)).toBe(0);
});

test('sessions that are stepped at once go on as those that are stepped one by one', async () => {
  const create = async (app: TestApp) => (await app.post('/v1/sessions', { model: 'stack', N: 2 })).body.id as string;
  const ids = await Promise.all(Array.from({ length: 12 }, () => create(shared)));
  const other = await Promise.all(ids.map(() => create(alone)));
  for (let t = 0; t < 4; t++) {
    const x = ids.map((_, k) => [(k + t) % V, (3 * k + t) % V]);
    const together = await Promise.all(ids.map((session, k) => shared.post('/v1/step', { session, x: x[k] })));
    for (const [k, session] of other.entries()) {
      const { body } = await alone.post('/v1/step', { session, x: x[k] });
      expect(together[k]!.body.session.digest).toBe(body.session.digest);
      expect(together[k]!.body.y).toEqual(body.y);
    }
  }
});

describe('what is wrong with one step of a mini-batch', () => {
  test('is said to its client only', async () => {
    const W = { W_x: [[1e38]], W_h: [[0]], b: [0] };
    const relu = { layers: [{ type: 'rnn', activation: 'relu', ...W }] };
    const responses = await Promise.all([1, 1, 1e10, 2, 1e10, 1].map((x) => shared.post('/v1/step', { weights: relu, x: [[x]] })));
    expect(responses.map(({ body }) => body.code ?? 'ok')).toEqual(['ok', 'ok', 'not_finite', 'ok', 'not_finite', 'ok']);
    expect(responses[2]!.body.detail).toContain('row 0');
  });

  test('a client that has gone is not in it', async () => {
    const { http } = shared;
    const gone = new AbortController();
    const batch = Array.from({ length: 30 }, (_, k) => ({ model: 'gru', x: [[k, 0, 1, 2, 3]] }));
    const answers = batch.map((payload, k) =>
      http
        .inject({ method: 'POST', url: '/v1/step', payload, ...(k % 3 === 0 && { signal: gone.signal }) })
        .then(({ statusCode }) => statusCode, () => 'gone'),
    );
    await sleep(0);
    gone.abort();
    const outcomes = await Promise.all(answers);
    expect(outcomes.filter((_, k) => k % 3 !== 0)).toEqual(Array.from({ length: 20 }, () => 200));
    expect((await shared.post('/v1/step', batch[1])).status).toBe(200);
  });
});

test('its memory is free afterwards', async () => {
  await shared.post('/v1/step', { model: 'rnn', x: [[1, 2, 3, 4, 5]] });
  const bytes = shared.memory.bytesUsed;
  await Promise.all(Array.from({ length: 50 }, (_, k) => shared.post('/v1/step', { model: 'rnn', x: [[k, 2, 3, 4, 5]] })));
  expect(shared.memory.bytesUsed).toBe(bytes);
});
