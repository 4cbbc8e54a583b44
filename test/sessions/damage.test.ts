// A damaged record is reported by the calls that need it; all other records are served.
import { beforeEach, describe, expect, test } from 'vitest';
import { MemoryStore } from '../../src/store/memory.ts';
import type { ListedRecord, StoredRecord } from '../../src/store/store.ts';
import { type TestApp, buildApp } from '../helpers/app.ts';

class DamagedStore extends MemoryStore {
  readonly damaged = new Set<string>();

  constructor() {
    super(1e9);
    const get = this.models.get.bind(this.models);
    this.models.get = async (id) => {
      const model = await get(id);
      return model && { ...model, file: this.#asRead(id, model.file) };
    };
  }

  override async read(id: string): Promise<StoredRecord | undefined> {
    const record = await super.read(id);
    return record && { ...record, head: this.#asRead(id, record.head) };
  }

  override async list(...args: Parameters<MemoryStore['list']>): Promise<ListedRecord[]> {
    const records = await super.list(...args);
    return records.map(({ id, head }) => ({ id, head: this.#asRead(id, head) }));
  }

  #asRead(id: string, bytes: Uint8Array): Uint8Array {
    const copy = Uint8Array.from(bytes);
    if (this.damaged.has(id)) copy[9]! ^= 4;
    return copy;
  }
}

const WEIGHTS = { W_x: [[0.5]], W_h: [[0.25]] };

let store: DamagedStore;
let app: TestApp;
beforeEach(async () => {
  store = new DamagedStore();
  app = await buildApp({ HOT_SESSIONS_BYTES_MAX: '0' }, { store });
});

const get = async (url: string) => (await app.http.inject(url)).json();

describe('damage of a session', () => {
  let ids: string[];
  beforeEach(async () => {
    const created = await Promise.all(
      Array.from({ length: 3 }, () => app.post('/v1/sessions', { weights: WEIGHTS })),
    );
    ids = created.map(({ body }) => body.id);
    store.damaged.add(ids[1]!);
  });

  test('an answer names the damaged session, with a status that is no failure of the server', async () => {
    for (const response of [
      await app.http.inject(`/v1/sessions/${ids[1]}`),
      await app.http.inject({ method: 'POST', url: '/v1/step', payload: { session: ids[1], x: [[1]] } }),
    ]) {
      expect([response.statusCode, response.json()]).toMatchObject([
        410,
        { code: 'session_corrupt', applied: 'no' },
      ]);
      expect(response.json().detail).toContain(ids[1]);
    }
    expect((await app.post('/v1/step', { session: ids[2], x: [[1]] })).status).toBe(200);
  });

  test('the list names the damaged session, and continues with the others', async () => {
    const { sessions, damaged } = await get('/v1/sessions');
    expect(damaged).toEqual([ids[1]]);
    const listed = sessions.map(({ id }: { id: string }) => id);
    expect(listed).toEqual([ids[0]!, ids[2]!].toSorted());
    const pages = [await get('/v1/sessions?limit=1')];
    while (pages.at(-1).next) pages.push(await get(`/v1/sessions?limit=1&cursor=${pages.at(-1).next}`));
    const all = pages.flatMap((page) => [...page.sessions, ...(page.damaged ?? [])]);
    expect(all).toHaveLength(3);
  });

  test('a damaged session can be deleted, and its model after it', async () => {
    const remove = (url: string, headers = {}) => app.http.inject({ method: 'DELETE', url, headers });
    const stale = await remove(`/v1/sessions/${ids[1]}`, { 'if-match': '"a.0"' });
    expect(stale.json().code).toBe('session_corrupt');
    expect((await remove(`/v1/sessions/${ids[1]}`)).statusCode).toBe(204);
    store.damaged.clear();
    const deleted = await get(`/v1/sessions/${ids[1]}`);
    expect(deleted).toMatchObject({ status: 410, code: 'session_gone', reason: 'deleted' });
    expect(deleted.t).toBeUndefined();
    expect(await get('/v1/sessions')).not.toHaveProperty('damaged');
  });
});

describe('damage of a model', () => {
  let id: string;
  let session: string;
  beforeEach(async () => {
    const first = await buildApp({}, { store });
    ({ id } = (await first.post('/v1/models', { weights: WEIGHTS, name: 'ours' })).body);
    session = (await first.post('/v1/sessions', { model: id })).body.id;
    store.damaged.add(id);
    app = await buildApp({}, { store });
  });

  test('an answer names the damaged model, does not blame the client, and others are served', async () => {
    for (const body of [{ model: id }, { model: 'ours' }, { session }]) {
      const response = await app.post('/v1/step', { ...body, x: [[1]] });
      expect([response.status, response.body.code]).toEqual([410, 'model_corrupt']);
      expect(response.body.detail).toContain(id);
    }
    expect((await app.post('/v1/step', { model: 'sunspots', x: [[1]] })).status).toBe(200);
    expect((await get('/v1/models')).models.length).toBeGreaterThan(0);
  });

  test('a damaged model is repaired when its weights are registered again', async () => {
    expect((await app.post('/v1/models', { weights: WEIGHTS })).status).toBe(201);
    expect((await app.post('/v1/step', { session, x: [[1]] })).status).toBe(200);
  });

  test('a damaged model can be deleted', async () => {
    const remove = (url: string) => app.http.inject({ method: 'DELETE', url });
    expect((await remove('/v1/models/ours')).json().code).toBe('model_pinned');
    expect((await remove(`/v1/sessions/${session}`)).statusCode).toBe(204);
    expect((await remove('/v1/models/ours')).statusCode).toBe(204);
  });
});

test('a repeated call is a new one if the key of its fork is forgotten and the fork deleted', async () => {
  const { body } = await app.post('/v1/sessions', { weights: WEIGHTS });
  const call = (url: string, key: string, payload?: object) =>
    app.http.inject({ method: 'POST', url, headers: { 'idempotency-key': key }, ...(payload && { payload }) });
  const fork = () => call(`/v1/sessions/${body.id}/fork`, 'fork');
  const ids: string[] = [];
  for (let round = 0; round < 3; round++) {
    const first = await fork();
    expect(first.statusCode).toBe(201);
    ids.push(first.json().id);
    expect((await fork()).body).toBe(first.body);
    await app.http.inject({ method: 'DELETE', url: `/v1/sessions/${ids.at(-1)}` });
    for (let k = 0; k < 64; k++) await call('/v1/step', `${round}-${k}`, { session: body.id, x: [[1]] });
  }
  expect(new Set(ids).size).toBe(3);
  expect((await get(`/v1/sessions/${body.id}`)).t).toBe(3 * 64);
});
