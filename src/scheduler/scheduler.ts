// Decides when a job runs: at once if a worker is idle, else it waits in a bounded queue, first come
// first served, never beyond its deadline. Refusing early keeps the accepted requests fast.
import { CarryoverError } from '../errors.ts';
import type { Pool } from '../pool/pool.ts';

export interface SchedulerOptions {
  /** Jobs that may wait; one more is refused with queue_full. */
  readonly queueJobsMax: number;
  /** From submission to result, waiting included. */
  readonly deadlineMs: number;
}

interface Waiting {
  readonly job: number;
  readonly submittedMs: number;
  readonly resolve: (run: Promise<void>) => void;
  readonly reject: (error: CarryoverError) => void;
}

export class Scheduler {
  readonly #pool: Pool;
  readonly #options: SchedulerOptions;
  /** Oldest first, so it is also in the order of deadlines: one timer, for the head, is enough. */
  readonly #queue: Waiting[] = [];
  #headTimer: NodeJS.Timeout | undefined;

  constructor(pool: Pool, options: SchedulerOptions) {
    this.#pool = pool;
    this.#options = options;
  }

  get queuedCount(): number {
    return this.#queue.length;
  }

  /**
   * Runs the job at address `job` on some worker.
   *
   * @throws queue_full at once · deadline_exceeded · worker_failed. In each case no thread touches
   *   the job's memory any more.
   */
  async submit(job: number): Promise<void> {
    const { queueJobsMax, deadlineMs } = this.#options;
    if (this.#queue.length === 0) {
      const run = this.#pool.tryRun(job, deadlineMs);
      if (run) return run;
    }
    if (this.#queue.length >= queueJobsMax) {
      throw new CarryoverError('queue_full', {
        detail: `${queueJobsMax} requests are waiting already; this one was not started.`,
      });
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ job, submittedMs: performance.now(), resolve, reject });
      this.#watchHead();
    });
  }

  /** To be called when a worker has become idle. */
  dispatch(): void {
    for (;;) {
      const head = this.#queue[0];
      if (!head) break;
      const run = this.#pool.tryRun(head.job, this.#remainingMs(head));
      if (!run) break;
      this.#queue.shift();
      head.resolve(run);
    }
    this.#watchHead();
  }

  #remainingMs({ submittedMs }: Waiting): number {
    return Math.max(0, this.#options.deadlineMs - (performance.now() - submittedMs));
  }

  #watchHead(): void {
    clearTimeout(this.#headTimer);
    const head = this.#queue[0];
    if (head) this.#headTimer = setTimeout(() => this.#expire(), this.#remainingMs(head));
  }

  #expire(): void {
    while (this.#queue[0] && this.#remainingMs(this.#queue[0]) === 0) {
      this.#queue.shift()!.reject(
        new CarryoverError('deadline_exceeded', {
          detail: `No worker was free within ${this.#options.deadlineMs} ms; this was not started.`,
        }),
      );
    }
    this.#watchHead();
  }
}
