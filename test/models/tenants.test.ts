// Models of tenants beyond one process: what was registered before there were tenants, what the operator offers to all, other
// replicas, and restarts.
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { Grants } from '../../src/models/grants.ts';
import { grantName, isOfTenant, ownName, parseGrant, scopedName } from '../../src/models/tenant-names.ts';
import { idOfSortKey } from '../../src/models/sort-key.ts';
import { tanhLayers } from '../../src/layers.ts';
import { ModelLibrary } from '../../src/models/library.ts';
import { modelId } from '../../src/models/model-id.ts';
import { ModelRegistry } from '../../src/models/registry.ts';
import { TenantModels } from '../../src/models/tenant-models.ts';
import { MemoryStore } from '../../src/store/memory.ts';
import type { ModelStore, SessionStore } from '../../src/store/store.ts';
import { LinearMemory } from '../../src/wasm/memory.ts';
import { makeKeys } from '../helpers/access.ts';
import { type TestApp, buildApp } from '../helpers/app.ts';
import { runs } from '../helpers/long.ts';
import { fc } from '../helpers/seed.ts';

const keys = makeKeys();
const key: Record<string, string> = { a: keys.add('a'), b: keys.add('b'), default: keys.add('default') };

/** A store that two services of this process share. */
class SharedStore extends MemoryStore {
  override readonly isShared = true;
}

const shared = (store: SessionStore): SessionStore =>
  new Proxy(store, { get: (target, name) => (name === 'close' ? async () => undefined : bound(target, name)) });
function bound(target: SessionStore, name: PropertyKey): unknown {
  const value: unknown = Reflect.get(target, name, target);
  return typeof value === 'function' ? value.bind(target) : value;
}

const weightsOf = (seed: number) => ({ W_x: [[0.5 + seed, -0.25]], W_h: [[0.1, 0.2], [-0.3, 0.4]] });

async function call(app: TestApp, who: string | undefined, method: 'GET' | 'POST' | 'PUT' | 'DELETE', url: string, body?: object) {
  const headers = who === undefined ? {} : { 'x-api-key': key[who] };
  const answer = await app.http.inject({ method, url, headers, ...(body && { payload: body }) });
  return { status: answer.statusCode, body: answer.body === '' ? undefined : answer.json() };
}

describe('what was registered while there were no keys', () => {
  test('is the default tenant’s, also when another registers the same and deletes it', async () => {
    const store = new SharedStore(1e9);
    const open = await buildApp({}, { store: shared(store) });
    const { body: old } = await call(open, undefined, 'POST', '/v1/models', { weights: weightsOf(1), name: 'old' });
    const { body: nameless } = await call(open, undefined, 'POST', '/v1/models', { weights: weightsOf(2) });
    const { body: session } = await call(open, undefined, 'POST', '/v1/sessions', { model: 'old' });

    const app = await buildApp({ API_KEYS_FILE: keys.path }, { store: shared(store) });
    for (const ref of ['old', old.id, nameless.id]) {
      expect((await call(app, 'default', 'GET', `/v1/models/${ref}`)).status, ref).toBe(200);
      expect((await call(app, 'a', 'GET', `/v1/models/${ref}`)).status, ref).toBe(404);
    }
    expect((await call(app, 'default', 'GET', `/v1/sessions/${session.id}`)).status).toBe(200);
    expect((await call(app, 'a', 'GET', `/v1/sessions/${session.id}`)).status).toBe(404);
    const listed = (await call(app, 'default', 'GET', '/v1/models?limit=100')).body.models.map(({ id }: { id: string }) => id);
    expect(listed).toEqual(expect.arrayContaining([old.id, nameless.id]));

    expect((await call(app, 'a', 'POST', '/v1/models', { weights: weightsOf(2) })).status).toBe(201);
    for (const who of ['default', 'a']) expect((await call(app, who, 'GET', `/v1/models/${nameless.id}`)).status, who).toBe(200);
    expect((await call(app, 'a', 'DELETE', `/v1/models/${nameless.id}`)).status).toBe(204);
    expect((await call(app, 'default', 'GET', `/v1/models/${nameless.id}`)).body.created_at).toBe(nameless.created_at);
    expect((await call(app, 'default', 'DELETE', `/v1/models/${nameless.id}`)).status).toBe(204);
    expect(await store.models.get(nameless.id)).toBeUndefined();
  });
});

