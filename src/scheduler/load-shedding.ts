// Which work is not done because it would miss its deadline: refused when it arrives, or dropped later. Work that is begun
// and not ended in time would have taken the place of other work for nothing.
import type { CarryoverError } from '../errors.ts';
import type { Lifetime } from '../lifetime.ts';
import type { Pool } from '../pool/pool.ts';
import type { Backlog } from './backlog.ts';
import type { FairQueue } from './fair-queue.ts';
import type { Part } from './part.ts';
import { backlogTooLong, clientQueueFull, deadlineUnreachable, queueFull } from './refusals.ts';
import { RetryTimes } from './retry-times.ts';
import { TIME_SLICE_MS } from './slice-length.ts';

/** A worker with a shorter backlog, in slices, is given another one, which waits while the one before it is computed. */
export const WORKER_BACKLOG_SLICES = 1.2;
/** The share of the queue that one client may occupy. */
const CLIENT_QUEUE_SHARE = 1 / 4;
/** The share that all clients of one tenant may occupy: others find space then. */
const GROUP_QUEUE_SHARE = 3 / 4;
/**
 * Work is accepted if its estimated end is within this share of its remaining time: then it is still in time if the
 * workers become slower meanwhile. A longer queue would not raise the throughput.
 */
const ACCEPTED_SHARE = 0.6;
/** Work begins only if this many times its estimate is left: work that is begun and not ended is wasted. */
const BEGIN_SLACK = 1.5;
/** The share of a request's time that is reserved for printing and sending the response. */
const ANSWERING_SHARE = 0.05;
/** Work that has begun is dropped if it will take this many times what is left of its time. */
const GIVE_UP_FACTOR = 2;

export class LoadShedding {
  readonly #pool: Pool;
  readonly #queue: FairQueue<Part>;
  readonly #backlog: Backlog;
  readonly #queueJobsMax: number;
  readonly #retryTimes = new RetryTimes();

  constructor(pool: Pool, queue: FairQueue<Part>, backlog: Backlog, queueJobsMax: number) {
    this.#pool = pool;
    this.#queue = queue;
    this.#backlog = backlog;
    this.#queueJobsMax = queueJobsMax;
  }

  /** Of work that arrives. @throws queue_full · deadline_exceeded if it would probably miss its deadline */
  expectInTime(ms: number, lifetime: Lifetime): void {
    // With idle workers even work that seems to take too long runs: a wrong estimate is corrected by measuring it.
    if (this.#queue.length === 0 && this.#backlog.areWorkersIdle) return;
    const remainingMs = lifetime.remainingMs();
    if (ms * BEGIN_SLACK > remainingMs) throw deadlineUnreachable(ms, remainingMs, this.#backlog.msBefore());
    if (this.#queue.length === 0 && this.#pool.available(WORKER_BACKLOG_SLICES * TIME_SLICE_MS)) return;
    if (this.#backlog.waitingCount >= this.#queueJobsMax) {
      // When half of the backlog is done, there is space again.
      throw queueFull(this.#queueJobsMax, this.#retryAfterMs(this.#backlog.msBefore() / 2, ms));
    }
    this.#expectShare(ms, lifetime);
    const backlogMs = this.#backlog.msBefore(this.#queue.positionFor(lifetime, ms, false));
    const lateMs = backlogMs + ms - remainingMs * ACCEPTED_SHARE;
    if (lateMs > 0) throw backlogTooLong(ms, backlogMs, remainingMs, this.#retryAfterMs(lateMs, ms));
  }

  /** Of work in the queue: the error with which a part is dropped as it would miss its deadline, or undefined. */
  refusalOf(part: Part): CarryoverError | undefined {
    const { lifetime, leftMs, completesRequest } = part;
    const remainingMs = lifetime.remainingMs();
    const neededMs = leftMs * BEGIN_SLACK + lifetime.msMax * ANSWERING_SHARE;
    if (remainingMs === 0) return lifetime.error();
    if (completesRequest) return undefined;
    const isTooLate = part.hasBegun
      ? part.isMeasured && leftMs > GIVE_UP_FACTOR * remainingMs
      : neededMs > remainingMs && !(this.#queue.length === 1 && this.#backlog.areWorkersIdle);
    return isTooLate ? deadlineUnreachable(leftMs, remainingMs, this.#backlog.msBefore()) : undefined;
  }

  /** @throws queue_full if the client, or all of its tenant, have their share of the queue */
  #expectShare(ms: number, { client, group }: Lifetime): void {
    const clientMax = Math.ceil(this.#queueJobsMax * CLIENT_QUEUE_SHARE);
    if (this.#queue.countOf(client) > clientMax) throw clientQueueFull(clientMax, ms * clientMax);
    const groupMax = Math.ceil(this.#queueJobsMax * GROUP_QUEUE_SHARE);
    if (this.#queue.countOfGroup(group) > groupMax) throw clientQueueFull(groupMax, ms * groupMax);
  }

  #retryAfterMs(soonestMs: number, ms: number): number {
    return this.#retryTimes.next(soonestMs, ms / Math.max(1, this.#pool.readyCount));
  }
}
