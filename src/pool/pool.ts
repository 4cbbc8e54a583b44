// The worker threads of a process: starts them, gives them jobs, and replaces those that exit.
//
// When a worker dies (trap, exit, crash) or is terminated because it hangs (PoolWorker.#checkHang):
//   1. PoolWorker sees its thread exit: jobs with a reply are done (#settleUpTo); the job that was running fails with
//      worker_failed; the later ones are 'not started' (#failRunningJob).
//   2. Scheduler.#settleSlice returns the error to the request whose job failed, and queues the others again.
//   3. Pool.#replace reports it (onLost, logged by app.ts) and starts a new worker. A worker that exits before it was
//      ready is started again after a delay (#respawn).
// A job is settled only when no thread can write to its memory any more. test/pool/faults.test.ts injects such faults.
import { setTimeout as sleep } from 'node:timers/promises';
import { type JobOutcome, PoolWorker, type PoolWorkerOptions } from './pool-worker.ts';

/** Workers that exit before they were ready are started again after 50 ms, 100 ms, … up to the maximum. */
const RESTART_DELAY_MS_MIN = 50;
const RESTART_DELAY_MS_MAX = 5_000;

export interface PoolOptions extends PoolWorkerOptions {
  /** How many threads. */
  readonly workers: number;
  /** Called when a worker has exited, with the reason. */
  readonly onLost: (reason: unknown) => void;
}

export class Pool {
  readonly #options: PoolOptions;
  readonly #workers = new Set<PoolWorker>();
  #hasStarted = false;
  #closed = false;
  #lostCount = 0;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /** Resolves when all workers are ready; rejects if one exits before. Without it the workers start with the first job. */
  async start(): Promise<void> {
    this.#hasStarted = true;
    const starts = Array.from({ length: this.#options.workers }, () => this.#spawn());
    await Promise.all(starts);
  }

  /** Whether a job that arrives now is computed: at once, or, if it is the first, when the workers have started. */
  get isUp(): boolean {
    return !this.#hasStarted || this.readyCount > 0;
  }

  /** How many workers are ready and have no job. */
  get idleCount(): number {
    return [...this.#workers].filter((worker) => worker.isIdle).length;
  }

  /** How many workers were lost, and replaced, since the start. */
  get lostCount(): number {
    return this.#lostCount;
  }

  /** How many workers are ready, idle or busy. */
  get readyCount(): number {
    return [...this.#workers].filter((worker) => worker.isReady).length;
  }

  /**
   * A worker for the next job: an idle one, else the busy one with the shortest backlog, which then has its next job
   * without waiting for this thread. Undefined if there is none.
   *
   * @param backlogMsMax a busy worker must have a shorter backlog
   */
  available(backlogMsMax: number): PoolWorker | undefined {
    // The caller gets them when they are ready, by onIdle; if they never are, onLost has reported it.
    if (!this.#hasStarted && !this.#closed) void this.start().catch(() => {});
    let chosen: PoolWorker | undefined;
    let leastMs = backlogMsMax;
    for (const worker of this.#workers) {
      if (!worker.acceptsJobs) continue;
      if (worker.isIdle) return worker;
      const backlogMs = worker.backlogMs();
      if (backlogMs >= leastMs) continue;
      chosen = worker;
      leastMs = backlogMs;
    }
    return chosen;
  }

  /** Runs the job at an address on an idle worker; undefined if none is idle. @param estimateMs how long it may take */
  tryRun(job: number, estimateMs: number): Promise<JobOutcome> | undefined {
    const worker = this.available(0);
    return worker && new Promise((resolve) => worker.run(job, estimateMs, resolve));
  }

  /** Terminates all workers; resolves when their threads have exited. */
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
    this.#lostCount++;
    this.#options.onLost(reason);
    if (worker.wasReady) void this.#respawn(0);
  }

  async #respawn(delayMs: number): Promise<void> {
    await sleep(delayMs);
    if (this.#closed) return;
    await this.#spawn().catch(() =>
      this.#respawn(Math.min(RESTART_DELAY_MS_MAX, Math.max(RESTART_DELAY_MS_MIN, delayMs * 2))),
    );
  }
}
