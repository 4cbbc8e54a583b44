import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { CarryoverError } from '../../src/errors.ts';
import { Lifetime } from '../../src/lifetime.ts';
import { Scheduler } from '../../src/scheduler/scheduler.ts';
import { buildApp } from '../helpers/app.ts';
import { lifetimeOf } from '../helpers/lifetime.ts';
import { SimulatedPool, workOf } from '../helpers/simulated-pool.ts';

const LOST = new CarryoverError('worker_failed', { detail: 'lost' });

function simulated(workers: number, { queueJobsMax = 256 } = {}) {
  const pool = new SimulatedPool(workers);
  const scheduler = new Scheduler(pool.asPool, { queueJobsMax, sharedRowsMax: 64, runInline: () => {} });
  pool.scheduler = scheduler;
  scheduler.speeds = { flopsPerMs: 1, flopsPerMsOf: {}, memory: [] };
  const done: string[] = [];
  const run = (name: string, ms: number, lifetime: Lifetime = lifetimeOf(), options = {}) =>
    scheduler.run(workOf(ms, options), lifetime)!.then(
      () => void done.push(name),
      (error: CarryoverError) => error,
    );
  return { pool, scheduler, done, run };
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] });
});
afterEach(() => {
  vi.useRealTimers();
});

describe('one client', () => {
  test('jobs of one client are run first come, first served', async () => {
    const { done, run } = simulated(1);
    const client = {};
    const names = ['a', 'b', 'c', 'd', 'e'];
    const runs = names.map((name, i) => run(name, [50, 5, 30, 1, 20][i]!, lifetimeOf(60_000, client)));
    await vi.advanceTimersByTimeAsync(200);
    await Promise.all(runs);
    expect(done).toEqual(names);
  });

  test('one client does not make another wait for more than what is under way', async () => {
    const { done, run } = simulated(1);
    const greedy = {};
    const long = Array.from({ length: 4 }, (_, i) => run(`long ${i}`, 3_000, lifetimeOf(60_000, greedy)));
    await vi.advanceTimersByTimeAsync(500);
    const startMs = performance.now();
    const short = run('short', 2).then(() => performance.now() - startMs);
    await vi.advanceTimersByTimeAsync(100);
    expect(done).toEqual(['short']);
    expect(await short).toBeLessThanOrEqual(25);
    await vi.advanceTimersByTimeAsync(12_000);
    await Promise.all(long);
    expect(done).toHaveLength(5);
  });

  test('one client has a share of the queue', async () => {
    const { run } = simulated(1, { queueJobsMax: 8 });
    const client = {};
    const own = Array.from({ length: 4 }, (_, i) => run(`${i}`, 100, lifetimeOf(60_000, client)));
    const error = await own.at(-1);
    expect(error).toMatchObject({ code: 'queue_full', message: expect.stringContaining('share') });
    const other = run('other', 100);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(await other).toBeUndefined();
    await Promise.all(own);
  });
});

describe('clients of a tenant', () => {
  const usageOf = (group: object) => ({ group, chargeFlops: () => undefined, expectModel: () => {}, expectName: () => {} });

  /** At which place the jobs of another tenant, with one connection, are done beside those of one with eight. */
  async function placesBesideEight(hasTenants: boolean): Promise<number[]> {
    const { done, run } = simulated(1);
    const [many, one] = [{}, {}];
    const lifetime = (client: object, group: object) => {
      const made = lifetimeOf(60_000, client);
      if (hasTenants) made.usage = usageOf(group);
      return made;
    };
    const runs: Promise<unknown>[] = [];
    for (let k = 0; k < 8; k++) {
      const client = {};
      for (let n = 0; n < 4; n++) runs.push(run('of many', 20, lifetime(client, many)));
    }
    const client = {};
    for (let n = 0; n < 4; n++) runs.push(run('of one', 20, lifetime(client, one)));
    await vi.advanceTimersByTimeAsync(5_000);
    await Promise.all(runs);
    return done.flatMap((name, place) => (name === 'of one' ? [place] : []));
  }

  test('have one share together: more connections are no larger share', async () => {
    const places = await placesBesideEight(true);
    expect(places).toHaveLength(4);
    expect(places.at(-1)).toBeLessThan(14);
  });

  test('control: without tenants each connection has a share', async () => {
    expect((await placesBesideEight(false)).at(-1)).toBeGreaterThan(25);
  });

  test('leave space in the queue for other tenants', async () => {
    const { run } = simulated(1, { queueJobsMax: 16 });
    const group = {};
    const runs = Array.from({ length: 24 }, (_, k) => {
      const lifetime = lifetimeOf(60_000, {});
      lifetime.usage = usageOf(group);
      return run(`${k}`, 100, lifetime);
    });
    const refused = (await Promise.race([Promise.all(runs.slice(-6)), vi.advanceTimersByTimeAsync(10).then(() => [])])) as unknown[];
    expect(refused).toHaveLength(6);
    for (const error of refused) expect(error).toMatchObject({ code: 'queue_full', message: expect.stringContaining('share') });
    const other = run('other', 100);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(await other).toBeUndefined();
    await Promise.all(runs);
  });
});

