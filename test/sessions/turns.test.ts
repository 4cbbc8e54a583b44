import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { CarryoverError } from '../../src/errors.ts';
import { SessionLocks } from '../../src/sessions/session-locks.ts';
import { lifetimeOf } from '../helpers/lifetime.ts';

const turnsOf = ({ waitingMax = 64 } = {}) => new SessionLocks({ waitingMax });

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'done',
    (error: CarryoverError) => error.code,
  );

describe('turns', () => {
  test('calls on one session run one at a time, in the order of their arrival', async () => {
    const turns = turnsOf();
    const events: string[] = [];
    const call = (name: string, ms: number) =>
      turns.take('session', undefined, lifetimeOf(), async () => {
        events.push(`${name} begins`);
        await sleep(ms);
        events.push(`${name} ends`);
      });
    await Promise.all([call('first', 20), call('second', 1), call('third', 5)]);
    expect(events).toEqual(
      ['first', 'second', 'third'].flatMap((name) => [`${name} begins`, `${name} ends`]),
    );
    expect(turns.size).toBe(0);
  });

  test('calls on different sessions do not wait for each other', async () => {
    const turns = turnsOf();
    const { promise: release, resolve } = Promise.withResolvers<void>();
    const held = turns.take('held', undefined, lifetimeOf(), () => release);
    expect(await turns.take('free', undefined, lifetimeOf(), async () => 'ran')).toBe('ran');
    resolve();
    await held;
  });

  test('a call that fails gives the turn on, with its error to its own caller only', async () => {
    const turns = turnsOf();
    const failing = turns.take('session', 'key', lifetimeOf(), async () => {
      throw new Error('mine');
    });
    const next = turns.take('session', 'other', lifetimeOf(), async () => 'fine');
    await expect(failing).rejects.toThrow('mine');
    expect(await next).toBe('fine');
    expect(await turns.take('session', 'key', lifetimeOf(), async () => 'free again')).toBe('free again');
  });

  test('one that waits too long gives up, and those behind it still come after those before', async () => {
    const turns = turnsOf();
    let isHeld = true;
    const held = turns.take('session', undefined, lifetimeOf(), async () => {
      await sleep(60);
      isHeld = false;
    });
    const late = codeOf(turns.take('session', undefined, lifetimeOf(30), async () => {}));
    await sleep(40);
    const behind = turns.take('session', undefined, lifetimeOf(), async () => isHeld);
    expect(await late).toBe('session_busy');
    await held;
    expect(await behind).toBe(false);
    expect(turns.size).toBe(0);
  });

  test('one whose client leaves gives its place up at once, and is not run', async () => {
    const turns = turnsOf();
    const { promise: release, resolve } = Promise.withResolvers<void>();
    const held = turns.take('session', undefined, lifetimeOf(), () => release);
    const lifetime = lifetimeOf();
    let hasRun = false;
    const left = codeOf(
      turns.take('session', 'key', lifetime, async () => {
        hasRun = true;
      }),
    );
    lifetime.close();
    expect(await left).toBe('client_closed');
    const again = turns.take('session', 'key', lifetimeOf(), async () => 'its key is free');
    resolve();
    await held;
    expect(await again).toBe('its key is free');
    expect(hasRun).toBe(false);
  });

  test('more than may wait are refused at once, and so is a key that is in the line', async () => {
    const turns = turnsOf({ waitingMax: 1 });
    const held = turns.take('session', 'key', lifetimeOf(), () => sleep(20));
    const same = codeOf(turns.take('session', 'key', lifetimeOf(), async () => {}));
    const waiting = codeOf(turns.take('session', undefined, lifetimeOf(), async () => {}));
    const tooMany = codeOf(turns.take('session', undefined, lifetimeOf(), async () => {}));
    expect(await same).toBe('idempotency_key_in_use');
    expect(await tooMany).toBe('session_busy');
    await held;
    expect(await waiting).toBe('done');
  });
});