test('models of MODELS_DIR are for all; only the default tenant moves and deletes them', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'carryover-models-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  copyFileSync(join(import.meta.dirname, '../../src/models/demo/weather.safetensors'), join(folder, 'shared.safetensors'));
  const app = await buildApp({ API_KEYS_FILE: keys.path, MODELS_DIR: folder });
  const { body: model } = await call(app, 'a', 'GET', '/v1/models/shared');
  expect(model.names).toContain('shared');
  expect((await call(app, 'b', 'POST', '/v1/sessions', { model: 'shared' })).status).toBe(201);
  expect((await call(app, 'a', 'DELETE', '/v1/models/shared')).body.code).toBe('built_in_model');
  const { body: own } = await call(app, 'a', 'POST', '/v1/models', { weights: weightsOf(3), name: 'shared' });
  expect((await call(app, 'a', 'GET', '/v1/models/shared')).body.id, 'its own name comes first').toBe(own.id);
  expect((await call(app, 'b', 'GET', '/v1/models/shared')).body.id).toBe(model.id);
});

test('a replica sees at once what another has registered for the tenant, and for no other', async () => {
  const store = new SharedStore(1e9);
  const [one, two] = [
    await buildApp({ API_KEYS_FILE: keys.path }, { store: shared(store) }),
    await buildApp({ API_KEYS_FILE: keys.path }, { store: shared(store) }),
  ];
  const { body: model } = await call(one, 'a', 'POST', '/v1/models', { weights: weightsOf(4), name: 'mine' });
  for (const ref of [model.id, 'mine']) {
    expect((await call(two, 'b', 'GET', `/v1/models/${ref}`)).status, ref).toBe(404);
    expect((await call(two, 'a', 'POST', '/v1/step', { model: ref, x: [[1]] })).status, ref).toBe(200);
  }
  const again = await call(two, 'a', 'POST', '/v1/models', { weights: weightsOf(4) });
  expect(again.status).toBe(200);
  expect(again.body.created_at).toBe(model.created_at);
});

test('a service that starts again knows whose each model is', async () => {
  const store = new SharedStore(1e9);
  const first = await buildApp({ API_KEYS_FILE: keys.path }, { store: shared(store) });
  const { body: model } = await call(first, 'a', 'POST', '/v1/models', { weights: weightsOf(5), name: 'kept' });
  const second = await buildApp({ API_KEYS_FILE: keys.path }, { store: shared(store) });
  expect((await call(second, 'a', 'GET', '/v1/models/kept')).body).toEqual(model);
  for (const who of ['b', 'default']) expect((await call(second, who, 'GET', `/v1/models/${model.id}`)).status).toBe(404);
});

test('registering and deleting at the same time: who was answered 2xx has the model', async () => {
  const store = new SharedStore(1e9);
  const app = await buildApp({ API_KEYS_FILE: keys.path }, { store: shared(store) });
  for (let round = 0; round < 20; round++) {
    const weights = weightsOf(100 + round);
    const { body: model } = await call(app, 'a', 'POST', '/v1/models', { weights });
    const [deleted, registered] = await Promise.all([
      call(app, 'a', 'DELETE', `/v1/models/${model.id}`),
      call(app, 'b', 'POST', '/v1/models', { weights }),
    ]);
    expect([deleted.status, registered.status]).toEqual([204, 201]);
    expect((await call(app, 'b', 'POST', '/v1/step', { model: model.id, x: [[1]] })).status, `round ${round}`).toBe(200);
    expect(await store.models.get(model.id)).toBeDefined();
  }
});

