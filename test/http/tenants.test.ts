// What belongs to one tenant is absent for another, in every route and by every way of naming it.
import type { AddressInfo } from 'node:net';

import { beforeAll, describe, expect, test } from 'vitest';
import { idPrefixOf } from '../../src/sessions/session-owner.ts';
import { BUILT_IN_MODELS } from '../../src/models/models-dir.ts';
import { buildApp } from '../helpers/app.ts';
import { makeKeys } from '../helpers/access.ts';
import { runs } from '../helpers/long.ts';
import { fc } from '../helpers/seed.ts';
import { RawClient } from '../helpers/raw-client.ts';
import { writeSafetensors } from '../helpers/safetensors.ts';

const weightsOf = (seed: number) => ({ W_x: [[0.5 + seed, -0.25]], W_h: [[0.1, 0.2], [-0.3, 0.4]] });

const X = { x: { shape: [1, 1], data: new Float32Array([1]) } };

const keys = makeKeys();
const key = { a: keys.add('a'), b: keys.add('b'), default: keys.add('default') };
type Who = keyof typeof key;
const app = await buildApp({ API_KEYS_FILE: keys.path });
let port: number;
beforeAll(async () => {
  await app.http.listen({ port: 0 });
  ({ port } = app.http.server.address() as AddressInfo);
});

async function call(who: Who, method: 'GET' | 'POST' | 'PUT' | 'DELETE', url: string, body?: unknown, headers = {}) {
  const isFile = Buffer.isBuffer(body);
  const { statusCode, body: text, headers: sent } = await app.http.inject({
    method,
    url,
    headers: {
      'x-api-key': key[who],
      ...(body !== undefined && { 'content-type': isFile ? 'application/octet-stream' : 'application/json' }),
      ...headers,
    },
    ...(body !== undefined && { payload: isFile ? body : JSON.stringify(body) }),
  });
  return { status: statusCode, body: text.startsWith('{') ? JSON.parse(text) : undefined, text, headers: sent };
}

const register = async (who: Who, seed: number, name?: string) =>
  (await call(who, 'POST', '/v1/models', { weights: weightsOf(seed), ...(name && { name }) })).body;
const create = async (who: Who, body: object) => (await call(who, 'POST', '/v1/sessions', body)).body;
const listed = async (who: Who, of: 'models' | 'sessions', query = '') =>
  (await call(who, 'GET', `/v1/${of}?limit=1000${query}`)).body[of] as { id: string; names: string[] }[];

/** Every way to name a session, and every route that takes it. */
function callsOn(id: string): [string, 'GET' | 'POST' | 'PUT' | 'DELETE', string, unknown?, object?][] {
  const file = Buffer.from(writeSafetensors(X, { session: id }));
  return [
    ['GET', 'GET', `/v1/sessions/${id}`],
    ['DELETE', 'DELETE', `/v1/sessions/${id}`],
    ['PUT state', 'PUT', `/v1/sessions/${id}/state`, { h: [[0, 0]] }],
    ['rewind', 'POST', `/v1/sessions/${id}/rewind`, { t: 0 }],
    ['fork', 'POST', `/v1/sessions/${id}/fork`],
    ['fork with a key', 'POST', `/v1/sessions/${id}/fork`, undefined, { 'idempotency-key': 'k' }],
    ['step by body', 'POST', '/v1/step', { session: id, x: [[1]] }],
    ['step by header', 'POST', '/v1/step', { x: [[1]] }, { 'x-session-id': id }],
    ['step by both', 'POST', '/v1/step', { session: id, x: [[1]] }, { 'x-session-id': id }],
    ['step with a key', 'POST', '/v1/step', { session: id, x: [[1]] }, { 'idempotency-key': 'k' }],
    ['step if at a version', 'POST', '/v1/step', { session: id, x: [[1]] }, { 'if-match': '*' }],
    ['step by a file', 'POST', '/v1/step', file],
    ['sequence by body', 'POST', '/v1/sequence', { session: id, x: [[[1]]] }],
    ['sequence by header', 'POST', '/v1/sequence', { x: [[[1]]] }, { 'x-session-id': id }],
  ];
}

