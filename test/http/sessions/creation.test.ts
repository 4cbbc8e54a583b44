// Creating and listing sessions.
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { NUMERICS } from '../../../src/wasm/numerics.ts';
import { buildApp } from '../../helpers/app.ts';
import { WEIGHTS, startService } from './service.ts';

const { call, create, step } = await startService();

describe('creation', () => {
  test('the answer has the session and its headers', async () => {
    const response = await call('POST', '/v1/sessions', { model: 'tiny', keep: 3, ttl_s: 60 });
    expect(response.statusCode).toBe(201);
    const body = response.json();
    const id = expect.stringMatching(/^[\w-]{22}$/);
    const zeros = createHash('sha256').update(new Uint8Array(8)).digest('hex').slice(0, 16);
    const { id: model } = (await call('GET', '/v1/models/tiny')).json();
    expect(body).toEqual({
      id,
      model,
      N: 1,
      D: 1,
      H: 2,
      t: 0,
      version: 0,
      digest: zeros,
      numerics: NUMERICS,
      ttl_s: 60,
      keep: 3,
      created_at: '2030-01-01T00:00:00.000Z',
      expires_at: '2030-01-01T00:01:00.000Z',
    });
    expect(response.headers.location).toBe(`/v1/sessions/${body.id}`);
    expect(response.headers['x-session-id']).toBe(body.id);
    expect(response.headers.etag).toMatch(/^"[\w-]+\.0\.[\w-]{8}"$/);
    expect(response.headers['cache-control']).toBe('no-store');
  });

  test('inline weights are accepted, and stay as long as the session', async () => {
    const weights = { W_x: [[1]], W_h: [[0.25]] };
    const { id, model } = (await call('POST', '/v1/sessions', { weights })).json();
    expect((await step(id, 0.5)).json().h).toEqual([[0.46211717]]);
    const refused = await call('DELETE', `/v1/models/${model}`);
    expect([refused.statusCode, refused.json().code]).toEqual([409, 'model_pinned']);
    const [, address] = /GET (\S+) lists them/.exec(refused.json().detail)!;
    const { sessions } = (await call('GET', address!)).json();
    expect(sessions.map((session: { id: string }) => session.id)).toEqual([id]);
    await call('DELETE', `/v1/sessions/${id}`);
    expect((await call('GET', `/v1/models/${model}`)).statusCode).toBe(404);
  });

  test('sessions are listed by their model, a name or an id, page by page', async () => {
    const weights = { W_x: [[2]], W_h: [[0.125]] };
    const { id: model } = (await call('POST', '/v1/models', { weights, name: 'listed' })).json();
    const ids: string[] = [];
    for (let k = 0; k < 5; k++) ids.push((await create({ model: 'listed' })).id);
    await create({ model: 'tiny' });
    const found: string[] = [];
    for (let next = ''; ; ) {
      const page = (await call('GET', `/v1/sessions?model=listed&limit=2${next}`)).json();
      found.push(...page.sessions.map((session: { id: string }) => session.id));
      if (page.next === undefined) break;
      next = `&cursor=${page.next}`;
    }
    expect(found).toEqual(ids.toSorted());
    const byId = (await call('GET', `/v1/sessions?model=${model}`)).json();
    expect(byId.sessions.map((session: { id: string }) => session.id)).toEqual(found);
    const unknown = await call('GET', '/v1/sessions?model=nobody');
    expect([unknown.statusCode, unknown.json().code]).toEqual([404, 'model_not_found']);
    expect((await call('GET', '/v1/sessions?model=sha256:none')).json()).toEqual({ sessions: [] });
    const noCursor = await call('GET', '/v1/sessions?cursor=zzz');
    expect(noCursor.statusCode).toBe(400);
    expect(noCursor.json().detail).toContain('`next` of the page before');
  });

  test('a lifetime beyond the maximum is shortened, and the answer has the one in effect', async () => {
    expect(await create({ ttl_s: 1e9 })).toMatchObject({ ttl_s: 2_592_000 });
  });

  test('N is that of h, and an h that does not fit is refused', async () => {
    expect(await create({ h: [[1, 2], [3, 4], [5, 6]] })).toMatchObject({ N: 3 });
    const response = await call('POST', '/v1/sessions', { model: 'tiny', N: 2, h: [[1, 2]] });
    expect([response.statusCode, response.json().code]).toEqual([422, 'shape_mismatch']);
    expect(response.json().detail).toContain('expected (2, 2), because N makes N = 2');
  });

  test.each([
    [{}, 400, 'invalid_request'],
    [{ model: 'tiny', weights: WEIGHTS }, 400, 'invalid_request'],
    [{ model: 'nobody' }, 404, 'model_not_found'],
    [{ model: 'tiny', keep: 65 }, 400, 'invalid_request'],
    [{ model: 'tiny', ttl_s: 0 }, 400, 'invalid_request'],
    [{ model: 'tiny', N: 1.5 }, 400, 'invalid_request'],
    [{ model: 'tiny', N: 4_000_000 }, 422, 'limit_exceeded'],
    [{ model: 'tiny', h: [[1, 1e39]] }, 422, 'out_of_range'],
    [{ model: 'tiny', color: 'red' }, 400, 'invalid_request'],
  ])('creation refuses %j', async (body, status, code) => {
    const response = await call('POST', '/v1/sessions', body);
    expect([response.statusCode, response.json().code]).toEqual([status, code]);
    expect(response.json().applied).toBe('no');
  });

  test('a session keeps its model when the name is pointed to another', async () => {
    const first = { W_x: [[1]], W_h: [[0]] };
    const second = { W_x: [[2]], W_h: [[0]] };
    await call('POST', '/v1/models', { name: 'moving', weights: first });
    const { id, model } = await create({ model: 'moving' });
    const other = (await call('POST', '/v1/models', { weights: second })).json();
    await call('PUT', '/v1/models/moving', { model: other.id });
    const expected = await call('POST', '/v1/step', { model, x: [[1]] });
    expect((await step(id, 1)).json().h).toEqual(expected.json().h);
    expect((await call('GET', `/v1/sessions/${id}`)).json().model).toBe(model);
  });
});

