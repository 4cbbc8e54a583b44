// A worker is terminated when it hangs, and for nothing else: not when it is late, and not when it was this
// thread that stood still.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { Pool } from '../../src/pool/pool.ts';
import { Gate } from '../fixtures/workers/gate.ts';
import { compiledKernels, memory } from '../helpers/kernels.ts';

/** Much longer than a busy machine delays a timer or a thread. */
const HANG_MS = 400;
const entry = new URL('../fixtures/workers/gated.ts', import.meta.url);
const gate = new Gate(memory.memory);
// A job of no rows.
const job = memory.allocate(256);
memory.u8(job, 256).fill(0);
afterAll(() => memory.free(job));

async function startPool(hangMsMin: number) {
  const lost: unknown[] = [];
  const pool = new Pool({
    workers: 1,
    kernels: compiledKernels,
    memory: memory.memory,
    entry,
    hangMsMin,
    onIdle: () => {},
    onLost: (reason) => lost.push(reason),
  });
  await pool.start();
  afterAll(() => pool.close());
  return { pool, lost };
}

function standStill(ms: number): void {
  const endMs = performance.now() + ms;
  while (performance.now() < endMs);
}

test('a worker is not lost because its job takes several times the estimate, but less than the limit', async () => {
  const { pool, lost } = await startPool(10_000);
  gate.close();
  const run = pool.tryRun(job, 1);
  await sleep(100);
  gate.open();
  expect(await run).toBeGreaterThanOrEqual(50);
  expect(lost).toEqual([]);
});

test('a worker is not lost because this thread was blocked while it replied', async () => {
  const { pool, lost } = await startPool(HANG_MS);
  const run = pool.tryRun(job, 1);
  standStill(2 * HANG_MS);
  expect(await run).toBeTypeOf('number');
  await sleep(HANG_MS);
  expect(lost).toEqual([]);
});

test('a worker is not lost because the whole process was stopped, as far as this thread can know', async () => {
  const { pool, lost } = await startPool(HANG_MS);
  gate.close();
  const run = pool.tryRun(job, 1);
  standStill(3 * HANG_MS);
  setTimeout(() => gate.open(), HANG_MS / 2);
  expect(await run).toBeTypeOf('number');
  expect(lost).toEqual([]);
});

test('a worker is lost if it does not reply for the limit, which costs its job an error', async () => {
  const { pool, lost } = await startPool(HANG_MS);
  gate.close();
  expect(await pool.tryRun(job, 1)).toMatchObject({
    code: 'worker_failed',
    message: expect.stringMatching(`did not answer for ${HANG_MS} ms`),
  });
  expect(lost).toHaveLength(1);
  gate.open();
});
