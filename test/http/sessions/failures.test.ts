// Limits of sessions, and a store that fails.
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { CarryoverError } from '../../../src/errors.ts';
import { MemoryStore } from '../../../src/store/memory.ts';
import { buildApp } from '../../helpers/app.ts';
import { WEIGHTS } from './service.ts';

test('sessions are limited in number, and so are the calls that wait for one', async () => {
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
  const responses = await Promise.all(
    Array.from({ length: 8 }, () => small.post('/v1/step', { session: body.id, x: [[1]] })),
  );
  const codes = responses.map((response) => response.body.code ?? response.status);
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

  test('the failure reports whether the call was applied, and the next call loads from the store', async () => {
    const store = new FailingStore(1e9);
    const failing = await buildApp({}, { store });
    const { body } = await failing.post('/v1/sessions', { weights: WEIGHTS });
    store.failure = new CarryoverError('store_unavailable', { detail: 'lost', applied: 'unknown' });
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

  test('a fork that failed half-way is found by the next attempt, after other calls too', async () => {
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
    // The fork exists by now, so "no" would not be true.
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
