// The worker threads: start them, hand jobs to them, replace the dead.
import { setTimeout as sleep } from 'node:timers/promises';
import { type Outcome, PoolWorker, type PoolWorkerOptions } from './pool-worker.ts';

/** A worker that dies before it was ready is started again after 50 ms, 100 ms, … up to this. */
const RESTART_DELAY_MS_MAX = 5_000;

export interface PoolOptions extends PoolWorkerOptions {
  readonly workers: number;
  /** Called when a worker is lost, with what ended it. */
  readonly onLost: (reason: unknown) => void;
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
    return [...this.#workers].filter((worker) => worker.isIdle).length;
  }

  /** How many workers are alive and ready, idle or busy. */
  get readyCount(): number {
    return [...this.#workers].filter((worker) => worker.isReady).length;
  }

  /**
   * A worker that can be given a job: an idle one; else, if its jobs are soon done, the one that is done
   * first. It then has its next job without waiting for this thread.
   *
   * @param aheadMs less than this may be under way at a busy one
   */
  free(aheadMs: number): PoolWorker | undefined {
    let chosen: PoolWorker | undefined;
    let leastMs = aheadMs;
    for (const worker of this.#workers) {
      if (!worker.takesJobs) continue;
      if (worker.isIdle) return worker;
      const busyMs = worker.busyMs();
      if (busyMs >= leastMs) continue;
      chosen = worker;
      leastMs = busyMs;
    }
    return chosen;
  }

  /** Has an idle worker run a job, of about `estimateMs`; undefined if none is idle. */
  tryRun(job: number, estimateMs: number): Promise<Outcome> | undefined {
    const worker = this.free(0);
    return worker && new Promise((resolve) => worker.run(job, estimateMs, resolve));
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
