// More work than the workers can do, by a fake clock: what is accepted is done in time, and nearly all time
// goes into it. The long version, over HTTP with real workers, is `npm run load:overload`.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { CarryoverError } from '../../src/errors.ts';
import { Scheduler } from '../../src/scheduler/scheduler.ts';
import { lifetimeOf } from '../helpers/lifetime.ts';
import { sample } from '../helpers/long.ts';
import { SimulatedPool, workOf } from '../helpers/simulated-pool.ts';

const DEADLINE_MS = 1_000;
const SECONDS = 10;
const JOB_MS = 60;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] });
});
afterEach(() => {
  vi.useRealTimers();
});

interface Tally {
  /** Answered by their deadline, per second of what the workers could do. */
  goodput: number;
  codes: Record<string, number>;
  /** Of those that were answered, sorted. */
  latencies: number[];
}

interface Load {
  readonly workers: number;
  /** Times what the workers can do. */
  readonly factor: number;
  readonly isOpen: boolean;
  readonly estimates?: boolean;
  /** Whether callers of a closed loop wait as Retry-After says; else for 100 ms. */
  readonly obey?: boolean;
  /** How many times as long all jobs take, t ms after the start. */
  readonly slownessAt?: (t: number) => number;
}

async function overload(load: Load): Promise<Tally> {
  const { workers, factor, isOpen, estimates = true, obey = false, slownessAt = () => 1 } = load;
  const beginMs = performance.now();
  const pool = new SimulatedPool(workers, () => slownessAt(performance.now() - beginMs));
  const scheduler = new Scheduler(pool.asPool, { queueJobsMax: 256, sharedRowsMax: 64, runInline: () => {} });
  pool.scheduler = scheduler;
  if (estimates) scheduler.speeds = { flopsPerMs: 1, flopsPerMsOf: {}, memory: [] };
  const capacityPerS = (workers * 1_000) / JOB_MS;
  const tally: Tally = { goodput: 0, codes: {}, latencies: [] };
  const endMs = performance.now() + SECONDS * 1_000;
  let inTime = 0;
  const request = async () => {
    const startMs = performance.now();
    let code = 'ok';
    let retryMs = 0;
    try {
      await scheduler.run(workOf(JOB_MS), lifetimeOf(DEADLINE_MS));
      const ms = performance.now() - startMs;
      tally.latencies.push(ms);
      if (ms <= DEADLINE_MS && performance.now() <= endMs) inTime++;
    } catch (error) {
      ({ code } = error as CarryoverError);
      retryMs = obey ? 1_000 * (error as CarryoverError).retryAfter_s! : 100;
    }
    tally.codes[code] = (tally.codes[code] ?? 0) + 1;
    return retryMs;
  };
  const running: Promise<unknown>[] = [];
  if (isOpen) {
    const everyMs = 1_000 / (capacityPerS * factor);
    for (let at = 0; at < SECONDS * 1_000; at += everyMs) {
      setTimeout(() => running.push(request()), at);
    }
  } else {
    // As many callers as have their requests answered just in time, times the factor.
    const callers = Math.round((factor * capacityPerS * DEADLINE_MS) / 1_000);
    const call = async () => {
      while (performance.now() < endMs) {
        const retryMs = await request();
        if (retryMs > 0) await new Promise((resolve) => setTimeout(resolve, retryMs));
      }
    };
    for (let i = 0; i < callers; i++) running.push(call());
  }
  await vi.advanceTimersByTimeAsync(2 * SECONDS * 1_000 + 2 * DEADLINE_MS);
  await Promise.all(running);
  let possible = 0;
  for (let t = 0; t < SECONDS * 1_000; t++) possible += capacityPerS / 1_000 / slownessAt(t);
  tally.goodput = inTime / possible;
  tally.latencies.sort((a, b) => a - b);
  return tally;
}

const LOADS = [1, 2].flatMap((workers) =>
  [1.5, 3, 10].flatMap((factor) => [true, false].map((isOpen) => ({ workers, factor, isOpen }))),
);

test.each(sample(LOADS, 3))('requests at $factor × capacity, $workers worker(s), open loop: $isOpen', async (load) => {
  const { goodput, codes, latencies } = await overload(load);
  expect(goodput).toBeGreaterThan(0.9);
  expect(latencies.at(-1)).toBeLessThanOrEqual(DEADLINE_MS);
  // Nothing is begun and not ended: what is refused is refused on arrival.
  expect(Object.keys(codes).toSorted()).toEqual(['ok', 'queue_full']);
});

test('callers that wait for Retry-After are accepted at their second or third attempt', async () => {
  const { goodput, codes } = await overload({ workers: 2, factor: 10, isOpen: false, obey: true });
  expect(goodput).toBeGreaterThan(0.9);
  // When all of them came again every second it were nine for each answer.
  expect(codes.queue_full! / codes.ok!).toBeLessThan(5);
});

test.each(sample<readonly [string, (t: number) => number]>([
  ['by half and back every two seconds', (t: number) => (Math.floor(t / 2_000) % 2 === 0 ? 1 : 2)],
  ['five times, from one moment to the next', (t: number) => (t > 3_000 && t < 6_000 ? 5 : 1)],
  ['for a single slice now and then', (t: number) => (t % 500 < 10 ? 12 : 1)],
], 1))('requests are answered in time while the machine becomes slower: %s', async (_, slownessAt) => {
  const { goodput, latencies } = await overload({ workers: 1, factor: 3, isOpen: true, slownessAt });
  expect(goodput).toBeGreaterThan(0.8);
  expect(latencies[Math.floor(latencies.length * 0.99)]).toBeLessThanOrEqual(DEADLINE_MS);
});

test('control: without estimates the workers compute what no caller waits for any more', async () => {
  const { goodput } = await overload({ workers: 1, factor: 3, isOpen: true, estimates: false });
  expect(goodput).toBeLessThan(0.5);
});
