// Three ways to dispatch a job to a worker thread and to receive its completion. All run the same kernels over
// the same shared memory; one address crosses the thread boundary.
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { Pool } from '../../src/pool/pool.ts';
import { Lifetime } from '../../src/lifetime.ts';
import { Scheduler } from '../../src/scheduler/scheduler.ts';
import type { Job } from '../../src/wasm/job.ts';
import { type CompiledKernels, instantiateKernels } from '../../src/wasm/load.ts';

export interface KernelParts {
  readonly kernels: CompiledKernels;
  readonly memory: WebAssembly.Memory;
}

export interface Dispatcher {
  readonly name: string;
  /** Resolves when the job is done. A job must not be dispatched again before. */
  readonly run: (job: Job) => Promise<unknown>;
  readonly close: () => Promise<unknown>;
}

const DEADLINE_MS = 10_000;
const PISCINA = new URL('../peers/node_modules/piscina/dist/main.js', import.meta.url);

export const isPiscinaInstalled = existsSync(PISCINA);

/**
 * This project's pool: a mailbox in shared memory, Atomics.waitAsync, and the scheduler's queue.
 *
 * @param inlineFlopsMax as the scheduler's; with 0 every job is dispatched, and none is split
 */
export async function startPool(
  parts: KernelParts,
  workers: number,
  inlineFlopsMax = 0,
): Promise<Dispatcher> {
  const pool = new Pool({
    ...parts,
    workers,
    hangMsMin: DEADLINE_MS,
    onIdle: () => scheduler.dispatch(),
    onLost: (reason) => console.error(reason),
  });
  const scheduler = new Scheduler(pool, {
    queueJobsMax: 1_000,
    sharedRowsMax: 1,
    runInline: instantiateKernels(parts.kernels, parts.memory).run,
  });
  scheduler.inlineFlopsMax = inlineFlopsMax;
  await pool.start();
  return {
    name: 'pool (waitAsync)',
    run: async (job) => scheduler.run(job, new Lifetime(pool, DEADLINE_MS)),
    close: () => pool.close(),
  };
}

/** Plain postMessage, round robin: no deadline, no bounded queue, no replacement of a dead worker. */
export async function startMessages(parts: KernelParts, workers: number): Promise<Dispatcher> {
  const waiting = new Map<number, () => void>();
  const threads = Array.from({ length: workers }, () => {
    const file = new URL('./message-worker.ts', import.meta.url);
    const thread = new Worker(file, { workerData: parts, execArgv: [] });
    return thread.on('message', (job: number) => {
      const resolve = waiting.get(job)!;
      waiting.delete(job);
      resolve();
    });
  });
  await Promise.all(threads.map((thread) => once(thread, 'online')));
  let next = 0;
  return {
    name: 'postMessage',
    run: ({ ptr }) =>
      new Promise<void>((resolve) => {
        waiting.set(ptr, resolve);
        threads[next++ % workers]!.postMessage(ptr);
      }),
    close: () => Promise.all(threads.map((thread) => thread.terminate())),
  };
}

/** Piscina with its defaults. It is a package of load/peers, so tsc does not find its types. */
export async function startPiscina(parts: KernelParts, workers: number): Promise<Dispatcher> {
  const { default: Piscina } = (await import(PISCINA.href)) as { default: PiscinaClass };
  const pool = new Piscina({
    filename: new URL('../peers/piscina-worker.ts', import.meta.url).href,
    workerData: parts,
    execArgv: [],
    minThreads: workers,
    maxThreads: workers,
  });
  return { name: 'piscina', run: ({ ptr }) => pool.run(ptr), close: () => pool.destroy() };
}

type PiscinaClass = new (options: {
  filename: string;
  workerData: KernelParts;
  execArgv: string[];
  minThreads: number;
  maxThreads: number;
}) => { run(job: number): Promise<unknown>; destroy(): Promise<void> };