describe('clients that ask for equal things', () => {
  test('such clients are served one after another, not all at once and too late', async () => {
    const { done, run } = simulated(1);
    const runs = ['a', 'b', 'c'].map((name) => run(name, 100));
    await vi.advanceTimersByTimeAsync(110);
    expect(done).toEqual(['a']);
    await vi.advanceTimersByTimeAsync(300);
    await Promise.all(runs);
    expect(done).toEqual(['a', 'b', 'c']);
  });
});

describe('the last work of a request', () => {
  test('the last work of a request waits where other work is refused, and is run before it', async () => {
    const { done, run } = simulated(1, { queueJobsMax: 1 });
    const runs = [run('first', 100), run('waiting', 100)];
    expect(await run('refused', 100)).toMatchObject({ code: 'queue_full' });
    runs.push(run('last', 10, lifetimeOf(), { completesRequest: true }));
    await vi.advanceTimersByTimeAsync(300);
    await Promise.all(runs);
    expect(done).toEqual(['last', 'first', 'waiting']);
  });
});

describe('the backlog of a lost worker', () => {
  test('the backlog keeps its order', async () => {
    const { pool, done, run } = simulated(1);
    const client = {};
    const names = ['1', '2', '3', '4', '5'];
    const runs = names.map((name) => run(name, 2, lifetimeOf(60_000, client)));
    pool.workers[0]!.lose(LOST);
    await vi.advanceTimersByTimeAsync(100);
    expect(await runs[0]).toMatchObject({ code: 'worker_failed' });
    await Promise.all(runs);
    expect(done).toEqual(['2', '3', '4', '5']);
  });

  test('a job of the backlog is refused after its deadline', async () => {
    const { pool, run } = simulated(1);
    const worker = pool.workers[0]!;
    worker.isHeld = true;
    const failing = run('failing', 2);
    const late = run('late', 2, lifetimeOf(50));
    await vi.advanceTimersByTimeAsync(60);
    worker.lose(LOST);
    await failing;
    expect(await late).toMatchObject({ code: 'deadline_exceeded' });
  });
});

describe('work of clients that have left', () => {
  test('work of a disconnected client leaves the queue at once, and stops after the slices under way', async () => {
    const { pool, done, run } = simulated(1);
    const lifetimes = Array.from({ length: 10 }, () => lifetimeOf());
    const abandoned = lifetimes.map((lifetime, i) => run(`${i}`, 1_000, lifetime));
    await vi.advanceTimersByTimeAsync(100);
    for (const lifetime of lifetimes) lifetime.close();
    const startMs = performance.now();
    const next = run('next', 50).then(() => performance.now() - startMs);
    await vi.advanceTimersByTimeAsync(100);
    expect(await next).toBeLessThanOrEqual(75);
    for (const error of await Promise.all(abandoned)) expect(error).toMatchObject({ code: 'client_closed' });
    expect(done).toEqual(['next']);
    expect(pool.idleCount).toBe(1);
  });
});