test('the list has all sessions, page by page', async () => {
  const other = await buildApp();
  const ids: string[] = [];
  for (let k = 0; k < 7; k++) {
    const response = await other.post('/v1/sessions', { weights: WEIGHTS });
    ids.push(response.body.id);
  }
  const seen: string[] = [];
  for (let cursor = ''; ; ) {
    const response = await other.http.inject(`/v1/sessions?limit=3${cursor}`);
    const { sessions, next } = response.json();
    seen.push(...sessions.map((session: { id: string }) => session.id));
    if (next === undefined) break;
    cursor = `&cursor=${next}`;
  }
  expect(seen).toEqual(ids.toSorted());
});

test('a page of large sessions is short, and has the cursor of the next page', async () => {
  const other = await buildApp();
  const weights = { W_x: [Array(64).fill(0)], W_h: Array.from({ length: 64 }, () => Array(64).fill(0)) };
  const { body: model } = await other.post('/v1/models', { weights });
  // 256 KiB of state each: 40 of them are 10 MiB.
  for (let k = 0; k < 40; k++) {
    const response = await other.post('/v1/sessions', { model: model.id, N: 1_024 });
    expect(response.status).toBe(201);
  }
  const seen: string[] = [];
  const sizes: number[] = [];
  for (let cursor = ''; ; ) {
    const { sessions, next } = (await other.http.inject(`/v1/sessions?limit=1000${cursor}`)).json();
    sizes.push(sessions.length);
    seen.push(...sessions.map((session: { id: string }) => session.id));
    if (next === undefined) break;
    cursor = `&cursor=${next}`;
  }
  expect(sizes[0]).toBeLessThan(40);
  expect(new Set(seen).size).toBe(40);
});
