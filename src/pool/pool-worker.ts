// One worker thread, and the jobs that were dispatched to it and are not done.
//
// The thread may exit at any moment (trap, exit, crash) or hang. Then the job it is running fails, and the later ones
// are 'not started', so that others can run them; pool.ts describes all of it. A job is settled only when no thread can
// write to its memory any more: after its reply, or after the thread's exit.
//
// A worker hangs if its job takes many times its estimate. Only then is it terminated: of one that is merely slow, late
// jobs fail by their deadlines. Before it is terminated, its mailbox is read once more, and time counts only while this
// thread could have seen a reply.
import { Worker } from 'node:worker_threads';
import { CarryoverError } from '../errors.ts';
import type { CompiledKernels } from '../wasm/load.ts';
import {
  EXITED,
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
  /** A job hangs if it takes longer than this and longer than HANG_ESTIMATES times its estimate. */
  readonly hangMsMin: number;
  /** Called whenever the worker accepts one more job than before. */
  readonly onIdle: () => void;
  /** The entry of the thread; tests replace worker.ts to inject faults. */
  readonly entry?: URL | undefined;
}

/** How a job ended: done, with its duration in ms; not started, as the worker exited before; or with worker_failed. */
export type JobOutcome = number | 'not started' | CarryoverError;

/** A job that was dispatched and is not done. */
interface PendingJob {
  readonly number: number;
  readonly estimateMs: number;
  readonly settle: (outcome: JobOutcome) => void;
}

const HANG_ESTIMATES = 10;
/** A timer that fires later than this shows that this thread, or the whole process, was suspended. */
const LATE_MS = 100;
/** If a job takes longer than SLOW_MS and than this many times its estimate, its worker gets no further job. */
const SLOW_ESTIMATES = 3;
const SLOW_MS = 50;

