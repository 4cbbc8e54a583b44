// The answer to a repeated key is computed again: it has the bits that were committed, or is refused.
import { afterEach, describe, expect, test, vi } from 'vitest';
import { buildApp } from '../helpers/app.ts';
import { MemoryStore } from '../../src/store/memory.ts';

/** Steps with a key, then repeats the call as if the numerics had changed. */
async function repeatOnChanged(): Promise<unknown> {
  const { SPEC, keyedCall, sessionsOn, step: stepOf } = await import('./setup.ts');
  const sessions = await sessionsOn(new MemoryStore(1e9));
  const { id } = await sessions.create(SPEC);
  const step = (value: number) =>
    stepOf(sessions, id, keyedCall('k'), () => Float32Array.of(value));
  expect(await step(0.1)).toMatchObject({ value: { t: 1 }, replayed: false });
  expect(await step(0.1)).toMatchObject({ value: { t: 1 }, replayed: true });
  // One bit in the last place.
  return step(0.1 + 2 ** -27).catch((error: unknown) => error);
}

describe('bits that are not those that were committed', () => {
  afterEach(() => {
    vi.doUnmock('../../src/sessions/idempotency.ts');
    vi.resetModules();
  });

  test('such bits are not answered', async () => {
    expect(await repeatOnChanged()).toMatchObject({ code: 'answer_not_kept', applied: 'yes' });
  });

  test('control: if the digest is not compared they are answered', async () => {
    vi.resetModules();
    vi.doMock('../../src/sessions/idempotency.ts', async (original) => ({
      ...(await original<object>()),
      expectSameState: () => {},
    }));
    expect(await repeatOnChanged()).toMatchObject({ replayed: true });
  });
});

test('a server of other numerics answers whether the call was applied, and where the session is', async () => {
  const store = new MemoryStore(1e9);
  const [one, two] = [await buildApp({}, { store, numerics: 1 }), await buildApp({}, { store })];
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
  const other = await step(two, 'a');
  expect([other.statusCode, other.json()]).toMatchObject([
    422,
    { code: 'answer_not_kept', applied: 'yes', t: 1, version: 1 },
  ]);
  expect(other.json().detail).toContain(`GET /v1/sessions/${id}`);
  // Each server replays the answers that it computed itself.
  const next = await step(two, 'b');
  expect(next.json().session).toMatchObject({ t: 2, version: 2 });
  expect((await step(two, 'b')).body).toBe(next.body);
  expect((await step(one, 'a')).body).toBe(first.body);
});

test('a session says which numerics made its state, and it is told when other numerics go on with it', async () => {
  const store = new MemoryStore(1e9);
  const told: number[] = [];
  const observer = { onCreated() {}, onEnded() {}, onConflict() {}, onReplay() {} };
  const { SPEC, callOf, sessionsOn, step } = await import('./setup.ts');
  const [one, two] = await Promise.all(
    [1, 2].map((numerics) =>
      sessionsOn(store, { numerics, observer: { ...observer, onOtherNumerics: (before) => told.push(before) } }),
    ),
  );
  const { id } = await one!.create(SPEC);
  await step(one!, id, callOf(), () => Float32Array.of(1));
  expect([(await one!.read(id)).numerics, told]).toEqual([1, []]);
  await step(two!, id, callOf(), () => Float32Array.of(2));
  await step(two!, id, callOf(), () => Float32Array.of(3));
  expect([(await two!.read(id)).numerics, told]).toEqual([2, [1]]);
});

test('the readiness check reports the numerics', async () => {
  const { http } = await buildApp();
  expect((await http.inject('/health/ready')).json().numerics).toBe(2);
});
