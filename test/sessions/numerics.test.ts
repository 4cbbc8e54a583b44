// An answer is computed again for a repeated key: with the bits that were committed, or not at all.
import { afterEach, describe, expect, test, vi } from 'vitest';
import { advance } from '../helpers/advance.ts';
import { buildApp } from '../helpers/app.ts';
import { lifetimeOf } from '../helpers/lifetime.ts';
import { advanced } from '../../src/sessions/session.ts';
import { MemoryStore } from '../../src/store/memory.ts';

const MODEL = { id: 'sha256:m', file: new Uint8Array(), createdAtMs: 0, isKept: true };

/** Steps once with a key, and once more after what computes the steps has changed. */
async function repeatOnChanged(): Promise<unknown> {
  const { Sessions } = await import('../../src/sessions/sessions.ts');
  const store = new MemoryStore(1e9);
  await store.models.put(MODEL);
  const sessions = new Sessions(store, {
    countMax: 100,
    cacheBytesMax: 1e6,
    waitingMax: 0,
    tombstoneMs: 1_000,
    numerics: 1,
    now: () => 0,
  });
  const spec = { modelId: MODEL.id, N: 1, D: 1, H: 1, keep: 0, ttlMs: 1e6 };
  const { id } = await sessions.create({ ...spec, h: new Float32Array(1) });
  const call = { key: { key: 'k', digest: 'd' }, lifetime: lifetimeOf() };
  const step = (value: number) =>
    advance(sessions, id, call, async (session, stamp) => {
      const after = advanced(session, { h: Float32Array.of(value), t: session.t + 1 }, stamp());
      return { after, value };
    });
  expect(await step(0.1)).toEqual({ value: 0.1, replayed: false });
  expect(await step(0.1)).toEqual({ value: 0.1, replayed: true });
  // One bit in the last place.
  return step(0.1 + 2 ** -27).catch((error: unknown) => error);
}

describe('bits that are not those that were committed', () => {
  afterEach(() => {
    vi.doUnmock('../../src/sessions/call.ts');
    vi.resetModules();
  });

  test('are not answered', async () => {
    expect(await repeatOnChanged()).toMatchObject({ code: 'answer_not_kept', applied: 'yes' });
  });

  test('control: without looking at the digest they are', async () => {
    vi.resetModules();
    vi.doMock('../../src/sessions/call.ts', async (original) => ({
      ...(await original<object>()),
      expectBits: () => {},
    }));
    expect(await repeatOnChanged()).toMatchObject({ replayed: true });
  });
});

test('a server of other numerics says that the call was applied, and where the session is', async () => {
  const store = new MemoryStore(1e9);
  const [one, two] = [await buildApp({}, { store }), await buildApp({}, { store, numerics: 2 })];
  const { body: created } = await one.post('/v1/sessions', { model: 'sunspots' });
  const { id } = created;
  const step = (app: typeof one, key: string) =>
    app.http.inject({
      method: 'POST',
      url: '/v1/step',
      headers: { 'idempotency-key': key },
      payload: { session: id, x: [[0.5]] },
    });
  const first = await step(one, 'a');
  expect(first.statusCode).toBe(200);
  const elsewhere = await step(two, 'a');
  expect([elsewhere.statusCode, elsewhere.json()]).toMatchObject([
    422,
    { code: 'answer_not_kept', applied: 'yes', t: 1, version: 1 },
  ]);
  expect(elsewhere.json().detail).toContain(`GET /v1/sessions/${id}`);
  // Its own answers it gives again, and the first server still its own.
  const next = await step(two, 'b');
  expect(next.json().session).toMatchObject({ t: 2, version: 2 });
  expect((await step(two, 'b')).body).toBe(next.body);
  expect((await step(one, 'a')).body).toBe(first.body);
});

test('readiness tells the numerics', async () => {
  const { http } = await buildApp();
  expect((await http.inject('/health/ready')).json().numerics).toBe(1);
});
