// One worker thread and the jobs that are under way at it.
//
// It may die at any moment (trap, exit, crash) or hang. Either costs the job it is running one error, and
// those behind it nothing: they have not been started, and go elsewhere. A job's promise settles only
// when no thread can touch its memory any more: after the reply, or after the worker's exit.
import { Worker } from 'node:worker_threads';
import { CarryoverError } from '../errors.ts';
import type { CompiledKernels } from '../wasm/load.ts';
import {
  GONE,
  JOBS_MAX,
  type Mailbox,
  REPLY,
  REQUEST,
  createMailbox,
  numberAfter,
  slotOf,
} from './mailbox.ts';
import type { WorkerData } from './worker.ts';

export interface PoolWorkerOptions {
  readonly kernels: CompiledKernels;
  readonly memory: WebAssembly.Memory;
  /** Called whenever a worker can take a job, more than before. */
  readonly onIdle: () => void;
  /** The file a worker runs; tests replace it to inject faults. */
  readonly entry?: URL | undefined;
}

/** Not started: the worker was lost before it came to the job. */
export type Outcome = 'done' | 'not started';

interface Underway {
  readonly number: number;
  readonly flops: number;
  readonly timeoutMs: number;
  readonly timer: NodeJS.Timeout;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: CarryoverError) => void;
}

export class PoolWorker {
  /** Resolves at the first sign of readiness, rejects if the worker exits before. */
  readonly ready: Promise<void>;
  /** Resolves with what ended the worker. */
  readonly exited: Promise<unknown>;
  wasReady = false;
  #isGone = false;
  /** Whether the job it runs was not done in time. */
  #hasTimedOut = false;
  readonly #onIdle: () => void;
  readonly #mailbox: Mailbox = createMailbox();
  readonly #thread: Worker;
  /** In the order in which they are run. */
  readonly #underway: Underway[] = [];
  #flops = 0;
  #isWatching = false;
  /** Of the last job handed over. */
  #requested = 0;
  /** Of the last job known to be done. */
  #replied = 0;

  constructor({ kernels, memory, entry, onIdle }: PoolWorkerOptions) {
    const workerData: WorkerData = { kernels, memory, mailbox: this.#mailbox };
    this.#onIdle = onIdle;
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
        this.#isGone = true;
        // What it had done is not lost with it.
        this.#settleTo(Atomics.exchange(this.#mailbox, REPLY, GONE));
        Atomics.notify(this.#mailbox, REPLY);
        resolve(reason);
      });
    });
    this.ready = new Promise((resolve, reject) => {
      this.#thread.once('message', () => {
        this.wasReady = true;
        resolve();
      });
      void this.exited.then((cause) =>
        reject(new Error('a worker thread exited before it was ready', { cause })),
      );
    });
  }

  /** Whether it is alive and has been ready, idle or busy. */
  get isReady(): boolean {
    return this.wasReady && !this.#isGone;
  }

  get isIdle(): boolean {
    return this.isReady && this.#underway.length === 0;
  }

  get takesJobs(): boolean {
    return this.isReady && this.#underway.length < JOBS_MAX;
  }

  /** The work under way. */
  get flops(): number {
    return this.#flops;
  }

  /**
   * To be called only while takesJobs.
   *
   * @throws worker_failed if the worker dies while it runs the job · deadline_exceeded if the job is not
   *   done after `timeoutMs`; the worker is terminated then
   */
  run(job: number, timeoutMs: number, flops: number): Promise<Outcome> {
    const number = numberAfter(this.#requested);
    this.#requested = number;
    Atomics.store(this.#mailbox, slotOf(number), job);
    Atomics.store(this.#mailbox, REQUEST, number);
    Atomics.notify(this.#mailbox, REQUEST);
    this.#flops += flops;
    const { promise, resolve, reject } = Promise.withResolvers<Outcome>();
    const timer = setTimeout(() => {
      this.#hasTimedOut = true;
      void this.terminate();
    }, timeoutMs);
    this.#underway.push({ number, flops, timeoutMs, timer, resolve, reject });
    if (!this.#isWatching) void this.#watch();
    return promise;
  }

  async terminate(): Promise<void> {
    // From here on no job is given to it, even if the reply of the last one still arrives.
    this.#isGone = true;
    await this.#thread.terminate();
  }

  /** Until nothing is under way. */
  async #watch(): Promise<void> {
    this.#isWatching = true;
    while (this.#underway.length > 0) {
      const reply = await this.#replyAfter(this.#replied);
      if (reply === GONE) return this.#giveUp();
      this.#settleTo(reply);
      this.#onIdle();
    }
    this.#isWatching = false;
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

  /** Jobs are done in their order: all up to this one. */
  #settleTo(reply: number): void {
    while (this.#replied !== reply) {
      const { number, resolve } = this.#takeOldest();
      this.#replied = number;
      resolve('done');
    }
  }

  /** The oldest was running when the worker ended. */
  async #giveUp(): Promise<void> {
    if (this.#underway.length === 0) return;
    const cause = await this.exited;
    const { timeoutMs, reject } = this.#takeOldest();
    reject(this.#hasTimedOut ? notInTime(timeoutMs) : lost(cause));
    while (this.#underway.length > 0) this.#takeOldest().resolve('not started');
  }

  #takeOldest(): Underway {
    const oldest = this.#underway.shift()!;
    clearTimeout(oldest.timer);
    this.#flops -= oldest.flops;
    return oldest;
  }
}

function notInTime(timeoutMs: number): CarryoverError {
  return new CarryoverError('deadline_exceeded', {
    detail: `The computation was stopped after ${timeoutMs} ms; nothing was changed.`,
  });
}

function lost(cause: unknown): CarryoverError {
  return new CarryoverError('worker_failed', {
    detail: 'The worker thread computing this request ended before it was done.',
    cause,
  });
}
