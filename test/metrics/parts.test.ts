// What the parts below HTTP report: sessions, the store, model files, memory.
import { describe, expect, test } from 'vitest';
import { CarryoverError } from '../../src/errors.ts';
import { METRICS } from '../../src/metrics/catalogue.ts';
import { MemoryStore } from '../../src/store/memory.ts';
import { buildApp } from '../helpers/app.ts';
import { readMetrics, sumOf } from '../helpers/prometheus.ts';

const WEIGHTS = { W_x: [[0.5, 0.1]], W_h: [[0.8, 0.1], [0.1, 0.8]] };
const on = { METRICS_PORT: '9464' };

/** A service whose clock is set by the test. */
async function sessionService() {
  const clock = { ms: Date.now() };
  const app = await buildApp(on, { now: () => clock.ms });
  const value = async (name: string, labels = {}) => sumOf(await app.metrics!.print(), name, labels);
  const send = async (method: 'POST' | 'DELETE' | 'PUT', url: string, body?: object, headers = {}) => {
    const json = body && { 'content-type': 'application/json' };
    return app.http.inject({ method, url, headers: { ...json, ...headers }, ...(body && { payload: JSON.stringify(body) }) });
  };
  const create = async (fields = {}) => (await send('POST', '/v1/sessions', { weights: WEIGHTS, ...fields })).json().id as string;
  return { app, clock, value, send, create };
}

describe('sessions', () => {
  test('created and forked sessions are counted with the bytes of their states', async () => {
    const { value, send, create } = await sessionService();
    const id = await create({ N: 3 });
    await send('POST', `/v1/sessions/${id}/fork`);
    expect(await value(METRICS.sessionsCreated.name)).toBe(2);
    expect(await value(METRICS.sessionsActive.name)).toBe(2);
    expect(await value(METRICS.sessionStateBytes.name + '_sum')).toBe(2 * 3 * 2 * 4);
  });

  test('ended sessions are counted by reason, with their age and how long they were idle', async () => {
    const { app, clock, value, send, create } = await sessionService();
    const [deleted, expired] = [await create(), await create({ ttl_s: 100 })];
    clock.ms += 20_000;
    await send('POST', '/v1/step', { session: expired, x: [[1]] });
    await send('POST', '/v1/step', { session: deleted, x: [[1]] });
    clock.ms += 5_000;
    await send('DELETE', `/v1/sessions/${deleted}`);
    clock.ms += 200_000;
    await app.sessions.sweep(10);
    await app.sessions.sweep(10);
    for (const [reason, age, idle] of [['deleted', 25, 5], ['expired', 120, 100]] as const) {
      expect(await value(METRICS.sessionsEnded.name, { reason })).toBe(1);
      expect(await value(METRICS.sessionAge.name + '_sum', { reason })).toBeCloseTo(age, 6);
      expect(await value(METRICS.sessionIdle.name + '_sum', { reason })).toBeCloseTo(idle, 6);
    }
  });

  test('conflicts and replays are counted once a call', async () => {
    const { value, send, create } = await sessionService();
    const id = await create();
    const step = { session: id, x: [[1]] };
    await send('POST', '/v1/step', step, { 'if-match': '"other.1"' });
    expect(await value(METRICS.sessionConflicts.name)).toBe(1);
    const key = { 'idempotency-key': 'key-1' };
    await send('POST', '/v1/step', step, key);
    expect(await value(METRICS.sessionReplays.name)).toBe(0);
    const again = await send('POST', '/v1/step', step, key);
    expect(again.headers['idempotency-replayed']).toBe('true');
    const fork = { 'idempotency-key': 'key-2' };
    await send('POST', `/v1/sessions/${id}/fork`, undefined, fork);
    await send('POST', `/v1/sessions/${id}/fork`, undefined, fork);
    expect(await value(METRICS.sessionReplays.name)).toBe(2);
  });

  test('the store is asked for the number of sessions not more often than each few seconds', async () => {
    const store = new StoreThatCounts(1e9);
    const app = await buildApp(on, { store });
    const before = store.counted;
    for (let k = 0; k < 20; k++) await app.metrics!.print();
    expect(store.counted - before).toBe(1);
  });
});

