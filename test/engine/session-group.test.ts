// Steps of several sessions that come in one batch: computed together, each is answered and committed as if it were alone.
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test, vi } from 'vitest';
import { layersJson } from '../../load/cases/layers-json.ts';
import { writeSafetensors } from '../../src/codec/safetensors/write.ts';
import { CarryoverError } from '../../src/errors.ts';
import type { LayerSpec } from '../../src/layers.ts';
import { METRICS } from '../../src/metrics/catalogue.ts';
import { MemoryStore } from '../../src/store/memory.ts';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';
import { randomLayers } from '../../src/wasm/random-layers.ts';
import { type TestApp, buildApp } from '../helpers/app.ts';
import { writeKeys } from '../helpers/keys.ts';
import { sized } from '../helpers/long.ts';
import { sumOf } from '../helpers/prometheus.ts';
import { fc } from '../helpers/seed.ts';
import { LosingStore } from '../sessions/losing-store.ts';

const V = 7;
const MODELS: Record<string, readonly LayerSpec[]> = {
  rnn: [{ type: 'rnn', D: 3, H: 5, activation: 'tanh', direction: 'forward' }],
  lstm: [{ type: 'lstm', D: 3, H: 20, direction: 'forward' }, { type: 'dense', I: 20, O: 2, activation: 'softmax' }],
  stack: [
    { type: 'embedding', V, D: 4 },
    { type: 'lstm', D: 4, H: 9, direction: 'forward' },
    { type: 'gru', D: 9, H: 33, reset: 'after', direction: 'forward' },
  ],
};
const SETTINGS = { METRICS_PORT: '9464', JOB_DEADLINE_MS: '60000' };
const FILE = 'application/vnd.carryover.safetensors';

interface Entry {
  readonly status: number;
  readonly session?: { readonly id: string; readonly t: number; readonly version: number; readonly digest: string; readonly etag: string };
  readonly error?: { readonly code: string; readonly detail: string; readonly applied: string };
}

async function register(app: TestApp): Promise<TestApp> {
  for (const [k, [name, specs]] of Object.entries(MODELS).entries()) {
    const layers = layersJson(randomLayers(specs, pseudoRandom(k + 1)));
    // 200 where another process has registered it.
    expect((await app.post('/v1/models', { name, layers })).status).toBeOneOf([200, 201]);
  }
  return app;
}

const together = await register(await buildApp(SETTINGS));
const alone = await register(await buildApp({ ...SETTINGS, SHARED_ROWS_MAX: '1' }));

const sharedSteps = async (app: TestApp) => sumOf(await app.metrics!.print(), METRICS.sharedSteps.name);

async function sessionsOf(app: TestApp, models: readonly string[], N = 1): Promise<string[]> {
  return Promise.all(models.map(async (model) => (await app.post('/v1/sessions', { model, N, keep: 1 })).body.id as string));
}

async function batch(app: TestApp, items: readonly object[]): Promise<Entry[]> {
  const { status, body } = await app.post('/v1/batch', { items });
  expect(status, JSON.stringify(body)).toBe(200);
  return body.items as Entry[];
}

/** x of a step of N rows, other numbers for each seed. */
function stepOf(model: string, N: number, seed: number): number[] | number[][] {
  const random = pseudoRandom(seed + 1);
  if (model === 'stack') return Array.from({ length: N }, () => Math.floor(((random() + 1) / 2) * V) % V);
  return Array.from({ length: N }, () => Array.from({ length: 3 }, () => Math.fround(random())));
}

const NAMES = Object.keys(MODELS);
/** Which model and N the k-th of the sessions has. */
const SESSIONS = Array.from({ length: 24 }, (_, k) => ({ model: NAMES[k % 3]!, N: k < 18 ? 1 : 2 }));

const item = fc.record({
  session: fc.nat({ max: SESSIONS.length - 1 }),
  seed: fc.nat({ max: 3 }),
  key: fc.constantFrom(undefined, undefined, 'a', 'b'),
  if_match: fc.constantFrom(undefined, undefined, undefined, 'previous', '*', 'now', '"another.1"'),
  fault: fc.constantFrom(...Array.from({ length: 12 }, () => 'none' as const), 'ragged', 'wide', 'field', 'row', 'sequence'),
});