export class PoolWorker {
  /** Resolves when the thread has started to serve, rejects if it exits before. */
  readonly ready: Promise<void>;
  /** Resolves with the reason when the thread has exited. */
  readonly exited: Promise<unknown>;
  /** Whether the thread has started to serve, also if it has exited since. */
  wasReady = false;
  /** Whether the thread has exited, or is being terminated. */
  #isEnding = false;
  #hasHung = false;
  readonly #options: PoolWorkerOptions;
  readonly #mailbox: Mailbox = createMailbox();
  readonly #thread: Worker;
  /** The oldest one is running; the others follow in their order. */
  readonly #pending: PendingJob[] = [];
  /** The sum of their estimates. */
  #estimateMs = 0;
  #isAwaitingReplies = false;
  /** Number of the last job dispatched. */
  #requested = 0;
  /** Number of the last job known to be done. */
  #replied = 0;
  /** When the oldest of them started, as far as this thread knows. */
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
        this.#isEnding = true;
        clearTimeout(this.#hangTimer);
        // Jobs with a reply are done, although the thread has exited since.
        this.#settleUpTo(Atomics.exchange(this.#mailbox, REPLY, EXITED));
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

  /** Whether the thread serves jobs, idle or busy. */
  get isReady(): boolean {
    return this.wasReady && !this.#isEnding;
  }

  /** Whether it is ready and has no job. */
  get isIdle(): boolean {
    return this.isReady && this.#pending.length === 0;
  }

  /** Whether run() may be called. */
  get acceptsJobs(): boolean {
    return this.isReady && this.#pending.length < JOBS_MAX;
  }

  /**
   * The sum of the estimates of the jobs that are not done, in ms; Infinity if the running one takes far longer than
   * estimated.
   */
  backlogMs(): number {
    const oldest = this.#pending[0];
    if (!oldest) return 0;
    const slowMs = Math.max(SLOW_MS, SLOW_ESTIMATES * oldest.estimateMs);
    return performance.now() - this.#oldestSinceMs > slowMs ? Infinity : this.#estimateMs;
  }

  /**
   * Dispatches the job whose record is at an address. To be called only while acceptsJobs.
   *
   * @param estimateMs how long the job may take
   * @param settle called once with the outcome of the job. Its duration is measured on this thread, from the end of the
   *   job before: it includes what the worker waited for this thread, as the wait of the later jobs does
   */
  run(job: number, estimateMs: number, settle: (outcome: JobOutcome) => void): void {
    const number = numberAfter(this.#requested);
    this.#requested = number;
    Atomics.store(this.#mailbox, slotOf(number), job);
    Atomics.store(this.#mailbox, REQUEST, number);
    Atomics.notify(this.#mailbox, REQUEST);
    this.#estimateMs += estimateMs;
    this.#pending.push({ number, estimateMs, settle });
    if (this.#pending.length === 1) this.#watchOldest();
    if (!this.#isAwaitingReplies) void this.#awaitReplies();
  }

  /**
   * Ends the thread; resolves when it has exited. It accepts no job from the call on, even if a reply still arrives.
   */
  async terminate(): Promise<void> {
    this.#isEnding = true;
    await this.#thread.terminate();
  }

  /** Settles jobs as their replies arrive, until all are done or the thread has exited. */
  async #awaitReplies(): Promise<void> {
    this.#isAwaitingReplies = true;
    while (this.#pending.length > 0) {
      const reply = await this.#replyAfter(this.#replied);
      if (reply === EXITED) return this.#failRunningJob();
      this.#settleUpTo(reply);
      this.#options.onIdle();
    }
    this.#isAwaitingReplies = false;
  }

  /**
   * Resolves with the value of REPLY when it is no longer `previous`. A notification is no proof of that: it may arrive
   * after its reply was seen, when the next one is already awaited.
   */
  async #replyAfter(previous: number): Promise<number> {
    for (;;) {
      const reply = Atomics.load(this.#mailbox, REPLY);
      if (reply !== previous) return reply;
      const woken = Atomics.waitAsync(this.#mailbox, REPLY, previous);
      if (woken.async) await woken.value;
    }
  }

  /** Settles all jobs up to the number of a reply, as jobs are done in their order. */
  #settleUpTo(reply: number): void {
    while (this.#replied !== reply) {
      const tookMs = performance.now() - this.#oldestSinceMs;
      const { number, settle } = this.#takeOldest();
      this.#replied = number;
      settle(tookMs);
    }
  }

  /** After the exit of the thread: the oldest job was running and fails, the later ones were not started. */
  async #failRunningJob(): Promise<void> {
    if (this.#pending.length === 0) return;
    const cause = await this.exited;
    const { settle, estimateMs } = this.#takeOldest();
    settle(this.#hasHung ? workerHung(this.#hangMsOf(estimateMs)) : workerLost(cause));
    while (this.#pending.length > 0) this.#takeOldest().settle('not started');
  }

  #takeOldest(): PendingJob {
    const oldest = this.#pending.shift()!;
    this.#estimateMs = this.#pending.length === 0 ? 0 : this.#estimateMs - oldest.estimateMs;
    if (this.#pending.length > 0) this.#watchOldest();
    return oldest;
  }

  /** An armed timer that fires earlier stays: so a job that is in time costs no timer of its own. */
  #watchOldest(): void {
    this.#oldestSinceMs = performance.now();
    if (this.#isEnding) return;
    const hangAtMs = this.#oldestSinceMs + this.#hangMsOf(this.#pending[0]!.estimateMs);
    if (!this.#hangTimer || hangAtMs < this.#hangAtMs) this.#armHangTimer(hangAtMs);
  }

  #armHangTimer(hangAtMs: number): void {
    clearTimeout(this.#hangTimer);
    this.#hangAtMs = hangAtMs;
    const delayMs = Math.max(0, hangAtMs - performance.now());
    this.#hangTimer = setTimeout(() => this.#checkHang(), delayMs).unref();
  }

  /** Terminates the worker if its oldest job hangs. */
  #checkHang(): void {
    this.#hangTimer = undefined;
    const nowMs = performance.now();
    const reply = Atomics.load(this.#mailbox, REPLY);
    if (reply !== this.#replied && reply !== EXITED) {
      this.#settleUpTo(reply);
      this.#options.onIdle();
    }
    const oldest = this.#pending[0];
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

/** The worker was terminated as it did not reply for `ms`. */
function workerHung(ms: number): CarryoverError {
  return new CarryoverError('worker_failed', {
    detail: `The worker thread computing this request did not answer for ${Math.round(ms)} ms and was replaced.`,
  });
}

/** The thread exited. */
function workerLost(cause: unknown): CarryoverError {
  return new CarryoverError('worker_failed', {
    detail: 'The worker thread computing this request ended before it was done.',
    cause,
  });
}
