import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { Pool } from '../../src/pool/pool.ts';
import { Scheduler } from '../../src/scheduler/scheduler.ts';
import { buildApp } from '../helpers/app.ts';
import { lifetimeOf } from '../helpers/lifetime.ts';

const workerEntry = new URL('../fixtures/workers/faulty.ts', import.meta.url);
const HANG = { weights: { W_x: [[1]], W_h: [[1]] }, x: [[1005]] };
const GOOD = { weights: { W_x: [[1]], W_h: [[1]] }, x: [[0.5]] };

test('one more than the queue holds is refused at once with queue_full', async () => {
  const app = await buildApp(
    { JOB_DEADLINE_MS: '600', QUEUE_JOBS_MAX: '2', WEIGHTS_CACHE_BYTES_MAX: '0' },
    { workerEntry, hereFlopsMax: 0 },
  );
  const bytesIdle = app.memory.bytesUsed;
  const start = performance.now();
  const running = app.post('/v1/step', HANG);
  const waiting = [app.post('/v1/step', GOOD), app.post('/v1/step', GOOD)];
  const refused = await app.post('/v1/step', GOOD);
  expect(performance.now() - start).toBeLessThan(500);
  expect(refused.status).toBe(503);
  expect(refused.body.code).toBe('queue_full');
  expect(refused.headers['retry-after']).toBe('1');

  expect((await running).body.code).toBe('deadline_exceeded');
  for (const answer of await Promise.all(waiting)) {
    expect(answer.body.code).toBe('deadline_exceeded');
    expect(answer.body.detail).toMatch(/within 600 ms/);
  }
  expect(app.memory.bytesUsed).toBe(bytesIdle);
});

test('the last work of a request waits where other work is refused', async () => {
  const busy = { tryRun: () => undefined, idleCount: 0 } as unknown as Pool;
  const scheduler = new Scheduler(busy, { queueJobsMax: 0, runHere: () => {} });
  const work = { flops: 1e9, partsMax: 1, split: () => [64] };
  await expect(scheduler.run(work, lifetimeOf(50))).rejects.toMatchObject({ code: 'queue_full' });
  const last = scheduler.run({ ...work, isLast: true }, lifetimeOf(50));
  await expect(last).rejects.toMatchObject({ code: 'deadline_exceeded' });
});

test('a job that is handed back behind its deadline is refused, and kills no other worker', async () => {
  const timeoutsMs: number[] = [];
  const lost = {
    idleCount: 0,
    tryRun: async (_job: number, timeoutMs: number) => {
      timeoutsMs.push(timeoutMs);
      await sleep(80);
      return timeoutsMs.length < 3 ? 'not started' : 'done';
    },
  } as unknown as Pool;
  const scheduler = new Scheduler(lost, { queueJobsMax: 4, runHere: () => {} });
  const late = scheduler.run({ flops: 1e9, partsMax: 1, split: () => [64] }, lifetimeOf(50));
  await expect(late).rejects.toMatchObject({ code: 'deadline_exceeded' });
  // With a timeout of 0 the worker that took it would be terminated.
  expect(timeoutsMs).toHaveLength(1);
});

test('what waits is computed, first come first served, once a worker is free', async () => {
  const app = await buildApp({ JOB_DEADLINE_MS: '5000' }, { hereFlopsMax: 0 });
  const order: number[] = [];
  const answers = Array.from({ length: 50 }, async (_, i) => {
    const answer = await app.post('/v1/step', GOOD);
    order.push(i);
    return answer.status;
  });
  expect(new Set(await Promise.all(answers))).toEqual(new Set([200]));
  expect(order).toEqual(order.toSorted((a, b) => a - b));
});
