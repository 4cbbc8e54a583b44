// Decides where, when and whether work is done.
//
// Where: work that costs less than handing it over is done here, on the calling thread, at once; a large
// mini-batch by several idle workers, each taking some of the rows; all else by one worker. Long work is
// done in slices of some SLICE_MS, so that others get their turn, and it stops soon when nobody wants it
// any more; texts and functions of the host are not cut. A worker is given its next slice while it computes one.
//
// When: in the order of fair-queue.ts, in which each connection (lifetime.client) has an equal share of the
// workers: the slices of a client with much work let those of others pass. Of one client, first come, first
// served. The last work of a request goes before all others: what was done for it would be lost.
//
// Whether: work is refused on arrival if it could not be done by its deadline, given what is ahead of it; and
// before it begins, and between slices, if it can no longer be. So overload costs those that are
// refused, at once, and not those that are accepted. How long work takes is estimated by costs.ts.
//
// None of this changes a bit: a row's result does not depend on what runs beside it.
import { CarryoverError } from '../errors.ts';
import type { Lifetime } from '../lifetime.ts';
import type { Outcome, PoolWorker } from '../pool/pool-worker.ts';
import type { Pool } from '../pool/pool.ts';
import { type Cost, Costs, type Speeds } from './costs.ts';
import { FairQueue, type Place, isBefore } from './fair-queue.ts';
import { Part, type Slice, type Slices, Whole } from './part.ts';
import { neverInTime, queueFull, shareFull, tooLate, backlogTooLong } from './refusals.ts';
import { RetryTimes } from './retry-times.ts';

export interface SchedulerOptions {
  /** Requests that may wait for a worker; one more is refused with queue_full. */
  readonly queueJobsMax: number;
  /** Runs the job at an address on this thread. */
  readonly runInline: (job: number) => void;
}

/** Work that can run as a whole or in parts that touch different rows. */
export interface Work {
  /** Decides whether it is done here. */
  readonly flops: number;
  /** If absent, it takes as long as so many flops of a step. */
  readonly cost?: Cost;
  /** At most so many parts make sense. */
  readonly partsMax: number;
  /** The last work of a request is not refused: what was done would be lost. */
  readonly isLast?: boolean;
  /** Addresses of job records, `count` of them, that together are the whole. */
  split(count: number): readonly number[];
  /** The same parts in slices, if it can be cut. */
  slice?(count: number): readonly Slices[];
}

/** A part should be worth many times its hand-over. */
const PART_HAND_OVERS = 10;
/** Short enough that others need not wait, long enough that handing it over costs nothing beside it. */
const SLICE_MS = 10;
/** Work that takes less is not cut. */
const LONG_MS = 1.5 * SLICE_MS;
/** A worker with less than this under way is given more: one slice behind the one it computes. */
const AHEAD_MS = 1.2 * SLICE_MS;
/** Of the queue, that one client may take. */
const CLIENT_QUEUE_SHARE = 1 / 4;
/** Computing may take so much of a request's time at most: the rest is for all else that is done for it. */
const COMPUTING_SHARE = 1 / 2;
/**
 * Work is accepted if it should be done in so much of the time it has, so that none of it is lost when the
 * workers become slower meanwhile. A longer queue would not make them do more.
 */
const ACCEPTED_SHARE = 0.6;
/** It begins if so many times what it takes is left: begun and not ended would be worse than not begun. */
const BEGIN_SLACK = 1.5;
/** Of its time, for printing and sending what was computed. */
const ANSWERING_SHARE = 0.05;
/** Work that has begun is given up if it will take so many times what is left of its time. */
const GIVE_UP_FACTOR = 2;

export class Scheduler {
  readonly #pool: Pool;
  readonly #options: SchedulerOptions;
  readonly #costs = new Costs();
  readonly #queue = new FairQueue<Part>();
  readonly #retryTimes = new RetryTimes();
  /** Parts that have not begun. */
  #waitingCount = 0;
  /** Estimated, of the slices that workers have. */
  #handedOverMs = 0;
  #inlineFlopsMax = 0;

  constructor(pool: Pool, options: SchedulerOptions) {
    this.#pool = pool;
    this.#options = options;
  }

