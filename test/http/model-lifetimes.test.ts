// Which models stay: built-in ones always, registered ones until they are deleted, those that came with a
// session as long as a session needs them.
import { describe, expect, test } from 'vitest';
import { BUILT_IN_MODELS } from '../../src/models/models-dir.ts';
import { MemoryStore } from '../../src/store/memory.ts';
import { type TestApp, buildApp } from '../helpers/app.ts';

const weights = (k: number) => ({ W_x: [[k / 100]], W_h: [[0.8]] });

async function call(app: TestApp, method: 'GET' | 'PUT' | 'DELETE', url: string, body?: object) {
  const response = await app.http.inject({ method, url, ...(body && { payload: body }) });
  return { status: response.statusCode, body: response.body === '' ? undefined : response.json() };
}
const sessionWith = async (app: TestApp, body: object) => (await app.post('/v1/sessions', body)).body;
const builtIn = Object.values(BUILT_IN_MODELS).map(({ id }) => id);
/** Of all models but the built-in ones. */
const idsOf = async (app: TestApp): Promise<string[]> =>
  (await call(app, 'GET', '/v1/models')).body.models
    .map(({ id }: { id: string }) => id)
    .filter((id: string) => !builtIn.includes(id));

describe('a model that was created with a session', () => {
  test('the model frees its memory when its last session ends, however often', async () => {
    const app = await buildApp({ MODELS_MAX: '3' });
    const idle = app.memory.bytesUsed;
    for (let k = 0; k < 10; k++) {
      const { id } = await sessionWith(app, { weights: weights(k) });
      const fork = (await app.post(`/v1/sessions/${id}/fork`, {})).body;
      expect((await call(app, 'DELETE', `/v1/sessions/${id}`)).status).toBe(204);
      expect((await app.post('/v1/step', { session: fork.id, x: [[1]] })).status).toBe(200);
      expect((await call(app, 'DELETE', `/v1/sessions/${fork.id}`)).status).toBe(204);
    }
    expect(app.memory.bytesUsed).toBe(idle);
    expect((await app.post('/v1/models', { weights: weights(99) })).status).toBe(201);
  });

  test('the model is removed when its session expires, and when its session was not created', async () => {
    let nowMs = 0;
    const app = await buildApp({}, { now: () => nowMs });
    const { model } = await sessionWith(app, { weights: weights(1), ttl_s: 1 });
    nowMs += 2_000;
    await app.sessions.sweep(100);
    const refused = await app.post('/v1/sessions', { weights: weights(2), h: [[1, 2]] });
    expect(refused.body.code).toBe('shape_mismatch');
    expect(model).toMatch(/^sha256:/);
    expect(await idsOf(app)).toEqual([]);
  });

  test('the model stays when it was registered or named by itself, before or after', async () => {
    const app = await buildApp();
    const before = (await app.post('/v1/models', { weights: weights(1) })).body.id;
    const sessions = [1, 2, 3].map((k) => sessionWith(app, { weights: weights(k) }));
    const [, second, third] = await Promise.all(sessions);
    expect((await app.post('/v1/models', { weights: weights(2) })).status).toBe(200);
    await call(app, 'PUT', '/v1/models/third', { model: third.model });
    for (const { id } of await Promise.all(sessions)) await call(app, 'DELETE', `/v1/sessions/${id}`);
    expect(await idsOf(app)).toEqual(expect.arrayContaining([before, second.model, third.model]));
  });

  test('the model is not lost by sessions that begin and end at the same time', async () => {
    const app = await buildApp();
    const statuses = new Set<number>();
    const client = async () => {
      for (let k = 0; k < 20; k++) {
        const { status, body } = await app.post('/v1/sessions', { weights: weights(1) });
        const step = await app.post('/v1/step', { session: body.id, x: [[1]] });
        const end = await call(app, 'DELETE', `/v1/sessions/${body.id}`);
        for (const found of [status, step.status, end.status]) statuses.add(found);
      }
    };
    await Promise.all([client(), client(), client()]);
    expect(statuses).toEqual(new Set([200, 201, 204]));
    expect(await idsOf(app)).toEqual([]);
  });

  test('the model of a process that was killed is collected by the next process', async () => {
    const store = new MemoryStore(1e9);
    const app = await buildApp({}, { store });
    const { model, id } = await sessionWith(app, { weights: weights(1) });
    const { revision, head } = (await store.read(id))!;
    await store.writeTombstone(id, revision, head, 0);
    expect(await idsOf(await buildApp({}, { store }))).not.toContain(model);
  });
});

describe('a built-in model', () => {
  test('the model can be neither renamed, nor replaced, nor deleted', async () => {
    const app = await buildApp();
    const other = (await app.post('/v1/models', { weights: weights(1) })).body.id;
    const { id } = (await call(app, 'GET', '/v1/models/sunspots')).body;
    const calls = [
      await call(app, 'PUT', '/v1/models/sunspots', { model: other }),
      await call(app, 'DELETE', '/v1/models/sunspots'),
      await call(app, 'DELETE', `/v1/models/${id}`),
      await app.post('/v1/models', { name: 'sunspots', weights: weights(2) }),
    ];
    for (const { status, body } of calls) expect([status, body.code]).toEqual([409, 'built_in_model']);
    expect((await call(app, 'PUT', '/v1/models/sunspots', { model: id })).status).toBe(200);
    expect((await call(app, 'GET', '/v1/models/sunspots')).body.id).toBe(id);
  });

  test.each(['sunspots', 'weather'])('%s has its name after a start with a store in which that pointed to another', async (name) => {
    const store = new MemoryStore(1e9);
    const first = await buildApp({}, { store });
    const { id } = (await call(first, 'GET', `/v1/models/${name}`)).body;
    const other = (await first.post('/v1/models', { weights: weights(1) })).body.id;
    await store.models.point(name, other);
    await store.models.remove(id);
    const second = await buildApp({}, { store });
    expect((await call(second, 'GET', `/v1/models/${name}`)).body.id).toBe(id);
    expect((await store.models.names()).get(name)).toBe(id);
    expect(await idsOf(second)).toContain(other);
  });
});

test('the list returns all models, oldest first, page by page', async () => {
  const app = await buildApp();
  const all: string[] = (await call(app, 'GET', '/v1/models')).body.models.map(({ id }: { id: string }) => id);
  for (let k = 0; k < 7; k++) all.push((await app.post('/v1/models', { weights: weights(k) })).body.id);
  const seen: string[] = [];
  for (let cursor = ''; ; ) {
    const { status, body } = await call(app, 'GET', `/v1/models?limit=3${cursor}`);
    expect(status).toBe(200);
    expect(body.models.length).toBeLessThanOrEqual(3);
    seen.push(...body.models.map(({ id }: { id: string }) => id));
    if (body.next === undefined) break;
    cursor = `&cursor=${body.next}`;
  }
  // Models of one ms are in the order of their ids.
  expect(seen.toSorted()).toEqual(all.toSorted());
  expect(seen[0]).toBe(all[0]);
  for (const query of ['limit=0', 'limit=1001', 'cursor=/', 'page=2']) {
    expect((await call(app, 'GET', `/v1/models?${query}`)).status).toBe(400);
  }
});
