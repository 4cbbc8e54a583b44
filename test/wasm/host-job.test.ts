// Functions of the host, run as jobs: here and by a worker; what they return and what they throw.
import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { CarryoverError } from '../../src/errors.ts';
import { HostJob, runHostJob } from '../../src/wasm/host-job.ts';
import type { HostFunction } from '../../src/wasm/host-functions.ts';
import { LinearMemory } from '../../src/wasm/memory.ts';
import { buildApp } from '../helpers/app.ts';
import { kernels, memory } from '../helpers/kernels.ts';

const BYTES = 3 * 1024 * 1024;

function inputIn(linear: LinearMemory) {
  const ptr = linear.allocate(BYTES);
  linear.u8(ptr, BYTES).forEach((_, i, bytes) => (bytes[i] = i * 7));
  return { ptr, bytes: BYTES };
}

function sha256Of(linear: LinearMemory, ptr: number): string {
  return createHash('sha256').update(Buffer.from(linear.u8(ptr, BYTES))).digest('hex');
}

test('the thread that runs the record calls the function', () => {
  const input = inputIn(memory);
  const job = new HostJob(memory, 'sha256', input);
  kernels.run(job.ptr);
  expect(job.result().toString('hex')).toBe(sha256Of(memory, input.ptr));
  job.release();
});

test('a worker calls the function as well, also in memory that has grown since it started', async () => {
  const app = await buildApp({
    WORKERS: '1',
    MEMORY_BYTES_MAX: String(64 * BYTES),
    MODELS_BYTES_MAX: String(8 * BYTES),
    BODIES_BYTES_MAX: String(16 * BYTES),
  });
  const bytesIdle = app.memory.bytesUsed;
  const inputs = [];
  for (let round = 0; round < 10; round++) {
    const input = inputIn(app.memory);
    inputs.push(input);
    const job = new HostJob(app.memory, 'sha256', input);
    expect(await app.pool.tryRun(job.ptr, 5_000)).toBeTypeOf('number');
    expect(job.result().toString('hex')).toBe(sha256Of(app.memory, input.ptr));
    job.release();
  }
  for (const { ptr } of inputs) app.memory.free(ptr);
  expect(app.memory.bytesUsed).toBe(bytesIdle);
});

/** Runs `called` in place of the function that the job names. */
function resultOf(called: HostFunction, args: readonly number[] = []): Buffer {
  const job = new HostJob(memory, 'sha256', { ptr: memory.allocate(64), bytes: 3, args });
  try {
    runHostJob(memory.memory, job.ptr, [called]);
    return Buffer.from(job.result());
  } finally {
    job.release();
  }
}

test('the function gets its arguments, and its result is returned', () => {
  expect(resultOf(({ args }) => args.join(), [1, 2 ** 32 - 1]).toString()).toBe('1,4294967295,0,0,0,0,0,0');
  expect(resultOf(({ input }) => Buffer.alloc(input.length, 5))).toEqual(Buffer.from([5, 5, 5]));
  expect(resultOf(() => undefined)).toEqual(Buffer.alloc(0));
});

test('an error of the function is thrown by result(), unchanged if it is a CarryoverError', () => {
  const thrown = new CarryoverError('ragged_array', {
    detail: 'ж',
    errors: [{ pointer: '/x', message: 'ж' }],
  });
  const fail = (error: Error) => () => resultOf(() => { throw error; });
  expect(fail(thrown)).toThrow(expect.objectContaining({ code: 'ragged_array', errors: thrown.errors }));
  expect(fail(thrown)).toThrow('ж');
  const bug = new RangeError('Invalid string length');
  expect(fail(bug)).toThrow(expect.objectContaining({ code: 'worker_failed', cause: String(bug) }));
});

test('a result that is too long is an error, and nothing is written behind the space for it', () => {
  expect(() => resultOf(() => Buffer.alloc(1_000_000))).toThrow(
    expect.objectContaining({ code: 'worker_failed' }),
  );
  const long = new CarryoverError('malformed_json', { detail: '\u0000'.repeat(100_000) });
  expect(() => resultOf(() => { throw long; })).toThrow(expect.objectContaining({ code: 'malformed_json' }));
});
