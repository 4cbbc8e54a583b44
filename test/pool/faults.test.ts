// A worker may die or hang at any moment: its own job gets one clear error, and no other job is affected.
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { JOBS_MAX, NUMBER_MAX, numberAfter, slotOf } from '../../src/pool/mailbox.ts';
import { METRICS } from '../../src/metrics/catalogue.ts';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';
import { FAULTS, SLOW_INPUT } from '../fixtures/workers/faults.ts';
import { type TestApp, buildApp } from '../helpers/app.ts';
import { expectSameBits } from '../helpers/expect-bits.ts';
import { sample, sized } from '../helpers/long.ts';
import { sumOf } from '../helpers/prometheus.ts';
import {
  nested,
  randomRecurrence,
  referenceStates,
  weightsBody,
} from '../helpers/recurrence.ts';

const workerEntry = new URL('../fixtures/workers/faulty.ts', import.meta.url);
/** For as long a busy machine may keep a worker that does not hang from running. */
const WORKER_HANG_MS = '600';
const app = await buildApp({ WORKERS: '2', WORKER_HANG_MS, METRICS_PORT: '9464' }, { workerEntry, inlineFlopsMax: 0 });

/** Every fortieth fails, by each fault in turn. */
const REQUESTS = sized({ short: 120, long: 1_000 });
const ROUNDS = sized({ short: 1, long: 3 });

const W = { W_x: [[0.5]], W_h: [[0.25]] };
/** A thread starts in 50 ms; on a machine with much else to do it takes longer. */
const READY_MS_MAX = 30_000;

async function untilWhole({ pool }: TestApp, workers = 1): Promise<number> {
  const start = performance.now();
  while (pool.readyCount < workers) await sleep(5);
  return performance.now() - start;
}

test.each(FAULTS)('$name costs one worker_failed; the pool is soon whole again', async ({ x }) => {
  const restarts = async () => sumOf(await app.metrics!.print(), METRICS.workerRestarts.name);
  const before = await restarts();
  const response = await app.post('/v1/step', { weights: W, x: [[x]] });
  expect(response.body.code).toBe('worker_failed');
  expect(response.status).toBe(500);
  // The other worker is there.
  expect((await app.http.inject('/health/ready')).statusCode).toBe(200);
  expect(JSON.stringify(response.body)).not.toMatch(/purpose|\.ts|at /);
  expect(await untilWhole(app, 2)).toBeLessThan(READY_MS_MAX);
  expect((await app.post('/v1/step', { weights: W, x: [[2]] })).status).toBe(200);
  expect(app.pool.readyCount).toBe(2);
  expect((await restarts()) - before).toBe(1);
});

describe(`workers that fail during ${REQUESTS} mixed requests`, () => {
  test('only the jobs that fail get an error, all others have the bits of the reference', async () => {
    const patient = await buildApp(
      {
        WORKERS: '2',
        // Longer than all of it takes on a slow machine.
        JOB_DEADLINE_MS: '60000',
        WORKER_HANG_MS,
        QUEUE_JOBS_MAX: '1000',
        WEIGHTS_CACHE_BYTES_MAX: '0',
      },
      { workerEntry, inlineFlopsMax: 0 },
    );
    const bytesIdle = patient.memory.bytesUsed;
    const random = pseudoRandom(7);
    const pick = (max: number) => 1 + Math.floor(((random() + 1) / 2) * max);
    let faults = 0;

    const requests = Array.from({ length: REQUESTS }, async (_, i) => {
      const fault = i % 40 === 20 ? FAULTS[Math.floor(i / 40) % FAULTS.length]! : undefined;
      if (fault) {
        faults++;
        const { body } = await patient.post('/v1/step', { weights: W, x: [[fault.x]] });
        expect(body.code).toBe('worker_failed');
        return;
      }
      const shape = { T: pick(4), N: pick(9), D: pick(10), H: pick(20) };
      const input = randomRecurrence(shape, i);
      const { T, N, D, H } = shape;
      const { status, body } = await patient.post('/v1/sequence', {
        weights: weightsBody(input.weights),
        x: nested(input.x, [T, N, D]),
        h: nested(input.h, [N, H]),
      });
      expect(status, JSON.stringify(body).slice(0, 200)).toBe(200);
      expectSameBits(body.hs, referenceStates(input));
    });
    await Promise.all(requests);

    expect(faults).toBe(REQUESTS / 40);
    expect(await untilWhole(patient, 2)).toBeLessThan(READY_MS_MAX);
    expect(patient.memory.bytesUsed).toBe(bytesIdle);
  });
});