class StoreThatCounts extends MemoryStore {
  counted = 0;

  override async count() {
    this.counted++;
    return super.count();
  }
}

class StoreThatLeaves extends MemoryStore {
  isGone = false;

  override async change(...args: Parameters<MemoryStore['change']>) {
    if (this.isGone) throw new CarryoverError('store_unavailable', { detail: 'gone', applied: 'no' });
    return super.change(...args);
  }

  override async count() {
    if (this.isGone) throw new CarryoverError('store_unavailable', { detail: 'gone' });
    return super.count();
  }
}

describe('the store', () => {
  test('calls are measured by operation, and errors counted by code; a scrape does without a store that fails', async () => {
    const store = new StoreThatLeaves(1e9);
    const app = await buildApp(on, { store });
    const value = async (name: string, labels = {}) => sumOf(await app.metrics!.print(), name, labels);
    const created = await app.post('/v1/sessions', { weights: WEIGHTS });
    store.isGone = true;
    const step = await app.post('/v1/step', { session: created.body.id, x: [[1]] });
    expect(step.status).toBe(503);
    const text = await app.metrics!.print();
    expect(sumOf(text, METRICS.storeErrors.name, { code: 'store_unavailable' })).toBe(1);
    expect(sumOf(text, METRICS.storeSeconds.name + '_count', { operation: 'create' })).toBe(1);
    expect(await value(METRICS.storeSeconds.name + '_count', { operation: 'change' })).toBe(1);
    expect(readMetrics(text).filter(({ name }) => name === METRICS.sessionsActive.name)).toEqual([]);
  });

  test('without metrics the store is used as it is', async () => {
    const store = new MemoryStore(1e9);
    const app = await buildApp({}, { store });
    expect(app.metrics).toBeUndefined();
    expect(app.store).toBe(store);
  });
});

test('model files are counted by format and outcome', async () => {
  const app = await buildApp(on);
  const send = (payload: Buffer) =>
    app.http.inject({ method: 'POST', url: '/v1/models', headers: { 'content-type': 'application/octet-stream' }, payload });
  await send(Buffer.from('neither'));
  await send(Buffer.from('\x89HDF\r\n\x1a\n and nothing', 'latin1'));
  const text = await app.metrics!.print();
  expect(sumOf(text, METRICS.imports.name, { format: 'keras', outcome: 'refused' })).toBe(1);
  expect(sumOf(text, METRICS.imports.name, { outcome: 'refused' })).toBe(2);
});

test('models, memory, workers and connections are read when they are scraped', async () => {
  const app = await buildApp({ ...on, WORKERS: '1' });
  await app.post('/v1/models', { weights: WEIGHTS });
  const text = await app.metrics!.print();
  expect(sumOf(text, METRICS.models.name)).toBe(app.registry.count);
  expect(app.registry.count).toBeGreaterThan(0);
  expect(sumOf(text, METRICS.modelBytes.name, { kind: 'registered' })).toBe(app.registry.bytes);
  expect(app.registry.bytes).toBeGreaterThan(0);
  expect(sumOf(text, METRICS.memory.name, { kind: 'used' })).toBe(app.memory.bytesUsed);
  expect(sumOf(text, METRICS.memory.name, { kind: 'grown' })).toBe(app.memory.bytesGrown);
  expect(sumOf(text, METRICS.memory.name, { kind: 'limit' })).toBe(app.memory.bytesMax);
  expect(sumOf(text, METRICS.readyWorkers.name)).toBe(1);
  expect(sumOf(text, METRICS.workerRestarts.name)).toBe(0);
  expect(sumOf(text, METRICS.eventLoopDelay.name, { quantile: '1' })).toBeGreaterThanOrEqual(0);
  expect(text).toContain('process_cpu_seconds_total');
});
