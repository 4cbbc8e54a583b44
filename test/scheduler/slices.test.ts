// Long work in slices: short ones while short work of others comes in between, and what they say of the rest of the work.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { CarryoverError } from '../../src/errors.ts';
import { Scheduler } from '../../src/scheduler/scheduler.ts';
import { lifetimeOf } from '../helpers/lifetime.ts';
import { SimulatedPool, workOf } from '../helpers/simulated-pool.ts';

function simulated(slowness: () => number = () => 1) {
  const pool = new SimulatedPool(1, slowness);
  const scheduler = new Scheduler(pool.asPool, { queueJobsMax: 256, sharedRowsMax: 64, runInline: () => {} });
  pool.scheduler = scheduler;
  scheduler.speeds = { flopsPerMs: 1, flopsPerMsOf: {}, memory: [] };
  const run = (ms: number, lifetime = lifetimeOf(), options = {}) => scheduler.run(workOf(ms, options), lifetime)!;
  return { pool, run };
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** How long each of some jobs takes, one every 50 ms, beside long ones that keep the worker full. */
async function besideLong(ms: number): Promise<number[]> {
  const { run } = simulated();
  const greedy = {};
  const long = Array.from({ length: 2 }, () => run(4_000, lifetimeOf(60_000, greedy)));
  await vi.advanceTimersByTimeAsync(500);
  const took: Promise<number>[] = [];
  for (let n = 0; n < 40; n++) {
    const startMs = performance.now();
    took.push(run(ms).then(() => performance.now() - startMs));
    await vi.advanceTimersByTimeAsync(50);
  }
  await vi.advanceTimersByTimeAsync(12_000);
  await Promise.all(long);
  return Promise.all(took);
}

test('short work that comes again and again waits for two short slices of long work at most', async () => {
  const [first, ...others] = await besideLong(1);
  // What was under way then had been given out when no short work was expected.
  expect(first).toBeGreaterThan(5);
  expect(Math.max(...others)).toBeLessThanOrEqual(1 + 2 * 2 + 0.1);
});

test('control: work that is sliced itself does not make the slices short', async () => {
  const others = (await besideLong(20)).slice(1);
  expect(Math.max(...others)).toBeGreaterThan(20 + 5);
});

test('slices are long again when no short work comes', async () => {
  const { pool, run } = simulated();
  const long = run(4_000, lifetimeOf(60_000));
  const slices = () => pool.workers[0]!.given.map(({ estimateMs }) => Math.round(estimateMs));
  await vi.advanceTimersByTimeAsync(100);
  expect(slices()).toEqual([10, 10]);
  const short = run(1);
  await vi.advanceTimersByTimeAsync(100);
  await short;
  expect(slices()).toEqual([2, 2]);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(slices()).toEqual([10, 10]);
  await vi.advanceTimersByTimeAsync(4_000);
  await long;
});

test('short work of the service itself, such as reading a body, does not make them short', async () => {
  const { pool, run } = simulated();
  const long = run(2_000, lifetimeOf(60_000));
  const reading = run(1, lifetimeOf(), { slice: undefined });
  await vi.advanceTimersByTimeAsync(100);
  await reading;
  expect(pool.workers[0]!.given.map(({ estimateMs }) => Math.round(estimateMs))).toEqual([10, 10]);
  await vi.advanceTimersByTimeAsync(3_000);
  await long;
});

test('one slice that is interrupted does not say that the rest takes as long', async () => {
  let begun = 0;
  const { run } = simulated(() => (++begun === 2 ? 60 : 1));
  // The slices of the long work are short.
  const short = run(1);
  const long = run(400, lifetimeOf(2_000));
  await vi.advanceTimersByTimeAsync(1_900);
  await short;
  await expect(long).resolves.toBeUndefined();
});

test('work of which all slices take as long is given up', async () => {
  const { run } = simulated(() => 60);
  const long = run(400, lifetimeOf(2_000)).catch((error: CarryoverError) => error);
  await vi.advanceTimersByTimeAsync(1_900);
  expect(await Promise.race([long, Promise.resolve('still computed')])).toMatchObject({ code: 'deadline_exceeded' });
});

test('work whose estimate is far too long goes on when its slices are fast', async () => {
  let isSlow = true;
  const { run } = simulated(() => (isSlow ? 60 : 1));
  for (let n = 0; n < 20; n++) {
    const late = run(900, lifetimeOf(2_000)).catch(() => undefined);
    await vi.advanceTimersByTimeAsync(3_000);
    await late;
  }
  isSlow = false;
  // Each slice takes a millisecond of the fake clock at least.
  const next = run(300, lifetimeOf(2_000));
  await vi.advanceTimersByTimeAsync(1_900);
  await expect(next).resolves.toBeUndefined();
});