  /** Work up to this runs on the calling thread; what a hand-over costs, see calibrate.ts. */
  get inlineFlopsMax(): number {
    return this.#inlineFlopsMax;
  }

  set inlineFlopsMax(flops: number) {
    this.#inlineFlopsMax = flops;
  }

  /** Until they are set, work is taken to be done in no time. */
  set speeds(speeds: Speeds) {
    this.#costs.speeds = speeds;
  }

  /**
   * To be called before anything is allocated for the work.
   *
   * @throws limit_exceeded if it would take too long even if there were nothing else to do
   */
  expectPossible(cost: Cost, partsMax: number, { msMax }: Lifetime): void {
    if (cost.flops <= this.#inlineFlopsMax) return;
    const parts = Math.max(1, Math.min(partsMax, this.#pool.readyCount));
    const ms = this.#costs.atStartMsOf(cost) / parts;
    const allowedMs = msMax * COMPUTING_SHARE;
    if (ms > allowedMs) throw neverInTime(cost, ms, allowedMs);
  }

  /**
   * Resolves when the work is done; undefined if it is done already.
   *
   * @throws queue_full at once · deadline_exceeded · client_closed · worker_failed. In each case no thread
   *   touches the work's memory any more.
   */
  run(work: Work, lifetime: Lifetime): Promise<void> | undefined {
    if (work.flops > this.#inlineFlopsMax) return this.#runElsewhere(work, lifetime);
    for (const job of work.split(1)) this.#options.runInline(job);
    return undefined;
  }

  async #runElsewhere(work: Work, lifetime: Lifetime): Promise<void> {
    lifetime.throwIfOver();
    const ms = this.#costs.msOf(work.cost ?? work);
    const count = this.#partCount(work);
    if (!work.isLast) this.#admit(ms / count, lifetime);
    const isLong = ms > LONG_MS * count;
    const parts = (isLong && work.slice?.(count)) || work.split(count).map((job) => new Whole(job));
    if (parts.length === 1) return this.#submit(work, lifetime, parts[0]!, 1, ms);
    // Every part is waited for, also when one has failed: until then its rows are being written.
    const share = 1 / parts.length;
    const results = await Promise.allSettled(
      parts.map((slices) => this.#submit(work, lifetime, slices, share, ms * share)),
    );
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  #partCount({ flops, partsMax }: Work): number {
    if (this.#queue.length > 0 || this.#inlineFlopsMax === 0) return 1;
    const worthwhile = Math.floor(flops / (PART_HAND_OVERS * this.#inlineFlopsMax));
    return Math.max(1, Math.min(partsMax, worthwhile, this.#pool.idleCount));
  }

  /** @throws queue_full · deadline_exceeded */
  #admit(ms: number, lifetime: Lifetime): void {
    // Estimates are corrected by what is computed: if there is nothing else to do, it shows how long it takes.
    if (this.#queue.length === 0 && this.#isWaitless) return;
    const remainingMs = lifetime.remainingMs();
    if (ms * BEGIN_SLACK > remainingMs) throw tooLate(ms, remainingMs, this.#aheadMs(undefined));
    if (this.#queue.length === 0 && this.#pool.free(AHEAD_MS)) return;
    const { queueJobsMax } = this.#options;
    if (this.#waitingCount >= queueJobsMax) {
      // By then half of them are done.
      throw queueFull(queueJobsMax, this.#retryAfterMs(this.#aheadMs(undefined) / 2, ms));
    }
    const { client } = lifetime;
    const clientMax = Math.ceil(queueJobsMax * CLIENT_QUEUE_SHARE);
    if (this.#queue.countOf(client) > clientMax) throw shareFull(clientMax, ms * clientMax);
    const aheadMs = this.#aheadMs(this.#queue.placeFor(client, ms, false));
    const lateMs = aheadMs + ms - remainingMs * ACCEPTED_SHARE;
    if (lateMs > 0) throw backlogTooLong(ms, aheadMs, remainingMs, this.#retryAfterMs(lateMs, ms));
  }

  #retryAfterMs(soonestMs: number, ms: number): number {
    return this.#retryTimes.next(soonestMs, ms / Math.max(1, this.#pool.readyCount));
  }

  /** Whether no worker has anything to do that takes time. */
  get #isWaitless(): boolean {
    return this.#handedOverMs < SLICE_MS;
  }

  /** How long the workers take for what they have and what is before a place; before all, if there is none. */
  #aheadMs(place: Place | undefined): number {
    let ms = this.#handedOverMs;
    for (const part of this.#queue.entries()) {
      if (place && !isBefore(part, place)) break;
      ms += part.waitingMs;
    }
    return ms / Math.max(1, this.#pool.readyCount);
  }

  #submit(
    work: Work,
    lifetime: Lifetime,
    slices: Slices,
    share: number,
    estimateMs: number,
  ): Promise<void> {
    const { client } = lifetime;
    const isLast = work.isLast ?? false;
    const cost = work.cost ?? work;
    const place = this.#queue.placeFor(client, estimateMs, isLast);
    return new Promise((resolve, reject) => {
      const settle = (error: CarryoverError | undefined) => (error ? reject(error) : resolve());
      const part = new Part({ place, lifetime, slices, cost, share, estimateMs, isLast, settle });
      this.#queue.enter(client, estimateMs);
      this.#queue.put(part);
      this.#waitingCount++;
      this.dispatch();
      if (part.hasMore) part.forget = lifetime.onEnd(() => this.#giveUp(part, lifetime.error()));
    });
  }

  /** To be called when a worker can take more. */
  dispatch(): void {
    for (let at = 0; at < this.#queue.length; ) {
      const part = this.#queue.at(at);
      const error = this.#lateness(part);
      if (error) {
        this.#giveUp(part, error);
        continue;
      }
      const { worker = this.#pool.free(AHEAD_MS) } = part;
      if (!worker) return;
      if (part.isFull || !worker.takesJobs || worker.busyMs() >= AHEAD_MS) at++;
      else this.#handOver(part, worker);
    }
  }

  /** Whether there is no sense in going on with it; undefined if there is. */
  #lateness(part: Part): CarryoverError | undefined {
    const { lifetime, leftMs, isLast } = part;
    const remainingMs = lifetime.remainingMs();
    const neededMs = leftMs * BEGIN_SLACK + lifetime.msMax * ANSWERING_SHARE;
    if (remainingMs === 0) return lifetime.error();
    if (isLast) return undefined;
    const isTooLate = part.hasBegun
      ? part.isMeasured && leftMs > GIVE_UP_FACTOR * remainingMs
      : neededMs > remainingMs && !(this.#queue.length === 1 && this.#isWaitless);
    return isTooLate ? tooLate(leftMs, remainingMs, this.#aheadMs(undefined)) : undefined;
  }

  #handOver(part: Part, worker: PoolWorker): void {
    if (!part.hasBegun) this.#waitingCount--;
    const slice = part.take(worker, SLICE_MS);
    const ms = part.estimateMs * slice.share;
    this.#handedOverMs += ms;
    if (!part.hasMore) this.#queue.remove(part);
    worker.run(slice.ptr, ms, (outcome) => this.#settleSlice(part, slice, ms, outcome));
  }

  #settleSlice(part: Part, slice: Slice, ms: number, outcome: Outcome): void {
    this.#handedOverMs = Math.max(0, this.#handedOverMs - ms);
    const wasQueued = part.hasMore;
    const isDone = typeof outcome === 'number';
    part.giveBack(slice, isDone ? outcome : undefined);
    if (outcome instanceof CarryoverError) return this.#giveUp(part, outcome);
    if (isDone) {
      this.#costs.learn(part.cost, part.share * slice.share, outcome);
      this.#queue.serve(ms);
    } else if (!wasQueued && part.hasMore) this.#queue.put(part);
    if (!part.isUnderway && !part.hasMore) this.#finish(part);
    if (!isDone) this.dispatch();
  }

  /** No further slice is handed over; those under way are waited for. */
  #giveUp(part: Part, error: CarryoverError): void {
    this.#queue.remove(part);
    if (!part.hasBegun) this.#waitingCount--;
    part.hasBegun = true;
    part.error ??= error;
    if (!part.isUnderway) this.#finish(part);
  }

  #finish(part: Part): void {
    part.forget?.();
    this.#queue.leave(part.client);
    part.settle(part.error);
  }
}