/** Every way to name a model, and every route that takes it. */
function callsWith(ref: string): [string, 'GET' | 'POST' | 'PUT' | 'DELETE', string, unknown?][] {
  const path = `/v1/models/${encodeURIComponent(ref)}`;
  const file = Buffer.from(writeSafetensors(X, { model: ref }));
  return [
    ['GET', 'GET', path],
    ['DELETE', 'DELETE', path],
    ['PUT of a name', 'PUT', '/v1/models/mine', { model: ref }],
    ['step', 'POST', '/v1/step', { model: ref, x: [[1]] }],
    ['step by a file', 'POST', '/v1/step', file],
    ['sequence', 'POST', '/v1/sequence', { model: ref, x: [[[1]]] }],
    ['session', 'POST', '/v1/sessions', { model: ref }],
  ];
}

/** Answers differ only in what the client has sent and in the id of the request. */
const shapeOf = ({ status, text }: { status: number; text: string }, id: string) =>
  `${status} ${text.replaceAll(id.slice(0, 40), 'ID').replaceAll(/"instance":"[^"]+"/g, '')}`;

describe('a session of another tenant', () => {
  const owners: [Who, Who][] = [['a', 'b'], ['b', 'a'], ['default', 'a'], ['a', 'default']];
  test.each(owners)('of %s is absent for %s in every route, as one that never was, and is not changed', async (owner, other) => {
    const { id } = await create(owner, { weights: weightsOf(1), keep: 4 });
    await call(owner, 'POST', '/v1/step', { session: id, x: [[1]] });
    const before = (await call(owner, 'GET', `/v1/sessions/${id}`)).text;
    const never = `${id.slice(0, -3)}abc`;
    for (const [name, method, url, body, headers] of callsOn(id)) {
      const answer = await call(other, method, url, body, headers);
      expect(answer.body, name).toMatchObject({ status: 404, code: 'session_not_found' });
      const [, , url2, body2, headers2] = callsOn(never).find(([same]) => same === name)!;
      expect(shapeOf(answer, id), name).toBe(shapeOf(await call(other, method, url2, body2, headers2), never));
    }
    const socket = new RawClient(
      port,
      `GET /v1/sessions/${id}/stream HTTP/1.1\r\nHost: localhost\r\nx-api-key: ${key[other]}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
    );
    expect((await socket.answer()).status).toBe(404);
    expect((await call(owner, 'GET', `/v1/sessions/${id}`)).text).toBe(before);
    expect((await listed(other, 'sessions')).map((session) => session.id)).not.toContain(id);
    expect((await listed(owner, 'sessions')).map((session) => session.id)).toContain(id);
  });

  test('has ended, and is absent for another even so', async () => {
    const { id } = await create('a', { weights: weightsOf(1) });
    await call('a', 'DELETE', `/v1/sessions/${id}`);
    expect((await call('a', 'GET', `/v1/sessions/${id}`)).status).toBe(410);
    expect((await call('b', 'GET', `/v1/sessions/${id}`)).status).toBe(404);
  });

  test('is not found by the same idempotency key', async () => {
    const headers = { 'idempotency-key': 'one' };
    const body = { weights: weightsOf(1) };
    const answers = await Promise.all((['a', 'b', 'default'] as const).map((who) => call(who, 'POST', '/v1/sessions', body, headers)));
    expect(new Set(answers.map(({ body: session }) => session.id)).size).toBe(3);
    expect(answers.map(({ headers: sent }) => sent['idempotency-replayed'])).toEqual([undefined, undefined, undefined]);
    const again = await call('a', 'POST', '/v1/sessions', body, headers);
    expect(again.body.id).toBe(answers[0]!.body.id);
    expect(again.headers['idempotency-replayed']).toBe('true');
    const other = await call('b', 'POST', '/v1/sessions', { weights: weightsOf(2) }, headers);
    expect(other.body.code, 'a key of its own').toBe('idempotency_key_reused');
  });

  test('forks belong to the tenant too', async () => {
    const { id } = await create('a', { weights: weightsOf(1) });
    for (const headers of [{}, { 'idempotency-key': 'f' }]) {
      const fork = await call('a', 'POST', `/v1/sessions/${id}/fork`, undefined, headers);
      expect(fork.body.id.startsWith(idPrefixOf('a'))).toBe(true);
      expect((await call('b', 'GET', `/v1/sessions/${fork.body.id}`)).status).toBe(404);
    }
  });
});

test('pages of sessions have those of the tenant, each once, whatever the others have', async () => {
  const all: Record<Who, string[]> = { a: [], b: [], default: [] };
  for (const who of Object.keys(all) as Who[]) {
    for (let k = 0; k < 15; k++) all[who].push((await create(who, { weights: weightsOf(3) })).id);
  }
  for (const who of Object.keys(all) as Who[]) {
    for (const limit of [1, 7, 1000]) {
      const found: string[] = [];
      let cursor = '';
      do {
        const page = (await call(who, 'GET', `/v1/sessions?limit=${limit}${cursor}`)).body;
        found.push(...page.sessions.map(({ id }: { id: string }) => id));
        cursor = page.next === undefined ? '' : `&cursor=${page.next}`;
      } while (cursor !== '');
      expect(new Set(found).size).toBe(found.length);
      expect(found).toEqual(expect.arrayContaining(all[who]));
      for (const other of (Object.keys(all) as Who[]).filter((name) => name !== who)) {
        expect(found.filter((id) => all[other].includes(id))).toEqual([]);
      }
    }
  }
  const { id: foreign } = await create('b', { weights: weightsOf(3) });
  for (const cursor of [foreign, 'z'.repeat(22), '-'.repeat(22), `${idPrefixOf('b').slice(0, -1)}0`]) {
    const page = (await call('a', 'GET', `/v1/sessions?limit=1000&cursor=${encodeURIComponent(cursor)}`)).body;
    expect(page.sessions.filter(({ id }: { id: string }) => !id.startsWith(idPrefixOf('a')))).toEqual([]);
  }
});

describe('a model of another tenant', () => {
  const owners: [Who, Who][] = [['a', 'b'], ['default', 'a'], ['a', 'default']];
  test.each(owners)('of %s is absent for %s by name, by id and by the name that is stored', async (owner, other) => {
    const { id } = await register(owner, 10 + owners.findIndex(([who, who2]) => who === owner && who2 === other), 'secret');
    const refs = ['secret', id, `${owner}/secret`, `${owner}/${id}`];
    const calls = refs.flatMap((ref) => callsWith(ref));
    for (const [name, method, url, body] of calls) {
      const answer = await call(other, method, url, body);
      // A path may not have a slash, so it is refused as no name.
      expect([400, 404], `${name} ${url}: ${answer.text}`).toContain(answer.status);
      expect(answer.text).not.toContain(weightsOf(0).W_h.toString());
    }
    expect((await listed(other, 'models')).map((model) => model.id)).not.toContain(id);
    expect((await call(owner, 'GET', '/v1/models/secret')).body).toMatchObject({ id, names: ['secret'] });
    await call(owner, 'DELETE', `/v1/models/${id}`);
  });

  test('is shared by content: each registers, names and deletes its own, and sees nothing of the other', async () => {
    const first = await call('a', 'POST', '/v1/models', { weights: weightsOf(20), name: 'ours' });
    const second = await call('b', 'POST', '/v1/models', { weights: weightsOf(20), name: 'theirs' });
    expect([first.status, second.status], 'new for both').toEqual([201, 201]);
    expect(second.body.id).toBe(first.body.id);
    expect(second.body.names).toEqual(['theirs']);
    expect((await call('b', 'POST', '/v1/models', { weights: weightsOf(20) })).status).toBe(200);
    const session = await create('b', { model: 'theirs' });
    expect((await call('a', 'DELETE', '/v1/models/ours')).status, 'the sessions of b are none of its business').toBe(204);
    expect((await call('a', 'GET', `/v1/models/${first.body.id}`)).status).toBe(404);
    expect((await call('b', 'GET', '/v1/models/theirs')).body.names).toEqual(['theirs']);
    expect((await call('b', 'POST', '/v1/step', { session: session.id, x: [[1]] })).status).toBe(200);
    expect((await call('b', 'DELETE', '/v1/models/theirs')).body.code).toBe('model_pinned');
    await call('b', 'DELETE', `/v1/sessions/${session.id}`);
    expect((await call('b', 'DELETE', '/v1/models/theirs')).status).toBe(204);
    expect(await app.store.models.get(first.body.id), 'nobody needs it any more').toBeUndefined();
  });

  test('inline weights of a session are seen by nobody', async () => {
    const { id, model } = await create('a', { weights: weightsOf(30) });
    for (const who of ['a', 'b', 'default'] as const) {
      expect((await call(who, 'GET', `/v1/models/${model}`)).status, who).toBe(404);
      expect((await listed(who, 'models')).map((one) => one.id)).not.toContain(model);
    }
    expect((await call('a', 'POST', '/v1/step', { session: id, x: [[1]] })).status).toBe(200);
  });

  test('names are the tenant’s: the same name may mean another model', async () => {
    const [mine, theirs] = [await register('a', 40, 'same'), await register('b', 41, 'same')];
    expect((await call('a', 'GET', '/v1/models/same')).body.id).toBe(mine.id);
    expect((await call('b', 'GET', '/v1/models/same')).body.id).toBe(theirs.id);
    const moved = await register('a', 42);
    expect((await call('a', 'PUT', '/v1/models/same', { model: moved.id })).body.id).toBe(moved.id);
    expect((await call('b', 'GET', '/v1/models/same')).body.id).toBe(theirs.id);
    const taken = await call('b', 'POST', '/v1/models', { weights: weightsOf(43), name: 'same' });
    expect(taken.body).toMatchObject({ code: 'name_taken', detail: expect.stringContaining('PUT /v1/models/same,') });
    expect(taken.text).not.toContain('b/');
  });

  test('pages of models have those of the tenant and the built-in ones', async () => {
    for (let k = 0; k < 5; k++) {
      await register('a', 50 + k);
      await register('b', 60 + k);
    }
    const all = await listed('a', 'models');
    const paged: string[] = [];
    for (let cursor = '', next: string | undefined = ''; next !== undefined; ) {
      const page = (await call('a', 'GET', `/v1/models?limit=2${cursor}`)).body;
      paged.push(...page.models.map(({ id }: { id: string }) => id));
      next = page.next;
      cursor = `&cursor=${next}`;
    }
    expect(paged).toEqual(all.map(({ id }) => id));
    expect(new Set(paged).size).toBe(paged.length);
    expect(paged).toEqual(expect.arrayContaining(Object.values(BUILT_IN_MODELS).map(({ id }) => id)));
    const others = (await listed('b', 'models')).map(({ id }) => id);
    expect(paged.filter((id) => others.includes(id)).length).toBe(Object.keys(BUILT_IN_MODELS).length);
  });
});

test('built-in models are for all, and can be neither moved nor deleted by anybody', async () => {
  for (const who of ['a', 'b', 'default'] as const) {
    expect((await call(who, 'GET', '/v1/models/sunspots')).body.names).toEqual(['sunspots']);
    const mine = await register(who, 70);
    for (const answer of [
      await call(who, 'PUT', '/v1/models/sunspots', { model: mine.id }),
      await call(who, 'POST', '/v1/models', { weights: weightsOf(71), name: 'sunspots' }),
      await call(who, 'DELETE', '/v1/models/sunspots'),
      await call(who, 'DELETE', `/v1/models/${BUILT_IN_MODELS.sunspots.id}`),
    ]) {
      expect(answer.body, `${who}: ${answer.text}`).toMatchObject({ status: 409, code: 'built_in_model' });
    }
    expect((await call(who, 'PUT', '/v1/models/spots', { model: 'sunspots' })).status).toBe(200);
    expect((await call(who, 'GET', '/v1/models/spots')).body.id).toBe(BUILT_IN_MODELS.sunspots.id);
  }
});

test('a tenant that has taken all names keeps no other from registering models without one', async () => {
  const small = await buildApp({ API_KEYS_FILE: keys.path, MODELS_MAX: '4' });
  const as = (who: Who, method: 'POST' | 'PUT', url: string, payload: object) =>
    small.http.inject({ method, url, headers: { 'x-api-key': key[who] }, payload });
  const { id } = (await as('a', 'POST', '/v1/models', { weights: weightsOf(70) })).json();
  let status = 200;
  for (let k = 0; status === 200 && k < 10; k++) status = (await as('a', 'PUT', `/v1/models/n${k}`, { model: id })).statusCode;
  expect(status).toBe(507);
  expect((await as('b', 'POST', '/v1/models', { weights: weightsOf(71) })).statusCode).toBe(201);
});

test('random calls of three tenants change nothing of each other', async () => {
  type Owned = { sessions: Map<string, number>; models: Set<string> };
  const command = fc.record({
    who: fc.constantFrom<Who>('a', 'b', 'default'),
    on: fc.constantFrom<Who>('a', 'b', 'default'),
    what: fc.constantFrom('create', 'step', 'delete', 'fork', 'register', 'unregister'),
    pick: fc.nat(100),
  });
  const result = await fc.check(
    fc.asyncProperty(fc.array(command, { minLength: 10, maxLength: 30 }), async (commands) => {
      const owned: Record<Who, Owned> = {
        a: { sessions: new Map(), models: new Set() },
        b: { sessions: new Map(), models: new Set() },
        default: { sessions: new Map(), models: new Set() },
      };
      for (const { who, on, what, pick } of commands) {
        const mine = owned[who];
        const ids = [...owned[on].sessions.keys()];
        const id = ids[pick % Math.max(1, ids.length)] ?? 'none';
        const isOwn = who === on && mine.sessions.has(id);
        if (what === 'create') {
          const model = [...mine.models][pick % Math.max(1, mine.models.size)];
          const session = await create(who, model === undefined ? { weights: weightsOf(pick) } : { model });
          mine.sessions.set(session.id, 0);
        } else if (what === 'step') {
          const { status } = await call(who, 'POST', '/v1/step', { session: id, x: [[1]] });
          expect(status).toBe(isOwn ? 200 : 404);
          if (isOwn) mine.sessions.set(id, mine.sessions.get(id)! + 1);
        } else if (what === 'delete') {
          const { status } = await call(who, 'DELETE', `/v1/sessions/${id}`);
          expect(status).toBe(isOwn ? 204 : 404);
          if (isOwn) mine.sessions.delete(id);
        } else if (what === 'fork') {
          const { status, body } = await call(who, 'POST', `/v1/sessions/${id}/fork`);
          expect(status).toBe(isOwn ? 201 : 404);
          if (isOwn) mine.sessions.set(body.id, mine.sessions.get(id)!);
        } else if (what === 'register') {
          mine.models.add((await register(who, 80 + (pick % 4))).id);
        } else {
          const ref = [...owned[on].models][pick % Math.max(1, owned[on].models.size)] ?? 'none';
          const { status } = await call(who, 'DELETE', `/v1/models/${ref}`);
          expect([204, 404, 409]).toContain(status);
          expect(status !== 404, `${who} deletes ${ref}`).toBe(mine.models.has(ref));
          if (status === 204) mine.models.delete(ref);
        }
      }
      for (const who of Object.keys(owned) as Who[]) {
        for (const [id, t] of owned[who].sessions) expect((await call(who, 'GET', `/v1/sessions/${id}`)).body.t).toBe(t);
        for (const id of owned[who].models) expect((await call(who, 'GET', `/v1/models/${id}`)).status, `${who} ${id}`).toBe(200);
        for (const id of owned[who].sessions.keys()) await call(who, 'DELETE', `/v1/sessions/${id}`);
        for (const id of owned[who].models) await call(who, 'DELETE', `/v1/models/${id}`);
      }
    }),
    { numRuns: runs(60) },
  );
  expect(result.failed, String(result.errorInstance)).toBe(false);
});
