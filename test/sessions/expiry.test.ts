// A lifetime ends by the clock of the store, never under a call, and whoever is told 410 is told the end.
import { describe, expect, test } from 'vitest';
import type { CarryoverError } from '../../src/errors.ts';
import type { Call } from '../../src/sessions/call.ts';
import { advanced } from '../../src/sessions/session.ts';
import { Sessions } from '../../src/sessions/sessions.ts';
import { MemoryStore } from '../../src/store/memory.ts';
import { advance } from '../helpers/advance.ts';
import { lifetimeOf } from '../helpers/lifetime.ts';

const MODEL = { id: 'sha256:m', file: new Uint8Array(), createdAtMs: 0, isKept: true };
const TTL_MS = 300;
/** What a sweep leaves a call in another process to commit. */
const ELSEWHERE_MS = 3_000;

class SharedStore extends MemoryStore {
  override readonly isShared = true;
}

/** So many processes on one store, at time 0, and a session that one of them has made. */
async function place(processes = 1) {
  const store = processes === 1 ? new MemoryStore(1e9) : new SharedStore(1e9);
  await store.models.put(MODEL);
  const clock = { nowMs: 0 };
  const options = {
    countMax: 100,
    cacheBytesMax: 1e6,
    waitingMax: 8,
    tombstoneMs: 1e6,
    numerics: 1,
    now: () => clock.nowMs,
  };
  const all = Array.from({ length: processes }, () => new Sessions(store, options));
  const spec = { modelId: MODEL.id, N: 1, D: 1, H: 1, keep: 0, ttlMs: TTL_MS };
  const { id } = await all[0]!.create({ ...spec, h: new Float32Array(1) });
  return { id, clock, all, store, sessions: all[0]! };
}

const call = (more: Partial<Call> = {}): Call => ({ lifetime: lifetimeOf(), ...more });

/** A step that is computed when `compute` is over, and printed when `print` is. Answers its end. */
const step = (
  sessions: Sessions,
  id: string,
  { compute, print, of = call() }: { compute?: Promise<void>; print?: Promise<void>; of?: Call } = {},
) =>
  advance(sessions, id, of, async (session, stamp) => {
    await compute;
    const after = advanced(session, { h: session.h, t: session.t + 1 }, stamp());
    await print;
    return { after, value: after.expiresAtMs };
  });

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: CarryoverError) => error.code,
  );

function gate() {
  const { promise: opened, resolve: open } = Promise.withResolvers<void>();
  return { opened, open };
}

const turn = () => new Promise(setImmediate);

describe('a call that takes longer than the lifetime', () => {
  test('keeps its session alive, and the lifetime begins when it commits', async () => {
    const { id, clock, sessions } = await place();
    const { opened, open } = gate();
    const long = step(sessions, id, { compute: opened });
    await turn();
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

  test('also while its answer is written: the session then lives longer than was told', async () => {
    const { id, clock, sessions } = await place();
    const { opened, open } = gate();
    const long = step(sessions, id, { print: opened, of: call({ key: { key: 'k', digest: 'd' } }) });
    await turn();
    clock.nowMs = 500;
    open();
    const { value } = await long;
    expect(value).toBe(TTL_MS);
    expect((await sessions.read(id)).expiresAtMs).toBe(500 + TTL_MS);
    // The answer that is computed again tells what the first one told.
    const again = await step(sessions, id, { of: call({ key: { key: 'k', digest: 'd' } }) });
    expect(again).toEqual({ value, replayed: true });
  });

  test('has those that came in time and wait for it find the session alive', async () => {
    const { id, clock, sessions } = await place();
    const { opened, open } = gate();
    const fails = step(sessions, id, { compute: opened.then(() => Promise.reject(new Error('no'))) });
    clock.nowMs = TTL_MS - 1;
    const waits = step(sessions, id);
    clock.nowMs = TTL_MS + 1;
    const late = step(sessions, id);
    open();
    await expect(fails).rejects.toThrow('no');
    expect((await waits).value).toBe(2 * TTL_MS + 1);
    // It came when nothing but calls kept the session alive, and one of them has.
    expect((await late).value).toBe(2 * TTL_MS + 1);
  });

  test('control: one that comes when the time is over and no call is there is refused', async () => {
    const { id, clock, sessions } = await place();
    clock.nowMs = TTL_MS;
    expect(await codeOf(step(sessions, id))).toBe('session_gone');
  });

  test('if it fails, the session has expired for all that came too late', async () => {
    const { id, clock, sessions } = await place();
    const { opened, open } = gate();
    const fails = step(sessions, id, { compute: opened.then(() => Promise.reject(new Error('no'))) });
    await turn();
    clock.nowMs = TTL_MS + 1;
    const late = step(sessions, id);
    open();
    await expect(fails).rejects.toThrow('no');
    expect(await codeOf(late)).toBe('session_gone');
    expect(await codeOf(sessions.read(id))).toBe('session_gone');
  });
});

describe('a call that takes longer than the lifetime, in another process', () => {
  test('is not ended by a sweep', async () => {
    const { id, clock, all } = await place(2);
    const { opened, open } = gate();
    const long = step(all[0]!, id, { compute: opened });
    await turn();
    clock.nowMs = 943;
    await all[1]!.sweep(10);
    open();
    expect((await long).value).toBe(943 + TTL_MS);
    expect((await all[1]!.read(id)).t).toBe(1);
  });

  test('commits no more when somebody was told that the session is gone', async () => {
    const { id, clock, all } = await place(2);
    const { opened, open } = gate();
    const long = step(all[0]!, id, { compute: opened });
    await turn();
    clock.nowMs = 943;
    expect(await codeOf(all[1]!.read(id))).toBe('session_gone');
    open();
    await expect(long).rejects.toMatchObject({ code: 'session_gone', applied: 'no' });
    expect(await codeOf(all[1]!.read(id))).toBe('session_gone');
  });

  test('a tombstone that another one has just made is not swept away', async () => {
    const { id, clock, all, store } = await place(2);
    clock.nowMs = TTL_MS + ELSEWHERE_MS;
    await all[0]!.sweep(10);
    // What was due as a session has just become a tombstone.
    await store.postpone(id, TTL_MS);
    await all[1]!.sweep(10);
    expect(await codeOf(all[0]!.read(id))).toBe('session_gone');
  });

  test('a session that nobody uses is swept a little later', async () => {
    const { clock, all } = await place(2);
    clock.nowMs = TTL_MS + ELSEWHERE_MS - 1;
    expect(await all[0]!.sweep(10)).toBe(1);
    expect(await all[0]!.sweep(10)).toBe(0);
    clock.nowMs = TTL_MS + ELSEWHERE_MS;
    expect(await all[1]!.sweep(10)).toBe(1);
    expect((await all[1]!.list(undefined, 10)).sessions).toEqual([]);
  });
});
