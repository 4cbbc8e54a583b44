// POST /v1/sessions with an Idempotency-Key: however often it is sent, there is one session.
import { expect, test } from 'vitest';
import { MemoryStore } from '../../src/store/memory.ts';
import { type TestApp, buildApp } from '../helpers/app.ts';

const BODY = { weights: { W_x: [[0.5]], W_h: [[0.25]] }, h: [[0.1]], keep: 1, ttl_s: 60 };

const createIn = (app: TestApp, key: string, body: object = BODY) =>
  app.http.inject({
    method: 'POST',
    url: '/v1/sessions',
    payload: body,
    headers: { 'idempotency-key': key },
  });

test('a repeat is answered as the first was, byte for byte, however many steps the session has taken since', async () => {
  const store = new MemoryStore(1e9);
  const app = await buildApp({ SESSIONS_MAX: '1' }, { store });
  const first = await createIn(app, 'a');
  expect([first.statusCode, first.headers['idempotency-replayed']]).toEqual([201, undefined]);
  const { id } = first.json();
  for (let k = 0; k < 70; k++) {
    const headers = { 'idempotency-key': `step-${k}` };
    await app.http.inject({ method: 'POST', url: '/v1/step', payload: { session: id, x: [[1]] }, headers });
  }
  // Also by another process, and though SESSIONS_MAX allows no second session.
  for (const place of [app, await buildApp({ SESSIONS_MAX: '1' }, { store })]) {
    const again = await createIn(place, 'a');
    expect([again.statusCode, again.body]).toEqual([201, first.body]);
    const { etag, location, 'idempotency-replayed': replayed } = again.headers;
    expect([etag, location, replayed]).toEqual([first.headers.etag, first.headers.location, 'true']);
  }
  expect(await store.count()).toBe(1);
  expect((await app.http.inject(`/v1/sessions/${id}`)).json().t).toBe(70);
});

test('one of many concurrent calls creates the session', async () => {
  const store = new MemoryStore(1e9);
  const app = await buildApp({}, { store });
  const responses = await Promise.all(Array.from({ length: 16 }, () => createIn(app, 'a')));
  expect(new Set(responses.map(({ body }) => body)).size).toBe(1);
  expect(responses[0]!.statusCode).toBe(201);
  expect(await store.count()).toBe(1);
});

test('an answer that was lost after the session was made is given by the next attempt', async () => {
  class LosingStore extends MemoryStore {
    isLosing = true;

    override async create(...args: Parameters<MemoryStore['create']>) {
      const revision = await super.create(...args);
      if (this.isLosing) throw new Error('the answer was lost');
      return revision;
    }
  }
  const store = new LosingStore(1e9);
  const app = await buildApp({}, { store });
  const lost = await createIn(app, 'a');
  expect([lost.statusCode, lost.json().applied]).toEqual([500, 'unknown']);
  store.isLosing = false;
  expect((await createIn(app, 'a')).headers['idempotency-replayed']).toBe('true');
  expect(await store.count()).toBe(1);
});

test('a repeat with another body is refused, and so is one after the session has ended', async () => {
  const app = await buildApp();
  const { id } = (await createIn(app, 'a')).json();
  const other = await createIn(app, 'a', { ...BODY, keep: 2 });
  expect([other.statusCode, other.json()]).toMatchObject([
    422,
    { code: 'idempotency_key_reused', applied: 'no' },
  ]);
  expect(other.body).not.toContain(id);
  expect((await createIn(app, 'b')).json().id).not.toBe(id);
  await app.http.inject({ method: 'DELETE', url: `/v1/sessions/${id}` });
  const ended = await createIn(app, 'a');
  expect([ended.statusCode, ended.json()]).toMatchObject([
    410,
    { code: 'session_gone', reason: 'deleted', applied: 'yes' },
  ]);
  const wrong = await createIn(app, 'c', { ...BODY, h: [[1, 2]] });
  expect([wrong.statusCode, wrong.json().applied]).toEqual([422, 'no']);
});

test('ids cannot be derived from a key: another store has others', async () => {
  const [one, other] = [await buildApp(), await buildApp()];
  expect((await createIn(one, 'a')).json().id).not.toBe((await createIn(other, 'a')).json().id);
});
