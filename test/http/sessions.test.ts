// Sessions over HTTP: every promise of the contract, once.
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import { readSafetensorsFile } from '../../src/codec/safetensors/read.ts';
import { writeSafetensors } from '../../src/codec/safetensors/write.ts';
import { MemoryStore } from '../../src/store/memory.ts';
import { type TestApp, buildApp } from '../helpers/app.ts';

/** D = 1, H = 2. */
const WEIGHTS = { W_x: [[0.5, -0.25]], W_h: [[0.1, 0.2], [-0.3, 0.4]], b: [0.01, -0.02] };
const HOUR_MS = 3_600_000;

let app: TestApp;
let nowMs = Date.parse('2030-01-01T00:00:00Z');

beforeAll(async () => {
  app = await buildApp({}, { now: () => nowMs });
  await app.post('/v1/models', { name: 'tiny', weights: WEIGHTS });
});

const call = (
  method: 'GET' | 'POST' | 'PUT' | 'DELETE',
  url: string,
  body?: unknown,
  headers: Record<string, string> = {},
) =>
  app.http.inject({
    method,
    url,
    headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
    ...(body !== undefined && { payload: JSON.stringify(body) }),
  });

async function create(body: object = {}) {
  const answer = await call('POST', '/v1/sessions', { model: 'tiny', ...body });
  expect(answer.statusCode, answer.body).toBe(201);
  return answer.json();
}

const step = (session: string, x: number, headers = {}) =>
  call('POST', '/v1/step', { session, x: [[x]] }, headers);

async function stateless(xs: readonly number[], h?: number[][]) {
  const x = xs.map((value) => [[value]]);
  const answer = await call('POST', '/v1/sequence', { model: 'tiny', x, h, outputs: ['h'] });
  return answer.json().h;
}

