// A session expires by the clock of the store, never during a call; and a 410 is final.
import { describe, expect, test } from 'vitest';
import type { Call } from '../../src/sessions/call.ts';
import type { Session } from '../../src/sessions/session.ts';
import type { Sessions } from '../../src/sessions/sessions.ts';
import { MemoryStore } from '../../src/store/memory.ts';
import { SPEC, SharedStore, callOf, codeOf, keyedCall, sessionsOn, step as stepOf } from './setup.ts';

const TTL_MS = 300;
/** How much longer a sweep of a shared store leaves calls of other processes to commit. */
const SHARED_GRACE_MS = 3_000;

/** The sessions of one or more processes on one store, at time 0, and a session created by the first. */
async function setUp(processes = 1) {
  const store = processes === 1 ? new MemoryStore(1e9) : new SharedStore(1e9);
  const clock = { nowMs: 0 };
  const options = { waitingMax: 8, tombstoneMs: 1e6, now: () => clock.nowMs };
  const all = await Promise.all(Array.from({ length: processes }, () => sessionsOn(store, options)));
  const { id } = await all[0]!.create({ ...SPEC, ttlMs: TTL_MS });
  return { id, clock, all, store, sessions: all[0]! };
}

/** A step that is computed when `compute` resolves, and answered when `print` does. Returns its expiry time. */
const step = async (
  sessions: Sessions,
  id: string,
  { compute, print, call = callOf() }: { compute?: Promise<void>; print?: Promise<void>; call?: Call } = {},
) => {
  const nextState = async ({ state: h }: Session) => {
    await compute;
    return h;
  };
  const { value, replayed } = await stepOf(sessions, id, call, nextState, print);
  return { value: value.expiresAtMs, replayed };
};

function gate() {
  const { promise: opened, resolve: open } = Promise.withResolvers<void>();
  return { opened, open };
}

const nextIteration = () => new Promise(setImmediate);

describe('a call that takes longer than the lifetime', () => {
  test('the call keeps its session alive, and the lifetime begins when it commits', async () => {
    const { id, clock, sessions } = await setUp();
    const { opened, open } = gate();
    const long = step(sessions, id, { compute: opened });
    await nextIteration();
    clock.nowMs = 943;
    expect((await sessions.read(id)).t).toBe(0);
    expect((await sessions.list(undefined, 10)).sessions).toHaveLength(1);
    await sessions.sweep(10);
    open();
    expect((await long).value).toBe(943 + TTL_MS);
    expect(await sessions.read(id)).toMatchObject({ t: 1, expiresAtMs: 943 + TTL_MS });
    clock.nowMs += TTL_MS;
    expect(await codeOf(sessions.read(id))).toBe('session_gone');
  });

  test('the session lives longer than the answer says while the answer is written', async () => {
    const { id, clock, sessions } = await setUp();
    const { opened, open } = gate();
    const long = step(sessions, id, { print: opened, call: keyedCall('k') });
    await nextIteration();
    clock.nowMs = 500;
    open();
    const { value } = await long;
    expect(value).toBe(TTL_MS);
    expect((await sessions.read(id)).expiresAtMs).toBe(500 + TTL_MS);
    // The answer that is computed again has the expiry of the first one.
    const again = await step(sessions, id, { call: keyedCall('k') });
    expect(again).toEqual({ value, replayed: true });
  });

  test('the call keeps the session alive for calls that were received in time and wait', async () => {
    const { id, clock, sessions } = await setUp();
    const { opened, open } = gate();
    const fails = step(sessions, id, { compute: opened.then(() => Promise.reject(new Error('no'))) });
    clock.nowMs = TTL_MS - 1;
    const waits = step(sessions, id);
    clock.nowMs = TTL_MS + 1;
    const late = step(sessions, id);
    open();
    await expect(fails).rejects.toThrow('no');
    expect((await waits).value).toBe(2 * TTL_MS + 1);
    // It was received when only calls kept the session alive, and one of them has renewed it.
    expect((await late).value).toBe(2 * TTL_MS + 1);
  });

  test('control: a call that is received after the expiry, without another call running, is refused', async () => {
    const { id, clock, sessions } = await setUp();
    clock.nowMs = TTL_MS;
    expect(await codeOf(step(sessions, id))).toBe('session_gone');
  });

  test('the session has expired for all calls that came too late, if the call fails', async () => {
    const { id, clock, sessions } = await setUp();
    const { opened, open } = gate();
    const fails = step(sessions, id, { compute: opened.then(() => Promise.reject(new Error('no'))) });
    await nextIteration();
    clock.nowMs = TTL_MS + 1;
    const late = step(sessions, id);
    open();
    await expect(fails).rejects.toThrow('no');
    expect(await codeOf(late)).toBe('session_gone');
    expect(await codeOf(sessions.read(id))).toBe('session_gone');
  });
});

describe('a call that takes longer than the lifetime, in another process', () => {
  test('the call is not ended by a sweep', async () => {
    const { id, clock, all } = await setUp(2);
    const { opened, open } = gate();
    const long = step(all[0]!, id, { compute: opened });
    await nextIteration();
    clock.nowMs = 943;
    await all[1]!.sweep(10);
    open();
    expect((await long).value).toBe(943 + TTL_MS);
    expect((await all[1]!.read(id)).t).toBe(1);
  });

  test('the call does not commit after another process has answered session_gone', async () => {
    const { id, clock, all } = await setUp(2);
    const { opened, open } = gate();
    const long = step(all[0]!, id, { compute: opened });
    await nextIteration();
    clock.nowMs = 943;
    expect(await codeOf(all[1]!.read(id))).toBe('session_gone');
    open();
    await expect(long).rejects.toMatchObject({ code: 'session_gone', applied: 'no' });
    expect(await codeOf(all[1]!.read(id))).toBe('session_gone');
  });

  test('a tombstone that another process has just written is not swept away', async () => {
    const { id, clock, all, store } = await setUp(2);
    clock.nowMs = TTL_MS + SHARED_GRACE_MS;
    await all[0]!.sweep(10);
    // As if the sweep had read the due time before the session became a tombstone.
    await store.postpone(id, TTL_MS);
    await all[1]!.sweep(10);
    expect(await codeOf(all[0]!.read(id))).toBe('session_gone');
  });

  test('a session that is not used is swept a little later', async () => {
    const { clock, all } = await setUp(2);
    clock.nowMs = TTL_MS + SHARED_GRACE_MS - 1;
    expect(await all[0]!.sweep(10)).toBe(1);
    expect(await all[0]!.sweep(10)).toBe(0);
    clock.nowMs = TTL_MS + SHARED_GRACE_MS;
    expect(await all[1]!.sweep(10)).toBe(1);
    expect((await all[1]!.list(undefined, 10)).sessions).toEqual([]);
  });
});
