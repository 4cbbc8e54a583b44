// One worker thread and the jobs that are under way at it.
//
// It may die at any moment (trap, exit, crash) or hang. Either costs the job it is running one error, and
// those behind it nothing: they have not been started, and go elsewhere. A job is settled only when no
// thread can touch its memory any more: after the reply, or after the worker's exit.
//
// A worker hangs when a job takes many times what was estimated. Only then is it terminated: a healthy one
// that is late costs its request at most. Before that its reply is looked at, and time counts only
// while this thread could have seen it.
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
  /** A job that has not replied after this, and HANG_ESTIMATES times what was estimated, hangs. */
  readonly hangMsMin: number;
  /** Called whenever a worker can take a job, more than before. */
  readonly onIdle: () => void;
  /** The file a worker runs; tests replace it to inject faults. */
  readonly entry?: URL | undefined;
}

/** How many ms it took, see PoolWorker.run; not started: the worker was lost before it came to the job. */
export type Outcome = number | 'not started' | CarryoverError;

interface Underway {
  readonly number: number;
  readonly estimateMs: number;
  readonly settle: (outcome: Outcome) => void;
}

const HANG_ESTIMATES = 10;
/** A timer that is later than this shows that this thread, or all of the process, stood still. */
const LATE_MS = 100;
/** A job that takes so many times its estimate, and this long, holds up what is put behind it. */
const SLOW_ESTIMATES = 3;
const SLOW_MS = 50;

export class PoolWorker {
  /** Resolves at the first sign of readiness, rejects if the worker exits before. */
  readonly ready: Promise<void>;
  /** Resolves with what ended the worker. */
  readonly exited: Promise<unknown>;
  wasReady = false;
  #isGone = false;
  #hasHung = false;
  readonly #options: PoolWorkerOptions;
  readonly #mailbox: Mailbox = createMailbox();
  readonly #thread: Worker;
  /** In the order in which they are run. */
  readonly #underway: Underway[] = [];
  #estimateMs = 0;
  #isWatching = false;
  /** Of the last job handed over. */
  #requested = 0;
  /** Of the last job known to be done. */
  #replied = 0;
  /** Since when its oldest job is known to be running. */
  #oldestSinceMs = 0;
  #hangTimer: NodeJS.Timeout | undefined;
  #hangAtMs = 0;

  constructor(options: PoolWorkerOptions) {
    const { kernels, memory, entry } = options;
    const workerData: WorkerData = { kernels, memory, mailbox: this.#mailbox };
    this.#options = options;
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
        clearTimeout(this.#hangTimer);
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

  /** How long the jobs under way take together, as estimated; Infinity if one takes far longer. */
  busyMs(): number {
    const oldest = this.#underway[0];
    if (!oldest) return 0;
    const slowMs = Math.max(SLOW_MS, SLOW_ESTIMATES * oldest.estimateMs);
    return performance.now() - this.#oldestSinceMs > slowMs ? Infinity : this.#estimateMs;
  }

  /**
   * To be called only while takesJobs.
   *
   * @param settle is told how long the job took, or 'not started', or worker_failed if the worker dies or
   *   hangs while it runs the job. As this thread sees it, from the end of the job before: what the worker
   *   waited for this thread is part of it, as it is part of what those wait who are behind the job
   */
  run(job: number, estimateMs: number, settle: (outcome: Outcome) => void): void {
    const number = numberAfter(this.#requested);
    this.#requested = number;
    Atomics.store(this.#mailbox, slotOf(number), job);
    Atomics.store(this.#mailbox, REQUEST, number);
    Atomics.notify(this.#mailbox, REQUEST);
    this.#estimateMs += estimateMs;
    this.#underway.push({ number, estimateMs, settle });
    if (this.#underway.length === 1) this.#watchOldest();
    if (!this.#isWatching) void this.#watch();
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
      this.#options.onIdle();
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
      const tookMs = performance.now() - this.#oldestSinceMs;
      const { number, settle } = this.#takeOldest();
      this.#replied = number;
      settle(tookMs);
    }
  }

  /** The oldest was running when the worker ended. */
  async #giveUp(): Promise<void> {
    if (this.#underway.length === 0) return;
    const cause = await this.exited;
    const { settle, estimateMs } = this.#takeOldest();
    settle(this.#hasHung ? hung(this.#hangMsOf(estimateMs)) : lost(cause));
    while (this.#underway.length > 0) this.#takeOldest().settle('not started');
  }

  #takeOldest(): Underway {
    const oldest = this.#underway.shift()!;
    this.#estimateMs = this.#underway.length === 0 ? 0 : this.#estimateMs - oldest.estimateMs;
    if (this.#underway.length > 0) this.#watchOldest();
    return oldest;
  }

  /** The timer of an earlier job is left to run out first: a job in time costs no timer of its own. */
  #watchOldest(): void {
    this.#oldestSinceMs = performance.now();
    if (this.#isGone) return;
    const hangAtMs = this.#oldestSinceMs + this.#hangMsOf(this.#underway[0]!.estimateMs);
    if (!this.#hangTimer || hangAtMs < this.#hangAtMs) this.#armHangTimer(hangAtMs);
  }

  #armHangTimer(hangAtMs: number): void {
    clearTimeout(this.#hangTimer);
    this.#hangAtMs = hangAtMs;
    const delayMs = Math.max(0, hangAtMs - performance.now());
    this.#hangTimer = setTimeout(() => this.#checkHang(), delayMs).unref();
  }

  #checkHang(): void {
    this.#hangTimer = undefined;
    const nowMs = performance.now();
    const reply = Atomics.load(this.#mailbox, REPLY);
    if (reply !== this.#replied && reply !== GONE) {
      this.#settleTo(reply);
      this.#options.onIdle();
    }
    const oldest = this.#underway[0];
    if (!oldest || this.#hangTimer) return;
    if (nowMs - this.#hangAtMs > LATE_MS) this.#oldestSinceMs = nowMs;
    const hangAtMs = this.#oldestSinceMs + this.#hangMsOf(oldest.estimateMs);
    if (nowMs < hangAtMs) return this.#armHangTimer(hangAtMs);
    this.#hasHung = true;
    void this.terminate();
  }

  #hangMsOf(estimateMs: number): number {
    return Math.max(this.#options.hangMsMin, HANG_ESTIMATES * estimateMs);
  }
}

function hung(ms: number): CarryoverError {
  return new CarryoverError('worker_failed', {
    detail: `The worker thread computing this request did not answer for ${Math.round(ms)} ms and was replaced.`,
  });
}

function lost(cause: unknown): CarryoverError {
  return new CarryoverError('worker_failed', {
    detail: 'The worker thread computing this request ended before it was done.',
    cause,
  });
}