describe('creation', () => {
  test('answers with everything a client needs to go on', async () => {
    const answer = await call('POST', '/v1/sessions', { model: 'tiny', keep: 3, ttl_s: 60 });
    expect(answer.statusCode).toBe(201);
    const body = answer.json();
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
      ttl_s: 60,
      keep: 3,
      created_at: '2030-01-01T00:00:00.000Z',
      expires_at: '2030-01-01T00:01:00.000Z',
    });
    expect(answer.headers.location).toBe(`/v1/sessions/${body.id}`);
    expect(answer.headers['x-session-id']).toBe(body.id);
    expect(answer.headers.etag).toMatch(/^"[\w-]+\.0\.[\w-]{8}"$/);
    expect(answer.headers['cache-control']).toBe('no-store');
  });

  test('takes inline weights, which stay as long as the session', async () => {
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

  test('are listed by their model, a name or an id, page by page', async () => {
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
    const nobody = await call('GET', '/v1/sessions?model=nobody');
    expect([nobody.statusCode, nobody.json().code]).toEqual([404, 'model_not_found']);
    expect((await call('GET', '/v1/sessions?model=sha256:none')).json()).toEqual({ sessions: [] });
    const noCursor = await call('GET', '/v1/sessions?cursor=zzz');
    expect(noCursor.statusCode).toBe(400);
    expect(noCursor.json().detail).toContain('`next` of the page before');
  });

  test('cuts a lifetime to the longest there is, and says so', async () => {
    expect(await create({ ttl_s: 1e9 })).toMatchObject({ ttl_s: 2_592_000 });
  });

  test('takes N from h, and refuses an h that does not fit', async () => {
    expect(await create({ h: [[1, 2], [3, 4], [5, 6]] })).toMatchObject({ N: 3 });
    const answer = await call('POST', '/v1/sessions', { model: 'tiny', N: 2, h: [[1, 2]] });
    expect([answer.statusCode, answer.json().code]).toEqual([422, 'shape_mismatch']);
    expect(answer.json().detail).toContain('expected (2, 2), because N makes N = 2');
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
  ])('refuses %j', async (body, status, code) => {
    const answer = await call('POST', '/v1/sessions', body);
    expect([answer.statusCode, answer.json().code]).toEqual([status, code]);
    expect(answer.json().applied).toBe('no');
  });

  test('a session stays with its model when the name moves', async () => {
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

describe('steps and sequences', () => {
  test('carry the state: the bits are those of one long sequence', async () => {
    const { id } = await create();
    const xs = [1, -0.5, 0.25, 2, -3];
    const [first, ...rest] = xs;
    const one = await step(id, first!);
    const many = await call('POST', '/v1/sequence', {
      session: id,
      x: rest.map((x) => [[x]]),
      outputs: ['h'],
    });
    expect(one.json()).toEqual({ h: await stateless([first!]), session: expect.anything() });
    const { h, session } = many.json();
    expect(h).toEqual(await stateless(xs));
    expect(session).toMatchObject({ id, t: 5, version: 2 });
    const digest = createHash('sha256').update(Float32Array.from(h[0])).digest('hex').slice(0, 16);
    expect(session.digest).toBe(digest);
    expect(many.headers['x-session-id']).toBe(id);
    expect(many.headers.etag).toMatch(/\.2\.[\w-]{8}"$/);
    const read = await call('GET', `/v1/sessions/${id}`);
    expect(read.json()).toMatchObject({ t: 5, version: 2, digest, h, kept: [] });
    expect(read.headers.etag).toBe(many.headers.etag);
  });

  test('take the session from the header as well, and both must agree', async () => {
    const { id } = await create();
    const header = { 'x-session-id': id };
    const answer = await call('POST', '/v1/step', { x: [[1]] }, header);
    expect(answer.json().session).toMatchObject({ id, t: 1 });
    const both = await call('POST', '/v1/step', { session: 'other', x: [[1]] }, header);
    expect([both.statusCode, both.json().code]).toEqual([400, 'invalid_request']);
    expect(both.json().applied).toBe('no');
  });

  test('as files: the session is in the metadata, its mark comes back there', async () => {
    const { id } = await create();
    const x = Buffer.from(Float32Array.of(1).buffer);
    const header = Buffer.from(
      JSON.stringify({
        __metadata__: { session: id },
        x: { dtype: 'F32', shape: [1, 1], data_offsets: [0, 4] },
      }),
    );
    const size = Buffer.alloc(8);
    size.writeBigUInt64LE(BigInt(header.length));
    const answer = await app.http.inject({
      method: 'POST',
      url: '/v1/step',
      headers: { 'content-type': 'application/octet-stream' },
      payload: Buffer.concat([size, header, x]),
    });
    const { tensors, metadata } = readSafetensorsFile(answer.rawPayload);
    expect(JSON.parse(metadata.session!)).toMatchObject({ id, t: 1, version: 1 });
    expect([...tensors.get('h')!.data].map(Number)).toEqual(
      [...Float32Array.from((await stateless([1]))[0])],
    );
    const file = await call('GET', `/v1/sessions/${id}`, undefined, {
      accept: 'application/octet-stream',
    });
    expect(readSafetensorsFile(file.rawPayload).metadata).toMatchObject({ id, t: '1' });
  });

  test.each([
    [{ x: [[1], [2]] }, 422, 'shape_mismatch', 'has N = 1'],
    [{ x: [[1, 2]] }, 422, 'shape_mismatch', 'makes D = 1'],
    [{ x: [[1]], h: [[0, 0]] }, 400, 'invalid_request', 'neither weights, model nor h'],
    [{ x: [[1]], model: 'tiny' }, 400, 'invalid_request', 'neither weights, model nor h'],
    [{ x: [[1]], weights: WEIGHTS }, 400, 'invalid_request', 'neither weights, model nor h'],
    [{ x: [[1e39]] }, 422, 'out_of_range', 'beyond float32'],
    [{ x: [[null]] }, 400, 'invalid_request', ''],
  ])('refuse %j, the state untouched', async (body, status, code, detail) => {
    const { id } = await create();
    const before = (await call('GET', `/v1/sessions/${id}`)).body;
    const answer = await call('POST', '/v1/step', { session: id, ...body });
    expect([answer.statusCode, answer.json().code]).toEqual([status, code]);
    expect(answer.json().detail).toContain(detail);
    expect(answer.json().applied).toBe('no');
    expect((await call('GET', `/v1/sessions/${id}`)).body).toBe(before);
  });

  test('a result that is not finite is refused and never committed', async () => {
    const H = 97;
    const weights = {
      W_x: [Array(H).fill(3e38)],
      // The sums of the blocks are +∞ and −∞.
      W_h: Array.from({ length: H }, (_, k) => Array(H).fill(k < 48 ? 3e38 : -3e38)),
    };
    const { id } = (await call('POST', '/v1/sessions', { weights })).json();
    const sequence = { session: id, x: [[[1]], [[1]], [[1]]] };
    const answer = await call('POST', '/v1/sequence', sequence);
    expect([answer.statusCode, answer.json().code]).toEqual([422, 'not_finite']);
    const read = (await call('GET', `/v1/sessions/${id}`)).json();
    expect([read.t, read.version, read.h[0][0]]).toEqual([0, 0, 0]);
  });
});

test('a file on a session says in its errors what became of the session', async () => {
  const { id } = await create();
  const file = (metadata: Record<string, string>, x: number[]) => {
    const data = new Float32Array(x);
    return writeSafetensors({ x: { shape: [1, x.length], strides: [x.length, 1], data } }, metadata);
  };
  const send = (payload: Buffer) =>
    app.http.inject({
      method: 'POST',
      url: '/v1/step',
      headers: { 'content-type': 'application/octet-stream' },
      payload,
    });
  const wrongShape = await send(file({ session: id }, [1, 2]));
  expect([wrongShape.statusCode, wrongShape.json().applied]).toEqual([422, 'no']);
  const unknownField = await send(file({ session: id, color: 'red' }, [1]));
  expect([unknownField.statusCode, unknownField.json().applied]).toEqual([400, 'no']);
  const none = await send(file({ model: 'tiny' }, [1, 2]));
  expect([none.statusCode, none.json().applied]).toEqual([422, undefined]);
});

describe('If-Match', () => {
  test('lets through what matches, and tells where the session is otherwise', async () => {
    const { id } = await create();
    const first = await step(id, 1);
    const { etag } = first.headers as { etag: string };
    expect((await step(id, 2, { 'if-match': etag })).statusCode).toBe(200);
    const stale = await step(id, 3, { 'if-match': etag });
    expect(stale.statusCode).toBe(412);
    expect(stale.json()).toMatchObject({ code: 'step_conflict', t: 2, version: 2, applied: 'no' });
    expect((await step(id, 3, { 'if-match': '*' })).statusCode).toBe(200);
    const malformed = await step(id, 3, { 'if-match': 'x' });
    expect(malformed.statusCode).toBe(400);
  });

  test('404 comes before 412, and an ETag of another session never matches', async () => {
    const [a, b] = [await create(), await create()];
    const etag = (await call('GET', `/v1/sessions/${a.id}`)).headers.etag as string;
    expect((await step(b.id, 1, { 'if-match': etag })).statusCode).toBe(412);
    const nobody = await step('AAAAAAAAAAAAAAAAAAAAAA', 1, { 'if-match': etag });
    expect([nobody.statusCode, nobody.json().code]).toEqual([404, 'session_not_found']);
    expect(nobody.json().applied).toBe('no');
  });
});

describe('Idempotency-Key', () => {
  test('the same call again has the same bytes and moves nothing', async () => {
    const { id } = await create();
    const key = { 'idempotency-key': 'k-1' };
    const first = await step(id, 1, key);
    nowMs += 1_000;
    await step(id, 2);
    const again = await step(id, 1, key);
    expect(first.headers['idempotency-replayed']).toBeUndefined();
    expect(again.headers['idempotency-replayed']).toBe('true');
    expect(again.body).toBe(first.body);
    expect(again.headers.etag).toBe(first.headers.etag);
    expect((await call('GET', `/v1/sessions/${id}`)).json().t).toBe(2);
  });

  test('another address is another call, though there is no body to tell them apart', async () => {
    const { id } = await create();
    const headers = { 'idempotency-key': 'k' };
    await call('POST', `/v1/sessions/${id}/fork`, undefined, headers);
    const other = await call('DELETE', `/v1/sessions/${id}`, undefined, headers);
    expect([other.statusCode, other.json().code]).toEqual([422, 'idempotency_key_reused']);
  });

  test('the quoted form is the same key', async () => {
    const { id } = await create();
    await step(id, 1, { 'idempotency-key': 'k' });
    const again = await step(id, 1, { 'idempotency-key': '"k"' });
    expect(again.headers['idempotency-replayed']).toBe('true');
  });

  test('a repeated call with a stale If-Match is answered, not refused', async () => {
    const { id } = await create();
    const { etag } = (await call('GET', `/v1/sessions/${id}`)).headers as { etag: string };
    const headers = { 'idempotency-key': 'k', 'if-match': etag };
    const first = await step(id, 1, headers);
    const again = await step(id, 1, headers);
    expect([first.statusCode, again.statusCode]).toEqual([200, 200]);
    expect(again.body).toBe(first.body);
  });

  test('with another body or address it is 422, and nothing happens', async () => {
    const { id } = await create();
    const key = { 'idempotency-key': 'k' };
    await step(id, 1, key);
    for (const answer of [
      await step(id, 2, key),
      await call('PUT', `/v1/sessions/${id}/state`, { h: [[0, 0]] }, key),
      await call('POST', `/v1/sessions/${id}/fork`, undefined, key),
      await call('DELETE', `/v1/sessions/${id}`, undefined, key),
    ]) {
      expect([answer.statusCode, answer.json().code]).toEqual([422, 'idempotency_key_reused']);
      expect(answer.json().applied).toBe('no');
    }
    expect((await call('GET', `/v1/sessions/${id}`)).json().t).toBe(1);
  });

  test('the same key on another session is another key', async () => {
    const [a, b] = [await create(), await create()];
    const key = { 'idempotency-key': 'k' };
    await step(a.id, 1, key);
    expect((await step(b.id, 2, key)).headers['idempotency-replayed']).toBeUndefined();
  });

  test('a failed call leaves its key free', async () => {
    const { id } = await create();
    const key = { 'idempotency-key': 'k' };
    expect((await call('POST', '/v1/step', { session: id, x: [[1, 2]] }, key)).statusCode).toBe(422);
    expect((await step(id, 1, key)).statusCode).toBe(200);
  });

  test('the last 64 are remembered; an older one with If-Match is refused', async () => {
    const { id } = await create();
    const first = await step(id, 1, { 'idempotency-key': 'k-0' });
    const { etag } = first.headers as { etag: string };
    for (let k = 1; k < 64; k++) await step(id, k, { 'idempotency-key': `k-${k}` });
    expect((await step(id, 1, { 'idempotency-key': 'k-0' })).body).toBe(first.body);
    await step(id, 64, { 'idempotency-key': 'k-64' });
    const pruned = await step(id, 1, { 'idempotency-key': 'k-0', 'if-match': etag });
    expect(pruned.statusCode).toBe(412);
  });

  test('sequences, states, rewinds, forks and deletions are repeated as well', async () => {
    const { id } = await create({ keep: 4 });
    const base = `/v1/sessions/${id}`;
    const calls: [string, 'POST' | 'PUT' | 'DELETE', string, unknown][] = [
      ['a', 'POST', '/v1/sequence', { session: id, x: [[[1]], [[2]]] }],
      ['b', 'PUT', `${base}/state`, { h: [[0.5, -0.5]], t: 7 }],
      ['c', 'POST', `${base}/rewind`, { t: 2 }],
      ['d', 'POST', `${base}/fork`, undefined],
      ['e', 'DELETE', base, undefined],
    ];
    for (const [key, method, url, body] of calls) {
      const headers = { 'idempotency-key': key };
      const first = await call(method, url, body, headers);
      const again = await call(method, url, body, headers);
      expect(first.statusCode, first.body).toBeLessThan(300);
      expect([again.statusCode, again.body]).toEqual([first.statusCode, first.body]);
      expect(again.headers.etag).toBe(first.headers.etag);
      expect(again.headers.location).toBe(first.headers.location);
      expect(again.headers['idempotency-replayed']).toBe('true');
    }
  });

  test('of 16 at once one is executed, the others are answered alike or told to wait', async () => {
    const { id } = await create();
    for (let round = 0; round < 50; round++) {
      const headers = { 'idempotency-key': `round-${round}` };
      const answers = await Promise.all(Array.from({ length: 16 }, () => step(id, round, headers)));
      const done = answers.filter(({ statusCode }) => statusCode === 200);
      expect(new Set(done.map(({ body }) => body)).size).toBe(1);
      expect(answers.filter(({ statusCode }) => statusCode === 409)).toHaveLength(16 - done.length);
    }
    expect((await call('GET', `/v1/sessions/${id}`)).json()).toMatchObject({ t: 50, version: 50 });
  });

  test.each(['', 'a b', '"unclosed', 'ü', 'x'.repeat(256)])('%j is not a key', async (key) => {
    const { id } = await create();
    const answer = await step(id, 1, { 'idempotency-key': key });
    expect([answer.statusCode, answer.json().applied]).toEqual([400, 'no']);
  });
});

describe('state, rewind and fork', () => {
  test('a state is put in place, with the step it stands for', async () => {
    const { id } = await create();
    await step(id, 1);
    const answer = await call('PUT', `/v1/sessions/${id}/state`, { h: [[0.25, -0.5]], t: 10 });
    expect(answer.json()).toMatchObject({ t: 10, version: 2 });
    expect((await step(id, 1)).json().h).toEqual(await stateless([1], [[0.25, -0.5]]));
    const wrong = await call('PUT', `/v1/sessions/${id}/state`, { h: [[1]] });
    expect([wrong.statusCode, wrong.json().code]).toEqual([422, 'shape_mismatch']);
  });

  test('rewind goes to a kept state, and the steps from there are the same again', async () => {
    const { id } = await create({ keep: 2 });
    const answers = [];
    for (const x of [1, 2, 3]) answers.push((await step(id, x)).json());
    expect((await call('GET', `/v1/sessions/${id}`)).json().kept).toEqual([1, 2]);
    const lost = await call('POST', `/v1/sessions/${id}/rewind`, { t: 0 });
    expect(lost.statusCode).toBe(422);
    expect(lost.json()).toMatchObject({ code: 'state_not_kept', kept: [1, 2], applied: 'no' });
    const { id: forgetful } = await create({ model: 'tiny' });
    const none = await call('POST', `/v1/sessions/${forgetful}/rewind`, { t: 0 });
    expect(none.json()).toMatchObject({ code: 'state_not_kept', kept: [], applied: 'no' });
    expect(none.json().detail).toContain('`keep` is 0');
    const back = await call('POST', `/v1/sessions/${id}/rewind`, { t: 1 });
    const { digest } = answers[0].session;
    expect(back.json()).toMatchObject({ t: 1, version: 4, digest });
    expect((await step(id, 2)).json().h).toEqual(answers[1].h);
    expect((await call('GET', `/v1/sessions/${id}`)).json().kept).toEqual([1]);
  });

  test('a fork goes its own way', async () => {
    const { id } = await create({ keep: 1 });
    await step(id, 1);
    const answer = await call('POST', `/v1/sessions/${id}/fork`);
    expect(answer.statusCode).toBe(201);
    const fork = answer.json();
    expect(fork).toMatchObject({ t: 1, version: 0 });
    expect(fork.id).not.toBe(id);
    expect(answer.headers.location).toBe(`/v1/sessions/${fork.id}`);
    await step(fork.id, 5);
    expect((await step(id, 2)).json().h).toEqual(await stateless([1, 2]));
    expect((await call('GET', `/v1/sessions/${fork.id}`)).json().h).toEqual(await stateless([1, 5]));
    const back = await call('POST', `/v1/sessions/${fork.id}/rewind`, { t: 1 });
    expect(back.json()).toMatchObject({ t: 1 });
  });

  test('an announced but empty JSON body is no body', async () => {
    const { id } = await create();
    const answer = await app.http.inject({
      method: 'POST',
      url: `/v1/sessions/${id}/fork`,
      headers: { 'content-type': 'application/json' },
    });
    expect(answer.statusCode).toBe(201);
  });
});

describe('the end', () => {
  test('of a deleted session: 410 with reason, time and step, then 404', async () => {
    const { id } = await create();
    await step(id, 1);
    expect((await call('DELETE', `/v1/sessions/${id}`)).statusCode).toBe(204);
    const at = new Date(nowMs).toISOString();
    for (const answer of [
      await call('GET', `/v1/sessions/${id}`),
      await step(id, 1),
      await call('DELETE', `/v1/sessions/${id}`),
    ]) {
      expect(answer.statusCode).toBe(410);
      expect(answer.json()).toMatchObject({ code: 'session_gone', reason: 'deleted', at, t: 1 });
      expect(answer.json().applied).toBe('no');
    }
    await app.sessions.sweep(1_000);
    expect((await call('GET', `/v1/sessions/${id}`)).statusCode).toBe(410);
    nowMs += HOUR_MS + 1;
    await app.sessions.sweep(1_000);
    expect((await call('GET', `/v1/sessions/${id}`)).statusCode).toBe(404);
  });

  test('of an idle session comes by its own clock, swept or not', async () => {
    const { id, expires_at } = await create({ ttl_s: 10 });
    nowMs += 9_000;
    expect((await step(id, 1)).json().session.expires_at).toBe(
      new Date(nowMs + 10_000).toISOString(),
    );
    nowMs += 9_000;
    expect((await call('GET', `/v1/sessions/${id}`)).statusCode).toBe(200);
    nowMs += 1_001;
    const gone = await step(id, 1);
    expect([gone.statusCode, gone.json().reason]).toEqual([410, 'expired']);
    expect(gone.json().at > expires_at).toBe(true);
    const listed = (await call('GET', '/v1/sessions?limit=1000')).json().sessions;
    expect(listed.map((session: { id: string }) => session.id)).not.toContain(id);
  });

  test('of an idle session: a repeated call is 410 as well, swept or not', async () => {
    const { id } = await create({ ttl_s: 10 });
    const key = { 'idempotency-key': 'k' };
    await step(id, 1, key);
    nowMs += 10_001;
    for (const x of [1, 2]) {
      const answer = await step(id, x, key);
      expect([answer.statusCode, answer.json().reason]).toEqual([410, 'expired']);
    }
    await app.sessions.sweep(1_000);
    expect((await step(id, 1, key)).statusCode).toBe(410);
  });

  test('expiry unpins the model', async () => {
    const weights = { W_x: [[0.125]], W_h: [[0.5]] };
    const model = (await call('POST', '/v1/models', { weights })).json().id;
    await call('POST', '/v1/sessions', { model, ttl_s: 1 });
    nowMs += 2_000;
    await app.sessions.sweep(1_000);
    expect((await call('DELETE', `/v1/models/${model}`)).statusCode).toBe(204);
  });
});

test('the list goes through all sessions, page by page', async () => {
  const other = await buildApp();
  const ids: string[] = [];
  for (let k = 0; k < 7; k++) {
    const answer = await other.post('/v1/sessions', { weights: WEIGHTS });
    ids.push(answer.body.id);
  }
  const seen: string[] = [];
  for (let cursor = ''; ; ) {
    const answer = await other.http.inject(`/v1/sessions?limit=3${cursor}`);
    const { sessions, next } = answer.json();
    seen.push(...sessions.map((session: { id: string }) => session.id));
    if (next === undefined) break;
    cursor = `&cursor=${next}`;
  }
  expect(seen).toEqual(ids.toSorted());
});

test('a page of large sessions is short, and says where the next one begins', async () => {
  const other = await buildApp();
  const weights = { W_x: [Array(64).fill(0)], W_h: Array.from({ length: 64 }, () => Array(64).fill(0)) };
  const { body: model } = await other.post('/v1/models', { weights });
  // 256 KiB of state each: 40 of them are 10 MiB.
  for (let k = 0; k < 40; k++) {
    const answer = await other.post('/v1/sessions', { model: model.id, N: 1_024 });
    expect(answer.status).toBe(201);
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

test('limits: of sessions, and of calls that wait for one', async () => {
  class SlowStore extends MemoryStore {
    override async change(...args: Parameters<MemoryStore['change']>): Promise<string | undefined> {
      await sleep(20);
      return super.change(...args);
    }
  }
  const limits = { SESSIONS_MAX: '1', SESSION_QUEUE_MAX: '2' };
  const small = await buildApp(limits, { store: new SlowStore(1e9) });
  const { body } = await small.post('/v1/sessions', { weights: WEIGHTS });
  const full = await small.post('/v1/sessions', { weights: WEIGHTS });
  expect([full.status, full.body.code]).toEqual([507, 'sessions_full']);
  const answers = await Promise.all(
    Array.from({ length: 8 }, () => small.post('/v1/step', { session: body.id, x: [[1]] })),
  );
  const codes = answers.map((answer) => answer.body.code ?? answer.status);
  expect(codes.filter((code) => code === 200)).toHaveLength(3);
  expect(codes.filter((code) => code === 'session_busy')).toHaveLength(5);
  expect((await small.http.inject(`/v1/sessions/${body.id}`)).json().t).toBe(3);
});

describe('a store that fails', () => {
  class FailingStore extends MemoryStore {
    failure: Error | undefined;

    override async change(...args: Parameters<MemoryStore['change']>): Promise<string | undefined> {
      if (this.failure) throw this.failure;
      return super.change(...args);
    }
  }

  test('says what may have happened, and the next call sees what the store holds', async () => {
    const { CarryoverError } = await import('../../src/errors.ts');
    const store = new FailingStore(1e9);
    const failing = await buildApp({}, { store });
    const { body } = await failing.post('/v1/sessions', { weights: WEIGHTS });
    store.failure = new CarryoverError('store_unavailable', { detail: 'cut', applied: 'unknown' });
    const unknown = await failing.post('/v1/step', { session: body.id, x: [[1]] });
    expect([unknown.status, unknown.body.applied]).toEqual([503, 'unknown']);
    expect(unknown.headers['retry-after']).toBe('1');
    store.failure = new Error('a bug');
    const bug = await failing.post('/v1/step', { session: body.id, x: [[1]] });
    expect([bug.status, bug.body.applied]).toEqual([500, 'unknown']);
    store.failure = undefined;
    const fine = await failing.post('/v1/step', { session: body.id, x: [[1]] });
    expect([fine.status, fine.body.session.t]).toEqual([200, 1]);
  });

  test('a fork that was cut off half-way is found by the next attempt, whatever came between', async () => {
    const { CarryoverError } = await import('../../src/errors.ts');
    const store = new FailingStore(1e9);
    const failing = await buildApp({ SESSIONS_MAX: '2' }, { store });
    const { body, headers } = await failing.post('/v1/sessions', { weights: WEIGHTS });
    const fork = () =>
      failing.http.inject({
        method: 'POST',
        url: `/v1/sessions/${body.id}/fork`,
        headers: { 'idempotency-key': 'k', 'if-match': headers.etag as string },
      });
    store.failure = new CarryoverError('store_unavailable', { detail: 'refused' });
    const failed = await fork();
    store.failure = undefined;
    // The fork is there by now, so "no" would not be true.
    expect([failed.statusCode, failed.json().applied]).toEqual([503, 'unknown']);
    expect(await store.count()).toBe(2);
    await failing.post('/v1/step', { session: body.id, x: [[1]] });
    const again = await fork();
    expect(again.statusCode, again.body).toBe(201);
    expect(again.json()).toMatchObject({ t: 0, version: 0 });
    expect((await fork()).body).toBe(again.body);
    expect(await store.count()).toBe(2);
  });
});