describe('work that cannot be done in time', () => {
  test('work beyond the deadline is refused on arrival, with the time until it could be done', async () => {
    const { run } = simulated(2);
    const runs = Array.from({ length: 8 }, (_, i) => run(`${i}`, 1_000, lifetimeOf(20_000)));
    // 4 s of work are before it, and it has 60 % of 2 s.
    const error = (await run('late', 1_000, lifetimeOf(2_000))) as CarryoverError;
    expect(error).toMatchObject({ code: 'queue_full', retryAfter_s: 4 });
    expect(error.message).toMatch(/4000 ms of work .* about 1000 ms .* 2000 ms left/);
    await vi.advanceTimersByTimeAsync(6_000);
    await Promise.all(runs);
  });

  test('work that can never be done in time is refused before anything is allocated', async () => {
    const { scheduler } = simulated(2);
    scheduler.speeds = {
      flopsPerMs: 1,
      flopsPerMsOf: { 'few rows': 3e7 },
      memory: [{ bytesMax: Infinity, bytesPerMs: 1e7 }],
    };
    // D = 1, H = 4096, N = 1, T = 2979: below the limit of operations, but 200 GB of weights.
    const weightsBytes = 4_097 * 4_096 * 4;
    const cost = { kind: 'few rows', flops: 99.98e9, weightsBytes, readBytes: 2_979 * weightsBytes };
    const check = () => scheduler.expectPossible(cost, 1, lifetimeOf(10_000));
    expect(check).toThrow(/199966 MB of weights: about 19997 ms .* 5000 ms, half of JOB_DEADLINE_MS.* 25 %/);
    const withoutBytes = { ...cost, readBytes: 0 };
    expect(() => scheduler.expectPossible(withoutBytes, 1, lifetimeOf(10_000))).not.toThrow();
  });

  test('estimates follow the times that jobs really took', async () => {
    const { scheduler, run } = simulated(1);
    // Ten times faster, it seems, than they are.
    scheduler.speeds = { flopsPerMs: 10, flopsPerMsOf: {}, memory: [] };
    for (let i = 0; i < 20; i++) {
      const running = run('slow', 100);
      await vi.advanceTimersByTimeAsync(101);
      await running;
    }
    const running = run('running', 1_000);
    expect(await run('too slow', 5_000, lifetimeOf(3_000))).toMatchObject({ code: 'deadline_exceeded' });
    await vi.advanceTimersByTimeAsync(1_100);
    await running;
  });

  test('work is tried all the same when nothing else is queued: wrong estimates are corrected', async () => {
    const { scheduler, run, done } = simulated(1);
    // Thirty times slower, it seems, than they are.
    scheduler.speeds = { flopsPerMs: 1 / 30, flopsPerMsOf: {}, memory: [] };
    const deadline = () => lifetimeOf(1_000);
    const first = [run('alone', 100, deadline()), run('too late', 100, deadline())];
    await vi.advanceTimersByTimeAsync(1_000);
    expect(await first[1]).toMatchObject({ code: 'deadline_exceeded' });
    for (let i = 0; i < 20; i++) {
      const running = run('alone', 100, deadline());
      await vi.advanceTimersByTimeAsync(1_000);
      await running;
    }
    const together = ['a', 'b', 'c', 'd'].map((name) => run(name, 100, deadline()));
    await vi.advanceTimersByTimeAsync(900);
    await Promise.all(together);
    expect(done.slice(-4)).toEqual(['a', 'b', 'c', 'd']);
  });
});

test('waiting work is computed, first come, first served, once a worker is free', async () => {
  vi.useRealTimers();
  const app = await buildApp({ JOB_DEADLINE_MS: '5000' }, { inlineFlopsMax: 0 });
  const order: number[] = [];
  const answers = Array.from({ length: 50 }, async (_, i) => {
    const response = await app.post('/v1/step', { weights: { W_x: [[1]], W_h: [[1]] }, x: [[0.5]] });
    order.push(i);
    return response.status;
  });
  expect(new Set(await Promise.all(answers))).toEqual(new Set([200]));
  expect(order).toEqual(order.toSorted((a, b) => a - b));
});