describe('jobs in the backlog of a worker', () => {
  // A job of W is 8 operations: more than what runs here, and nine of them may be under way.
  const oneWorker = (settings = {}) =>
    buildApp({ WORKERS: '1', QUEUE_JOBS_MAX: '1', SHARED_ROWS_MAX: '1', ...settings }, { workerEntry, inlineFlopsMax: 7 });
  const step = (pooled: TestApp, x: number) => pooled.post('/v1/step', { weights: W, x: [[x]] });

  const faults = FAULTS.filter(({ name }) => name !== 'endless loop');
  test.each(sample(faults, 1))('the jobs are computed, before and after one that fails by $name', async ({ name, x }) => {
    const pooled = await oneWorker(name === 'hang' ? { WORKER_HANG_MS } : {});
    for (let round = 0; round < ROUNDS; round++) {
      // More than the queue would take.
      const inputs = [0.1, 0.2, x, 0.3, 0.4, 0.5];
      let responses = await Promise.all(inputs.map((input) => step(pooled, input)));
      // On a busy machine the worker may be so late with a job that it is given no further ones.
      while (responses.some(({ body }) => body.code === 'queue_full')) {
        await untilWhole(pooled);
        responses = await Promise.all(inputs.map((input) => step(pooled, input)));
      }
      responses.forEach(({ body }, i) => {
        const expected = inputs[i] === x ? 'worker_failed' : undefined;
        expect(body.code).toBe(expected);
        if (!expected) expect(body.h[0][0]).toBeCloseTo(Math.tanh(inputs[i]! / 2), 6);
      });
      await untilWhole(pooled);
    }
  });
});

describe('a mini-batch of steps of several requests', () => {
  const faults = FAULTS.filter(({ name }) => name !== 'endless loop');
  test.each(sample(faults, 1))('in which one fails by $name: only that one gets an error', async ({ x }) => {
    const pooled = await buildApp({ WORKERS: '1', WORKER_HANG_MS, JOB_DEADLINE_MS: '60000' }, { workerEntry, inlineFlopsMax: 7 });
    const idleBytes = pooled.memory.bytesUsed;
    // The first is slow, so that the others wait together.
    const inputs = [SLOW_INPUT, 0.2, x, 0.3, 0.4, 0.5];
    const responses = await Promise.all(inputs.map((input) => pooled.post('/v1/step', { weights: W, x: [[input]] })));
    responses.forEach(({ body }, i) => {
      if (inputs[i] === x) expect(body.code).toBe('worker_failed');
      else expect(body.h[0][0]).toBeCloseTo(Math.tanh(inputs[i]! / 2), 6);
    });
    await untilWhole(pooled);
    expect(pooled.memory.bytesUsed - idleBytes).toBeLessThan(10_000);
  });
});

test('numbers of jobs wrap around after the largest, and their slots stay distinct', () => {
  const numbers = [NUMBER_MAX - 2];
  while (numbers.length < 2 * JOBS_MAX) numbers.push(numberAfter(numbers.at(-1)!));
  expect(numbers.slice(0, 5)).toEqual([NUMBER_MAX - 2, NUMBER_MAX - 1, NUMBER_MAX, 1, 2]);
  for (let i = 0; i + JOBS_MAX <= numbers.length; i++) {
    expect(new Set(numbers.slice(i, i + JOBS_MAX).map(slotOf)).size).toBe(JOBS_MAX);
  }
});

test('a job split over two workers fails as a whole, once both have released it', async () => {
  const splitting = await buildApp(
    { WORKERS: '2', WEIGHTS_CACHE_BYTES_MAX: '0' },
    { workerEntry, inlineFlopsMax: 1 },
  );
  const bytesIdle = splitting.memory.bytesUsed;
  // The first part has the first eight rows; in the second, the first input makes the worker exit.
  const x = Array.from({ length: 16 }, (_, n) => [n < 8 ? 0.5 : 1003]);
  const response = await splitting.post('/v1/step', { weights: W, x });
  expect(response.body.code).toBe('worker_failed');
  expect(splitting.memory.bytesUsed).toBe(bytesIdle);
  expect(await untilWhole(splitting, 2)).toBeLessThan(READY_MS_MAX);
  const good = await splitting.post('/v1/step', { weights: W, x: x.map(() => [0.5]) });
  expect(good.status).toBe(200);
});

test('control: without detection a hanging job is not answered and occupies its worker', async () => {
  const unguarded = await buildApp({ WORKER_HANG_MS: '3600000' }, { workerEntry, inlineFlopsMax: 0 });
  const hanging = unguarded.post('/v1/step', { weights: W, x: [[1005]] });
  const behind = unguarded.post('/v1/step', { weights: W, x: [[2]] });
  const answered = await Promise.race([hanging, behind, sleep(1_000, 'neither')]);
  expect(answered).toBe('neither');
  await unguarded.pool.close();
  expect((await hanging).body.code).toBe('worker_failed');
});

test('a wake-up that comes too early or too late is not taken for a reply', async () => {
  const spurious = new URL('../fixtures/workers/spurious.ts', import.meta.url);
  const woken = await buildApp({ WORKERS: '2' }, { workerEntry: spurious, inlineFlopsMax: 0 });
  const responses = await Promise.all(
    Array.from({ length: 100 }, (_, i) => woken.post('/v1/step', { weights: W, x: [[i / 100]] })),
  );
  responses.forEach(({ status, body }, i) => {
    expect(status).toBe(200);
    expect(body.h[0][0]).toBeCloseTo(Math.tanh(i / 200), 6);
  });
});

describe('a pool that cannot start', () => {
  test('the start is refused with the reason', async () => {
    const broken = new URL('../fixtures/workers/broken.ts', import.meta.url);
    await expect(buildApp({}, { workerEntry: broken })).rejects.toThrow(/before it was ready/);
  });
});
