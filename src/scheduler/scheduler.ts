// Decides where and when a job runs.
//
// Where: work that costs less than handing it over runs here, on the calling thread, at once; a large
// mini-batch is run by several idle workers, each taking some of the rows; all else by one worker.
// When: at once if a worker is idle, or busy with short work and this is short too; else it waits in a
// bounded queue, first come first served, never beyond its deadline. Refusing early keeps the accepted
// requests fast.
//
// None of this changes a bit: a row's result does not depend on what runs beside it.
import { CarryoverError } from '../errors.ts';
import type { Lifetime } from '../lifetime.ts';
import type { Pool } from '../pool/pool.ts';
import type { Outcome } from '../pool/pool-worker.ts';

export interface SchedulerOptions {
  /** Jobs that may wait; one more is refused with queue_full. */
  readonly queueJobsMax: number;
  /** Runs the job at an address on this thread. */
  readonly runHere: (job: number) => void;
}

/** Work that can run as a whole or in parts that touch different rows. */
export interface Work {
  readonly flops: number;
  /** At most so many parts make sense. */
  readonly partsMax: number;
  /** The last work of a request: a full queue does not refuse it, what was done would be lost. */
  readonly isLast?: boolean;
  /** Addresses of job records, `count` of them, that together are the whole. */
  split(count: number): readonly number[];
}

/** A part of some work, or the whole. */
interface Part {
  readonly job: number;
  readonly flops: number;
  readonly lifetime: Lifetime;
}

interface Waiting extends Part {
  readonly resolve: (run: Promise<Outcome>) => void;
  readonly reject: (error: CarryoverError) => void;
}

/** A part should be worth many times its hand-over. */
const PART_HAND_OVERS = 10;
/** What a busy worker may have ahead of it: it saves the hand-over, and delays nobody by much more. */
const AHEAD_HAND_OVERS = 10;

export class Scheduler {
  readonly #pool: Pool;
  readonly #options: SchedulerOptions;
  /** Oldest first, so it is also in the order of deadlines: one timer, for the head, is enough. */
  readonly #queue: Waiting[] = [];
  #headTimer: NodeJS.Timeout | undefined;
  #hereFlopsMax = 0;

  constructor(pool: Pool, options: SchedulerOptions) {
    this.#pool = pool;
    this.#options = options;
  }

  /** Work up to this runs on the calling thread; what a hand-over costs, see calibrate.ts. */
  get hereFlopsMax(): number {
    return this.#hereFlopsMax;
  }

  set hereFlopsMax(flops: number) {
    this.#hereFlopsMax = flops;
  }

  /**
   * Resolves when the work is done; undefined if it is done already.
   *
   * @throws queue_full at once · deadline_exceeded · client_closed · worker_failed. In each case no thread touches
   *   the work's memory any more.
   */
  run(work: Work, lifetime: Lifetime): Promise<void> | undefined {
    if (work.flops > this.#hereFlopsMax) return this.#runElsewhere(work, lifetime);
    for (const job of work.split(1)) this.#options.runHere(job);
    return undefined;
  }

  async #runElsewhere(work: Work, lifetime: Lifetime): Promise<void> {
    const jobs = work.split(this.#partCount(work));
    // Every part is waited for, also when one has failed: until then its rows are being written.
    const flops = work.flops / jobs.length;
    const isLast = work.isLast ?? false;
    const results = await Promise.allSettled(
      jobs.map((job) => this.#submit({ job, flops, lifetime }, isLast)),
    );
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  /** To be called when a worker has become idle. What is overdue is refused: no worker is to take it. */
  dispatch(): void {
    for (;;) {
      this.#refuseOverdue();
      const head = this.#queue[0];
      if (!head) break;
      const run = this.#tryRun(head);
      if (!run) break;
      this.#queue.shift();
      head.resolve(run);
    }
    this.#watchHead();
  }

  #partCount({ flops, partsMax }: Work): number {
    if (this.#queue.length > 0 || this.#hereFlopsMax === 0) return 1;
    const worthwhile = Math.floor(flops / (PART_HAND_OVERS * this.#hereFlopsMax));
    return Math.max(1, Math.min(partsMax, worthwhile, this.#pool.idleCount));
  }

  async #submit(part: Part, isLast: boolean): Promise<void> {
    const { queueJobsMax } = this.#options;
    const run = this.#queue.length === 0 ? this.#tryRun(part) : undefined;
    if (!run && this.#queue.length >= queueJobsMax && !isLast) {
      throw new CarryoverError('queue_full', {
        detail: `${queueJobsMax} requests are waiting already; this one was not started.`,
      });
    }
    let outcome = await (run ?? this.#wait(part, 'last'));
    while (outcome === 'not started') outcome = await this.#wait(part, 'first');
  }

  #tryRun(part: Part): Promise<Outcome> | undefined {
    const aheadFlopsMax = AHEAD_HAND_OVERS * this.#hereFlopsMax;
    return this.#pool.tryRun(part.job, part.lifetime.remainingMs(), part.flops, aheadFlopsMax);
  }

  #wait(part: Part, place: 'first' | 'last'): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      const waiting = { ...part, resolve, reject };
      if (place === 'first') this.#queue.unshift(waiting);
      else this.#queue.push(waiting);
      this.dispatch();
    });
  }

  #watchHead(): void {
    clearTimeout(this.#headTimer);
    const head = this.#queue[0];
    if (head) this.#headTimer = setTimeout(() => this.dispatch(), head.lifetime.remainingMs());
  }

  #refuseOverdue(): void {
    while (this.#queue[0]?.lifetime.isOver) {
      const { reject, lifetime } = this.#queue.shift()!;
      reject(lifetime.error());
    }
  }
}