test('random batches are answered and leave all sessions as those that are computed one by one', async () => {
  const create = (app: TestApp) => Promise.all(SESSIONS.map(async ({ model, N }) => (await sessionsOf(app, [model], N))[0]!));
  const before = await sharedSteps(together);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(item, { minLength: 10, maxLength: 50 }), { minLength: 2, maxLength: 3 }), async (batches) => {
      const sides = [{ app: together, ids: await create(together) }, { app: alone, ids: await create(alone) }];
      for (const choices of batches) {
        const [ours, theirs] = await Promise.all(
          sides.map(async ({ app, ids }) => {
            const etags = await Promise.all(ids.map(async (id) => (await app.http.inject(`/v1/sessions/${id}`)).headers.etag));
            return batch(app, choices.map(({ session: k, seed, key, if_match, fault }) => {
              const { model, N } = SESSIONS[k]!;
              const x = stepOf(model, N, seed);
              const wrong = { ragged: [[1, 2, 3], [1]], wide: [[1, 2, 3, 4, 5]], row: [V], field: x, sequence: [x, x], none: x }[fault];
              return { session: ids[k], x: wrong, key, if_match: if_match === 'now' ? etags[k] : if_match, ...(fault === 'field' && { weights: {} }) };
            }));
          }),
        );
        for (const [k, entry] of ours!.entries()) expect(withoutNames(entry)).toEqual(withoutNames(theirs![k]!));
      }
      const [ours, theirs] = await Promise.all(sides.map(({ app, ids }) => Promise.all(ids.map(async (id) => (await app.http.inject(`/v1/sessions/${id}`)).json()))));
      for (const [k, { t, version, digest }] of ours!.entries()) expect([t, version, digest]).toEqual([theirs![k].t, theirs![k].version, theirs![k].digest]);
    }),
    { numRuns: sized({ short: 6, long: 16 }) },
  );
  expect((await sharedSteps(together)) - before).toBeGreaterThan(sized({ short: 10, long: 50 }));
  expect(await sharedSteps(alone)).toBe(0);
});

/** Without what is another for each session, and each time. */
function withoutNames({ session, error, ...rest }: Entry) {
  const { t, version, digest } = session ?? {};
  return { ...rest, t, version, digest, code: error?.code, applied: error?.applied };
}