describe('names as they are stored', () => {
  const tenant = fc.constantFrom('default', 'a', 'b', 'a.b');
  const id = fc.constantFrom('0', 'a').map((digit) => `sha256:${digit.repeat(64)}`);

  test('a name is read back by its tenant alone, and a grant is no name', () => {
    const check = fc.check(
      fc.property(tenant, tenant, fc.constantFrom('x', 'y-1'), id, fc.nat(1e6), (one, other, name, model, grantedAtMs) => {
        const scoped = scopedName(one, name);
        expect(ownName(one, scoped)).toBe(name);
        expect(isOfTenant(one, scoped)).toBe(true);
        if (one !== other) {
          expect(ownName(other, scoped)).toBeUndefined();
          expect(isOfTenant(other, scoped)).toBe(false);
        }
        const grant = { tenant: one, id: model, grantedAtMs };
        expect(parseGrant(grantName(grant))).toEqual(grant);
        expect(ownName(one, grantName(grant))).toBeUndefined();
        expect(parseGrant(scoped)).toBeUndefined();
      }),
    );
    expect(check.failed, String(check.errorInstance)).toBe(false);
  });

  test('grants are those of a plain list', () => {
    const change = fc.tuple(fc.boolean(), fc.record({ tenant, id, grantedAtMs: fc.integer({ min: 1, max: 4 }) }));
    const check = fc.check(
      fc.property(fc.array(change, { maxLength: 40 }), (changes) => {
        const grants = new Grants();
        const plain = new Map<string, { tenant: string; id: string; grantedAtMs: number }>();
        for (const [isAdded, grant] of changes) {
          if (isAdded) grants.add(grant);
          else grants.delete(grant);
          if (isAdded) plain.set(grantName(grant), grant);
          else plain.delete(grantName(grant));
        }
        const left = [...plain.values()];
        for (const name of ['default', 'a', 'b', 'a.b']) {
          const own = Map.groupBy(left.filter((grant) => grant.tenant === name), (grant) => grant.id);
          const firsts = [...own].map(([model, all]) => [model, Math.min(...all.map((grant) => grant.grantedAtMs))] as const);
          expect(grants.count(name)).toBe(firsts.length);
          for (const [model, atMs] of firsts) expect(grants.grantedAtMs(name, model)).toBe(atMs);
          const ordered = firsts.toSorted(([x, s], [y, t]) => s - t || (x < y ? -1 : 1)).map(([model]) => model);
          expect(grants.after(name, undefined, 100).map(idOfSortKey)).toEqual(ordered);
        }
        for (const model of new Set(changes.map(([, grant]) => grant.id))) {
          expect(grants.hasAny(model)).toBe(left.some((grant) => grant.id === model));
        }
      }),
      { numRuns: runs(400) },
    );
    expect(check.failed, String(check.errorInstance)).toBe(false);
  });
});

