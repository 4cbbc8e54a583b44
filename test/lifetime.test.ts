import { expect, test, vi } from 'vitest';
import { Lifetime } from '../src/lifetime.ts';

const never = new Promise<void>(() => {});

test('a request that is over by its deadline has an error with the time it had', async () => {
  const lifetime = new Lifetime({}, 20);
  expect(lifetime.remainingMs()).toBeGreaterThan(0);
  await expect(lifetime.race(never)).rejects.toMatchObject({
    code: 'deadline_exceeded',
    message: expect.stringContaining('20 ms'),
  });
  expect(lifetime.remainingMs()).toBe(0);
  expect(() => lifetime.throwIfOver()).toThrow('20 ms');
});

test('a request whose connection is closed ends everything that waits for it', async () => {
  const lifetime = new Lifetime({}, 60_000);
  const { signal } = lifetime;
  const racing = lifetime.race(never, 'unknown');
  const listener = vi.fn();
  const forgotten = vi.fn();
  lifetime.onEnd(listener);
  lifetime.onEnd(forgotten)();
  lifetime.close();
  await expect(racing).rejects.toMatchObject({ code: 'client_closed', applied: 'unknown' });
  expect(signal.aborted).toBe(true);
  expect(signal.reason).toMatchObject({ code: 'client_closed' });
  expect(listener).toHaveBeenCalledOnce();
  expect(forgotten).not.toHaveBeenCalled();
  const late = vi.fn();
  lifetime.onEnd(late);
  expect(late).toHaveBeenCalledOnce();
});

test('a lifetime can begin anew, as between two writes of a stream', () => {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] });
  const lifetime = new Lifetime({}, 40);
  const listener = vi.fn();
  const forget = lifetime.onEnd(listener);
  vi.advanceTimersByTime(25);
  lifetime.renew();
  vi.advanceTimersByTime(25);
  expect(listener).not.toHaveBeenCalled();
  forget();
  lifetime.close();
  lifetime.renew();
  expect(() => lifetime.throwIfOver()).toThrow('closed');
  vi.useRealTimers();
});

test('no timer runs unless something waits', async () => {
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  const before = timers();
  const lifetime = new Lifetime({}, 60_000);
  expect(lifetime.isOver).toBe(false);
  expect(timers()).toBe(before);
  await lifetime.race(Promise.resolve());
  expect(timers()).toBe(before);
  const forget = lifetime.onEnd(() => {});
  expect(timers()).toBe(before + 1);
  forget();
  expect(timers()).toBe(before);
});
