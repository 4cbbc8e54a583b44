import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { CarryoverError } from '../../src/errors.ts';
import { SessionLocks } from '../../src/sessions/session-locks.ts';
import type { Lifetime } from '../../src/lifetime.ts';
import { lifetimeOf } from '../helpers/lifetime.ts';

const locksOf = ({ waitingMax = 64 } = {}) => new SessionLocks({ waitingMax });

/** Runs `call` while it holds the lock of a session. */
async function withLock<Result>(
  locks: SessionLocks,
  id: string,
  key: string | undefined,
  lifetime: Lifetime,
  call: () => Promise<Result>,
): Promise<Result> {
  using lock = await locks.acquire(id, key, lifetime);
  expect(lock).toBeDefined();
  return await call();
}

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'done',
    (error: CarryoverError) => error.code,
  );

describe('locks of sessions', () => {
  test('calls on one session run one at a time, in the order of their arrival', async () => {
    const locks = locksOf();
    const events: string[] = [];
    const call = (name: string, ms: number) =>
      withLock(locks, 'session', undefined, lifetimeOf(), async () => {
        events.push(`${name} begins`);
        await sleep(ms);
        events.push(`${name} ends`);
      });
    await Promise.all([call('first', 20), call('second', 1), call('third', 5)]);
    expect(events).toEqual(
      ['first', 'second', 'third'].flatMap((name) => [`${name} begins`, `${name} ends`]),
    );
    expect(locks.size).toBe(0);
  });

  test('calls on different sessions do not wait for each other', async () => {
    const locks = locksOf();
    const { promise: release, resolve } = Promise.withResolvers<void>();
    const held = withLock(locks, 'held', undefined, lifetimeOf(), () => release);
    expect(await withLock(locks, 'free', undefined, lifetimeOf(), async () => 'ran')).toBe('ran');
    resolve();
    await held;
  });

  test('a call that fails releases the lock, and only its own caller gets its error', async () => {
    const locks = locksOf();
    const failing = withLock(locks, 'session', 'key', lifetimeOf(), async () => {
      throw new Error('mine');
    });
    const next = withLock(locks, 'session', 'other', lifetimeOf(), async () => 'fine');
    await expect(failing).rejects.toThrow('mine');
    expect(await next).toBe('fine');
    expect(await withLock(locks, 'session', 'key', lifetimeOf(), async () => 'free again')).toBe('free again');
  });

  test('a call that waits too long is refused, and those behind it still come after those before', async () => {
    const locks = locksOf();
    let isHeld = true;
    const held = withLock(locks, 'session', undefined, lifetimeOf(), async () => {
      await sleep(60);
      isHeld = false;
    });
    const late = codeOf(withLock(locks, 'session', undefined, lifetimeOf(30), async () => {}));
    await sleep(40);
    const behind = withLock(locks, 'session', undefined, lifetimeOf(), async () => isHeld);
    expect(await late).toBe('session_busy');
    await held;
    expect(await behind).toBe(false);
    expect(locks.size).toBe(0);
  });

  test('a call whose client disconnects leaves the queue at once, and is not run', async () => {
    const locks = locksOf();
    const { promise: release, resolve } = Promise.withResolvers<void>();
    const held = withLock(locks, 'session', undefined, lifetimeOf(), () => release);
    const lifetime = lifetimeOf();
    let hasRun = false;
    const left = codeOf(
      withLock(locks, 'session', 'key', lifetime, async () => {
        hasRun = true;
      }),
    );
    lifetime.close();
    expect(await left).toBe('client_closed');
    const again = withLock(locks, 'session', 'key', lifetimeOf(), async () => 'its key is free');
    resolve();
    await held;
    expect(await again).toBe('its key is free');
    expect(hasRun).toBe(false);
  });

  test('calls beyond the limit are refused at once, and so is a key that a waiting call has', async () => {
    const locks = locksOf({ waitingMax: 1 });
    const held = withLock(locks, 'session', 'key', lifetimeOf(), () => sleep(20));
    const same = codeOf(withLock(locks, 'session', 'key', lifetimeOf(), async () => {}));
    const waiting = codeOf(withLock(locks, 'session', undefined, lifetimeOf(), async () => {}));
    const tooMany = codeOf(withLock(locks, 'session', undefined, lifetimeOf(), async () => {}));
    expect(await same).toBe('idempotency_key_in_use');
    expect(await tooMany).toBe('session_busy');
    await held;
    expect(await waiting).toBe('done');
  });

  test('a call that is given the lock as it gives up passes it on', async () => {
    const locks = locksOf();
    const first = await locks.acquire('session', undefined, lifetimeOf());
    const leaving = lifetimeOf();
    const gone = codeOf(locks.acquire('session', 'key', leaving));
    const next = withLock(locks, 'session', 'key 2', lifetimeOf(), async () => 'ran');
    leaving.close();
    first[Symbol.dispose]();
    expect([await gone, await next]).toEqual(['client_closed', 'ran']);
    expect(locks.size).toBe(0);
  });

  test('a lock that is free can be had without waiting, one that is held cannot', async () => {
    const locks = locksOf();
    const lock = locks.tryAcquire('session', 'key')!;
    expect(locks.tryAcquire('session', undefined)).toBeUndefined();
    expect(await codeOf(locks.acquire('session', 'key', lifetimeOf()))).toBe('idempotency_key_in_use');
    const next = locks.acquire('session', undefined, lifetimeOf());
    lock[Symbol.dispose]();
    (await next)[Symbol.dispose]();
    expect(locks.size).toBe(0);
  });
});
