// The worker threads: start them, hand one job to one idle worker, replace the dead.
//
// A worker may die at any moment (trap, exit, crash) or hang. Either costs the job it holds one
// error and nobody else anything. A job's promise settles only when no thread can touch its memory
// any more: after the reply, or after the worker's exit.
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { CarryoverError } from '../errors.ts';
import type { CompiledKernels } from '../wasm/load.ts';
import { GONE, JOB, NUMBER_MAX, REPLY, REQUEST, createMailbox, type Mailbox } from './mailbox.ts';
import type { WorkerData } from './worker.ts';

/** A worker that dies before it was ready is started again after 50 ms, 100 ms, … up to this. */
const RESTART_DELAY_MS_MAX = 5_000;

export interface PoolOptions {
  readonly workers: number;
  readonly kernels: CompiledKernels;
  readonly memory: WebAssembly.Memory;
  /** Called whenever a worker has become free. */
  readonly onIdle: () => void;
  /** Called when a worker is lost, with what ended it. */
  readonly onLost: (reason: unknown) => void;
  /** The file a worker runs; tests replace it to inject faults. */
  readonly entry?: URL | undefined;
}

export class Pool {
  readonly #options: PoolOptions;
  readonly #workers = new Set<PoolWorker>();
  #closed = false;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /** Resolves when every worker is ready; rejects if one cannot start. */
  async start(): Promise<void> {
    const starts = Array.from({ length: this.#options.workers }, () => this.#spawn());
    await Promise.all(starts);
  }

  get idleCount(): number {
    return [...this.#workers].filter((worker) => worker.state === 'idle').length;
  }

  /** How many workers are alive and ready, idle or busy. */
  get readyCount(): number {
    return [...this.#workers].filter((worker) => worker.state !== 'starting').length;
  }

  get isWhole(): boolean {
    return this.readyCount === this.#options.workers;
  }

  /**
   * Hands a job to an idle worker, or returns undefined if there is none.
   *
   * The promise rejects with worker_failed if the worker dies, deadline_exceeded if the job is not
   * done after `timeoutMs` (its worker is terminated and replaced).
   */
  tryRun(job: number, timeoutMs: number): Promise<void> | undefined {
    for (const worker of this.#workers) {
      if (worker.state === 'idle') return worker.run(job, timeoutMs).finally(this.#options.onIdle);
    }
    return undefined;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#workers].map((worker) => worker.terminate()));
  }

  async #spawn(): Promise<void> {
    const worker = new PoolWorker(this.#options);
    this.#workers.add(worker);
    void worker.exited.then((reason) => this.#replace(worker, reason));
    await worker.ready;
    this.#options.onIdle();
  }

  #replace(worker: PoolWorker, reason: unknown): void {
    this.#workers.delete(worker);
    if (this.#closed) return;
    this.#options.onLost(reason);
    if (worker.wasReady) void this.#respawn(0);
  }

  async #respawn(delayMs: number): Promise<void> {
    await sleep(delayMs);
    if (this.#closed) return;
    await this.#spawn().catch(() =>
      this.#respawn(Math.min(RESTART_DELAY_MS_MAX, Math.max(50, delayMs * 2))),
    );
  }
}

class PoolWorker {
  state: 'starting' | 'idle' | 'busy' | 'gone' = 'starting';
  wasReady = false;
  /** Resolves at the first sign of readiness, rejects if the worker exits before. */
  readonly ready: Promise<void>;
  /** Resolves with what ended the worker. */
  readonly exited: Promise<unknown>;
  readonly #mailbox: Mailbox = createMailbox();
  readonly #thread: Worker;
  /** Of the last job handed over. */
  #number = 0;

  constructor({ kernels, memory, entry }: PoolOptions) {
    const workerData: WorkerData = { kernels, memory, mailbox: this.#mailbox };
    this.#thread = new Worker(entry ?? new URL('./worker.ts', import.meta.url), {
      workerData,
      execArgv: [],
    });
    let reason: unknown = 'the thread exited';
    this.#thread.once('error', (error) => {
      reason = error;
    });
    this.exited = new Promise((resolve) => {
      this.#thread.once('exit', () => {
        this.state = 'gone';
        Atomics.store(this.#mailbox, REPLY, GONE);
        Atomics.notify(this.#mailbox, REPLY);
        resolve(reason);
      });
    });
    this.ready = new Promise((resolve, reject) => {
      this.#thread.once('message', () => {
        this.state = 'idle';
        this.wasReady = true;
        resolve();
      });
      void this.exited.then((cause) =>
        reject(new Error('a worker thread exited before it was ready', { cause })),
      );
    });
  }

  async run(job: number, timeoutMs: number): Promise<void> {
    this.state = 'busy';
    const previous = this.#number;
    this.#number = previous === NUMBER_MAX ? 1 : previous + 1;
    Atomics.store(this.#mailbox, JOB, job);
    Atomics.store(this.#mailbox, REQUEST, this.#number);
    Atomics.notify(this.#mailbox, REQUEST);

    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      void this.terminate();
    }, timeoutMs);
    const reply = await this.#replyAfter(previous);
    clearTimeout(timer);

    if (reply !== GONE) {
      if (this.state === 'busy') this.state = 'idle';
      return;
    }
    if (timedOut) {
      throw new CarryoverError('deadline_exceeded', {
        detail: `The computation was stopped after ${timeoutMs} ms; nothing was changed.`,
      });
    }
    throw new CarryoverError('worker_failed', {
      detail: 'The worker thread computing this request ended before it was done.',
      cause: await this.exited,
    });
  }

  /**
   * What REPLY has become. A wake-up alone says nothing: the notification of one reply may arrive
   * after that reply was seen, when the next job is waited for already.
   */
  async #replyAfter(previous: number): Promise<number> {
    for (;;) {
      const reply = Atomics.load(this.#mailbox, REPLY);
      if (reply !== previous) return reply;
      const woken = Atomics.waitAsync(this.#mailbox, REPLY, previous);
      if (woken.async) await woken.value;
    }
  }

  async terminate(): Promise<void> {
    // From here on no job is given to it, even if the reply of the last one still arrives.
    this.state = 'gone';
    await this.#thread.terminate();
  }
}