describe('what a step cannot be computed with others for', () => {
  const models = Array.from({ length: 6 }, () => 'lstm');
  const stepAll = (ids: readonly string[], seed = 0) => ids.map((session) => ({ session, x: stepOf('lstm', 1, seed) }));

  test('its session is not in memory', async () => {
    const app = await register(await buildApp({ ...SETTINGS, HOT_SESSIONS_BYTES_MAX: '0' }));
    const ids = await sessionsOf(app, models);
    for (let t = 1; t <= 2; t++) expect((await batch(app, stepAll(ids))).map(({ session }) => session?.t)).toEqual(ids.map(() => t));
    expect(await sharedSteps(app)).toBe(0);
  });

  test('its session is held by other calls: all are applied once', async () => {
    const ids = await sessionsOf(together, models);
    const batches = await Promise.all(Array.from({ length: 8 }, (_, k) => batch(together, stepAll(ids, k))));
    expect(batches.flat().map(({ status }) => status)).toEqual(batches.flat().map(() => 200));
    for (const k of ids.keys()) expect(batches.map((entries) => entries[k]!.session!.t).toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  test('another process has changed its session, or the store has lost a change', async () => {
    const store = new LosingStore();
    const one = await register(await buildApp(SETTINGS, { store }));
    const two = await register(await buildApp(SETTINGS, { store }));
    const ids = await sessionsOf(one, models);
    store.save();
    await batch(one, stepAll(ids));
    await batch(two, stepAll(ids.slice(0, 3), 1));
    const before = await sharedSteps(one);
    expect((await batch(one, stepAll(ids, 2))).map(({ session }) => session?.t)).toEqual([3, 3, 3, 2, 2, 2]);
    expect((await sharedSteps(one)) - before).toBe(6);
    store.restore();
    expect((await batch(one, stepAll(ids, 3))).map(({ session }) => session?.t)).toEqual([1, 1, 1, 1, 1, 1]);
  });

  test('its session has taken all steps that it can', async () => {
    const ids = await sessionsOf(together, models);
    const zeros = [Array.from({ length: 20 }, () => 0)];
    const payload = { h: zeros, c: zeros, t: Number.MAX_SAFE_INTEGER };
    expect((await together.http.inject({ method: 'PUT', url: `/v1/sessions/${ids[0]}/state`, payload })).statusCode).toBe(200);
    const entries = await batch(together, stepAll(ids));
    expect(entries.map(({ status, error }) => error?.code ?? status)).toEqual(['out_of_range', 200, 200, 200, 200, 200]);
  });

  test('its x has a number that is not finite, or one that overflows', async () => {
    const relu = { layers: [{ type: 'rnn', activation: 'relu', W_x: [[1e38]], W_h: [[0]], b: [0] }] };
    const create = async () => (await together.post('/v1/sessions', { weights: relu })).body.id as string;
    const ids = await Promise.all(Array.from({ length: 5 }, create));
    const statuses = async (xs: readonly number[]) => {
      const tensors = Object.fromEntries(xs.map((x, k) => [`${k}.x`, { shape: [1, 1], strides: [1, 1], data: Float32Array.of(x) }]));
      const payload = writeSafetensors(tensors, { items: JSON.stringify(ids.map((session) => ({ session }))) });
      const headers = { 'content-type': FILE, accept: 'application/json' };
      const { items } = (await together.http.inject({ method: 'POST', url: '/v1/batch', headers, payload })).json<{ items: Entry[] }>();
      return items.map(({ status, error }) => error?.code ?? status);
    };
    expect(await statuses([1, NaN, 2, Infinity, 1])).toEqual([200, 'out_of_range', 200, 'out_of_range', 200]);
    expect(await statuses([1, 1, 1e10, 1, 1])).toEqual([200, 200, 'not_finite', 200, 200]);
    const ts = await Promise.all(ids.map(async (id) => (await together.http.inject(`/v1/sessions/${id}`)).json().t));
    expect(ts).toEqual([2, 1, 1, 1, 2]);
  });
});

describe('the operations of a tenant that may make so many a second', () => {
  /** Of 20 steps of 8 operations each: what they are answered with, and how many refusals are counted. */
  const answersOf = async (flops_per_s: number, xOf: (k: number) => number, sharedRowsMax: string) => {
    const keys = writeKeys(['a'], { a: { flops_per_s } });
    const app = await buildApp({ ...SETTINGS, API_KEYS_FILE: keys.file, SHARED_ROWS_MAX: sharedRowsMax });
    const headers = { authorization: `Bearer ${keys.keys[0]}` };
    const call = async (url: string, payload: object) => (await app.http.inject({ method: 'POST', url, headers, payload })).json();
    const weights = { layers: [{ type: 'rnn', activation: 'relu', W_x: [[1e38]], W_h: [[0]], b: [0] }] };
    const ids: string[] = [];
    for (let k = 0; k < 20; k++) ids.push((await call('/v1/sessions', { weights })).id);
    const { items } = await call('/v1/batch', { items: ids.map((session, k) => ({ session, x: [[xOf(k)]] })) });
    const refused = (items as Entry[]).filter(({ status }) => status === 429);
    expect(refused.filter(({ error }) => error!.applied !== 'no')).toEqual([]);
    const limited = sumOf(await app.metrics!.print(), METRICS.limited.name);
    return { codes: (items as Entry[]).map(({ status, error }) => error?.code ?? status), limited };
  };

  test.each(['1', '64'])('are used up by the same steps, SHARED_ROWS_MAX = %s', async (rows) => {
    // The third goes into debt.
    const codes = Array.from({ length: 20 }, (_, k) => (k < 3 ? 200 : 'rate_limited'));
    expect(await answersOf(20, () => 1, rows)).toEqual({ codes, limited: 17 });
  });

  test.each(['1', '64'])('are charged once if the mini-batch comes to nothing, SHARED_ROWS_MAX = %s', async (rows) => {
    const codes = Array.from({ length: 20 }, (_, k) => (k === 7 ? 'not_finite' : 200));
    expect(await answersOf(170, (k) => (k === 7 ? 1e10 : 1), rows)).toEqual({ codes, limited: 0 });
  });
});

test('items that are refused at a rate are held back side by side, and the others are not', { timeout: 15_000 }, async () => {
  const keys = writeKeys(['a']);
  const app = await buildApp({ ...SETTINGS, API_KEYS_FILE: keys.file });
  const headers = { authorization: `Bearer ${keys.keys[0]}` };
  const call = async (url: string, payload: object) => (await app.http.inject({ method: 'POST', url, headers, payload })).json();
  const ids: string[] = [];
  for (let k = 0; k < 100; k++) ids.push((await call('/v1/sessions', { model: 'sunspots' })).id);
  keys.setLimits({ a: { requests_per_s: 1 } });
  await vi.waitUntil(async () => (await call('/v1/step', { model: 'sunspots', x: [[0.5]] })).code === 'rate_limited', { timeout: 10_000 });
  // Until there is a token again.
  await sleep(1_100);
  const { items } = await call('/v1/batch', { items: ids.map((session) => ({ session, x: [[0.5]] })) });
  expect((items as Entry[]).map(({ status }) => status)).toEqual(Array.from({ length: 100 }, (_, k) => (k === 0 ? 200 : 429)));
});

test('a commit that fails is the error of its item alone, with what was applied', async () => {
  let failing: string | undefined;
  class FullStore extends MemoryStore {
    override async change(...args: Parameters<MemoryStore['change']>) {
      if (args[0] === failing) throw new CarryoverError('store_full', { detail: 'full', applied: 'no' });
      return super.change(...args);
    }
  }
  const app = await register(await buildApp(SETTINGS, { store: new FullStore(1e9) }));
  const ids = await sessionsOf(app, Array.from({ length: 4 }, () => 'rnn'));
  [, failing] = ids;
  const entries = await batch(app, ids.map((session) => ({ session, x: stepOf('rnn', 1, 0) })));
  expect(entries.map(({ status, error }) => error?.code ?? status)).toEqual([200, 'store_full', 200, 200]);
  expect(entries[1]!.error!.applied).toBe('no');
  expect(await sharedSteps(app)).toBe(4);
  failing = undefined;
  expect((await batch(app, [{ session: ids[1], x: stepOf('rnn', 1, 0) }]))[0]!.session!.t).toBe(1);
});

test('a commit that is not answered keeps no other session of its mini-batch waiting', async () => {
  let hanging: string | undefined;
  const { promise: answer, resolve: goOn } = Promise.withResolvers<void>();
  class HangingStore extends MemoryStore {
    override async change(...args: Parameters<MemoryStore['change']>) {
      if (args[0] === hanging) await answer;
      return super.change(...args);
    }
  }
  const app = await register(await buildApp(SETTINGS, { store: new HangingStore(1e9) }));
  const ids = await sessionsOf(app, Array.from({ length: 4 }, () => 'rnn'));
  [, hanging] = ids;
  const entries = batch(app, ids.map((session) => ({ session, x: stepOf('rnn', 1, 0) })));
  const tOf = async () => (await app.http.inject(`/v1/sessions/${ids[0]}`)).json().t as number;
  await vi.waitUntil(async () => (await tOf()) === 1);
  expect((await app.post('/v1/step', { session: ids[0], x: stepOf('rnn', 1, 1) })).body.session.t).toBe(2);
  goOn();
  expect((await entries).map(({ session }) => session?.t)).toEqual([1, 1, 1, 1]);
  expect(await sharedSteps(app)).toBe(4);
});

test('a step that is printed and then not committed leaves its numbers to the others', async () => {
  let isFull = true;
  class FullStore extends MemoryStore {
    override async change(...args: Parameters<MemoryStore['change']>) {
      if (isFull) throw new CarryoverError('store_full', { detail: 'full', applied: 'no' });
      return super.change(...args);
    }
  }
  // Two answers of h with five numbers.
  const app = await register(await buildApp({ ...SETTINGS, ANSWER_NUMBERS_MAX: '10' }, { store: new FullStore(1e9) }));
  const [a, b] = await sessionsOf(app, ['rnn', 'rnn']);
  const x = stepOf('rnn', 1, 0);
  const codes = async (...sessions: readonly (string | undefined)[]) =>
    (await batch(app, sessions.map((session) => ({ session, x })))).map(({ status, error }) => error?.code ?? status);
  expect(await codes(a, b, a, b)).toEqual(['store_full', 'store_full', 'store_full', 'store_full']);
  isFull = false;
  expect(await codes(a, b, a)).toEqual([200, 200, 'limit_exceeded']);
});

test('more sessions than a mini-batch may have rows are several, and memory and locks are free afterwards', async () => {
  const app = await register(await buildApp({ ...SETTINGS, SHARED_ROWS_MAX: '16' }));
  const ids = await sessionsOf(app, Array.from({ length: 50 }, () => 'lstm'), 3);
  const { bytesUsed } = app.memory;
  const items = ids.map((session, k) => ({ session, x: stepOf('lstm', 3, k) }));
  for (let t = 1; t <= 3; t++) expect((await batch(app, items)).map(({ session }) => session?.t)).toEqual(ids.map(() => t));
  // Mini-batches of five sessions each.
  expect([await sharedSteps(app), sumOf(await app.metrics!.print(), METRICS.sharedBatches.name)]).toEqual([150, 30]);
  expect(app.memory.bytesUsed).toBe(bytesUsed);
});