describe('what others register is not the default tenant’s', () => {
  const sees = async (app: TestApp, id: string) => (await call(app, 'default', 'GET', `/v1/models/${id}`)).status;

  test('also when two register the same at the same time', async () => {
    const store = new SharedStore(1e9);
    const app = await buildApp({ API_KEYS_FILE: keys.path }, { store: shared(store) });
    for (let round = 0; round < 10; round++) {
      const weights = weightsOf(200 + round);
      const answers = await Promise.all(['a', 'b', 'a'].map((who) => call(app, who, 'POST', '/v1/models', { weights })));
      expect(answers.map(({ status }) => status).toSorted((x, y) => x - y)).toEqual([200, 201, 201]);
      expect(await sees(app, answers[0]!.body.id), `round ${round}`).toBe(404);
    }
  });

  test('not even while it is being stored or loaded, in this process or in another', async () => {
    const memory = new LinearMemory(16 * 1024 * 1024);
    const open = (models: ModelStore) => {
      const registry = new ModelRegistry(memory, { bytesMax: 1e6, countMax: 10, now: () => new Date() });
      const library = new ModelLibrary(registry, models);
      return { library, tenantModels: new TenantModels(library, { hasSessions: async () => false }) };
    };
    const { models } = new SharedStore(1e9);
    const layers = tanhLayers({ D: 1, H: 2, W_x: Float32Array.of(1, 2), W_h: Float32Array.of(3, 4, 5, 6), b: new Float32Array(2) });
    const id = modelId(layers);
    const seen: string[] = [];
    const look = async (name: string, { tenantModels }: ReturnType<typeof open>) => {
      if (await tenantModels.info(id, 'default').then(() => true, () => false)) seen.push(name);
      if ((await tenantModels.list('default', undefined, 10)).models.length > 0) seen.push(`list ${name}`);
    };
    // Before and after each call of the store: at the process that calls, and at one that begins then.
    let one: ReturnType<typeof open>;
    const watched = new Proxy(models, {
      get: (target, name) => async (...args: unknown[]) => {
        await look(`before ${String(name)}`, open(models));
        const answer = await (bound(target as never, name) as (...all: unknown[]) => Promise<unknown>)(...args);
        await look(`after ${String(name)}`, open(models));
        const { registry } = one.library;
        if (registry.isKept(id) && !registry.grants.hasAny(id)) seen.push(`itself after ${String(name)}`);
        return answer;
      },
    });
    one = open(watched);
    await one.library.register(layers, { tenant: 'a', name: 'slow' });
    one = open(watched);
    await one.library.refresh(() => {});
    expect((await one.tenantModels.info('slow', 'a')).id).toBe(id);
    one = open(watched);
    expect((await one.tenantModels.info(id, 'a')).id).toBe(id);
    expect(seen).toEqual([]);
    // Nor after a registration that failed, of weights that a session had brought.
    const failing = new Proxy(new SharedStore(1e9).models, {
      get: (target, name) => (name === 'point' ? async () => Promise.reject(new Error('no store')) : bound(target as never, name)),
    });
    const open2 = open(failing);
    await open2.library.register(layers, { tenant: 'b', isKept: false });
    await expect(open2.library.register(layers, { tenant: 'a' })).rejects.toThrow('no store');
    await look('failed', open2);
    expect(open2.library.registry.isKept(id)).toBe(false);
    expect(seen).toEqual([]);
    // Control: what nobody has registered for a tenant is seen.
    const open1 = open(new SharedStore(1e9).models);
    await open1.library.register(layers);
    await look('control', open1);
    expect(seen).toEqual(['control', 'list control']);
  });

  test('also in a replica that has not heard of it', async () => {
    const store = new SharedStore(1e9);
    const apps = [
      await buildApp({ API_KEYS_FILE: keys.path }, { store: shared(store) }),
      await buildApp({ API_KEYS_FILE: keys.path }, { store: shared(store) }),
    ] as const;
    const { body: model } = await call(apps[0], 'a', 'POST', '/v1/models', { weights: weightsOf(230), name: 'mine' });
    expect(await sees(apps[1], model.id)).toBe(404);
    expect((await call(apps[1], 'b', 'POST', '/v1/models', { weights: weightsOf(230) })).status).toBe(201);
    for (const app of apps) expect(await sees(app, model.id)).toBe(404);
  });

  test('also when the registration is refused by a limit while a session has the same weights', async () => {
    const own = makeKeys();
    const [full, other, rest] = ['full', 'other', 'default'].map((tenant) => own.add(tenant)) as [string, string, string];
    own.limit('full', { models: 0 });
    const app = await buildApp({ API_KEYS_FILE: own.path });
    const as = async (secret: string, method: 'GET' | 'POST', url: string, payload?: object) =>
      app.http.inject({ method, url, headers: { 'x-api-key': secret }, ...(payload && { payload }) });
    const session = (await as(other, 'POST', '/v1/sessions', { weights: weightsOf(240) })).json();
    expect((await as(full, 'POST', '/v1/models', { weights: weightsOf(240) })).statusCode).toBe(429);
    expect((await as(rest, 'GET', `/v1/models/${session.model}`)).statusCode).toBe(404);
  });
});
