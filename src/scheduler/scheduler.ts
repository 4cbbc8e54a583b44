// Decides where, when and whether work is done.
//
// Where: work that costs less than its dispatch to a worker runs inline, on the calling thread, at once. A large
// mini-batch is split into parts for several idle workers; all other work is dispatched to one worker. Long work is
// dispatched in time slices of TIME_SLICE_MS, so that other work can run in between and that it stops soon after its
// client has gone. JSON documents and host functions are not sliced. A worker gets its next slice before it has
// computed the one before.
//
// When: by weighted fair queueing (fair-queue.ts): each connection (lifetime.client) has an equal share of the workers.
// The work of one client is done in its order of arrival. Work that completes a request, such as printing its
// response, goes first: if it missed the deadline, all that was computed for the request before would be wasted.
//
// Whether (load shedding): work is refused on arrival if, with the backlog before it, it would probably miss its
// deadline; it is dropped before it begins, and between slices, if it will miss it. So under
// overload some requests fail as soon as they arrive, and the accepted ones are still answered in time. costs.ts
// estimates how long work takes.
//
// No bit of a result depends on any of this: a row has the same bits whatever is computed beside it.
import { CarryoverError } from '../errors.ts';
import type { Lifetime } from '../lifetime.ts';
import type { JobOutcome, PoolWorker } from '../pool/pool-worker.ts';
import type { Pool } from '../pool/pool.ts';
import type { Slice } from '../wasm/job-slices.ts';
import { type Cost, Costs, type Speeds } from './costs.ts';
import { FairQueue, type QueuePosition, isBefore } from './fair-queue.ts';
import { Part, type Slices, SingleSlice } from './part.ts';
import { exceedsTimeLimit, queueFull, clientQueueFull, deadlineUnreachable, backlogTooLong } from './refusals.ts';
import { RetryTimes } from './retry-times.ts';

export interface SchedulerOptions {
  /** How many parts may wait for a worker; further work is refused with queue_full. */
  readonly queueJobsMax: number;
  /** Runs the job at an address on this thread. */
  readonly runInline: (job: number) => void;
}

/** Work that can run as a whole, or in parts that write to different rows. */
export interface Work {
  /** Operations, in the unit of Cost.flops; up to inlineFlopsMax it runs inline. */
  readonly flops: number;
  /** If absent, it is estimated as `flops` operations of a step. */
  readonly cost?: Cost;
  /** The most parts into which it can be split. */
  readonly partsMax: number;
  /**
   * Whether it is the last work before the response of its request, such as printing it: it goes first, and is never
   * refused for the backlog.
   */
  readonly completesRequest?: boolean;
  /** The addresses of `count` job records, which together are the whole. */
  split(count: number): readonly number[];
  /** The same parts, to be computed in slices; absent if it cannot be sliced. */
  slice?(count: number): readonly Slices[];
}

/** A part costs at least this many times its dispatch. */
const PART_DISPATCHES_MIN = 10;
/** Short beside the time a request may wait, and long beside a dispatch (tens of microseconds). */
const TIME_SLICE_MS = 10;
/** Shorter work is not sliced. */
const SLICED_MS_MIN = 1.5 * TIME_SLICE_MS;
/** A worker with a shorter backlog is given another slice, which waits while the one before it is computed. */
const WORKER_BACKLOG_MS = 1.2 * TIME_SLICE_MS;
/** The share of the queue that one client may occupy. */
const CLIENT_QUEUE_SHARE = 1 / 4;
/** The share that all clients of one tenant may occupy: others find space then. */
const GROUP_QUEUE_SHARE = 3 / 4;
/** The share of a request's time that computing may take: the rest is for receiving, waiting and sending. */
const COMPUTING_SHARE = 1 / 2;
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

export class Scheduler {
  readonly #pool: Pool;
  readonly #options: SchedulerOptions;
  readonly #costs = new Costs();
  readonly #queue = new FairQueue<Part>();
  readonly #retryTimes = new RetryTimes();
  /** Parts that have not begun. */
  #waitingCount = 0;
  /** The estimates of all slices that workers have, in ms. */
  #dispatchedMs = 0;
  #inlineFlopsMax = 0;

  constructor(pool: Pool, options: SchedulerOptions) {
    this.#pool = pool;
    this.#options = options;
  }

  /** Work of up to this many operations runs inline: they cost as much as a dispatch (calibrate.ts). */
  get inlineFlopsMax(): number {
    return this.#inlineFlopsMax;
  }

  set inlineFlopsMax(flops: number) {
    this.#inlineFlopsMax = flops;
  }

  /** Parts of work that wait for a worker and have not begun. */
  get waitingCount(): number {
    return this.#waitingCount;
  }

  /** Until they are set, all work is estimated to take 0 ms. */
  set speeds(speeds: Speeds) {
    this.#costs.speeds = speeds;
  }

  /**
   * Checks the cost of a request before anything is allocated for it.
   *
   * @throws limit_exceeded if it would take too long on idle workers
   */
  expectPossible(cost: Cost, partsMax: number, { msMax }: Lifetime): void {
    if (cost.flops <= this.#inlineFlopsMax) return;
    const parts = Math.max(1, Math.min(partsMax, this.#pool.readyCount));
    const ms = this.#costs.atStartMsOf(cost) / parts;
    const allowedMs = msMax * COMPUTING_SHARE;
    if (ms > allowedMs) throw exceedsTimeLimit(cost, ms, allowedMs);
  }

  /**
   * Runs the work: inline, and then returns undefined, or on workers, and then resolves when it is done.
   *
   * @throws queue_full on arrival · deadline_exceeded · client_closed · worker_failed. In each case no thread
   *   accesses the work's memory any more.
   */
  run(work: Work, lifetime: Lifetime): Promise<void> | undefined {
    if (work.flops > this.#inlineFlopsMax) return this.#runOnWorkers(work, lifetime);
    for (const job of work.split(1)) this.#options.runInline(job);
    return undefined;
  }

  async #runOnWorkers(work: Work, lifetime: Lifetime): Promise<void> {
    lifetime.throwIfOver();
    const ms = this.#costs.msOf(work.cost ?? work);
    const count = this.#partCount(work);
    if (!work.completesRequest) this.#admit(ms / count, lifetime);
    const isLong = ms > SLICED_MS_MIN * count;
    const parts = (isLong && work.slice?.(count)) || work.split(count).map((job) => new SingleSlice(job));
    if (parts.length === 1) return this.#submit(work, lifetime, parts[0]!, 1, ms);
    // All parts are awaited even if one has failed: until then the workers write to the job's memory.
    const share = 1 / parts.length;
    const results = await Promise.allSettled(
      parts.map((slices) => this.#submit(work, lifetime, slices, share, ms * share)),
    );
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  #partCount({ flops, partsMax }: Work): number {
    if (this.#queue.length > 0 || this.#inlineFlopsMax === 0) return 1;
    const worthwhile = Math.floor(flops / (PART_DISPATCHES_MIN * this.#inlineFlopsMax));
    return Math.max(1, Math.min(partsMax, worthwhile, this.#pool.idleCount));
  }

  /** Load shedding on arrival. @throws queue_full · deadline_exceeded */
  #admit(ms: number, lifetime: Lifetime): void {
    // With idle workers even work that seems to take too long runs: a wrong estimate is corrected by measuring it.
    if (this.#queue.length === 0 && this.#areWorkersIdle) return;
    const remainingMs = lifetime.remainingMs();
    if (ms * BEGIN_SLACK > remainingMs) throw deadlineUnreachable(ms, remainingMs, this.#backlogMs(undefined));
    if (this.#queue.length === 0 && this.#pool.available(WORKER_BACKLOG_MS)) return;
    const { queueJobsMax } = this.#options;
    if (this.#waitingCount >= queueJobsMax) {
      // When half of the backlog is done, there is space again.
      throw queueFull(queueJobsMax, this.#retryAfterMs(this.#backlogMs(undefined) / 2, ms));
    }
    const { client, group } = lifetime;
    const clientMax = Math.ceil(queueJobsMax * CLIENT_QUEUE_SHARE);
    if (this.#queue.countOf(client) > clientMax) throw clientQueueFull(clientMax, ms * clientMax);
    const groupMax = Math.ceil(queueJobsMax * GROUP_QUEUE_SHARE);
    if (this.#queue.countOfGroup(group) > groupMax) throw clientQueueFull(groupMax, ms * groupMax);
    const backlogMs = this.#backlogMs(this.#queue.positionFor(lifetime, ms, false));
    const lateMs = backlogMs + ms - remainingMs * ACCEPTED_SHARE;
    if (lateMs > 0) throw backlogTooLong(ms, backlogMs, remainingMs, this.#retryAfterMs(lateMs, ms));
  }

  #retryAfterMs(soonestMs: number, ms: number): number {
    return this.#retryTimes.next(soonestMs, ms / Math.max(1, this.#pool.readyCount));
  }

  /** Whether the workers have less than a time slice of work altogether. */
  get #areWorkersIdle(): boolean {
    return this.#dispatchedMs < TIME_SLICE_MS;
  }

  /**
   * In how many ms the workers do what they have and what is queued before `position`; all that is queued if undefined.
   */
  #backlogMs(position: QueuePosition | undefined): number {
    let ms = this.#dispatchedMs;
    for (const part of this.#queue.entries()) {
      if (position && !isBefore(part, position)) break;
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
    const completesRequest = work.completesRequest ?? false;
    const cost = work.cost ?? work;
    const position = this.#queue.positionFor(lifetime, estimateMs, completesRequest);
    return new Promise((resolve, reject) => {
      const settle = (error: CarryoverError | undefined) => (error ? reject(error) : resolve());
      const part = new Part({ position, lifetime, slices, cost, share, estimateMs, completesRequest, settle });
      this.#queue.enter(position, estimateMs);
      this.#queue.put(part);
      this.#waitingCount++;
      this.dispatch();
      if (part.hasMore) part.removeEndListener = lifetime.onEnd(() => this.#giveUp(part, lifetime.error()));
    });
  }

  /** Dispatches slices to workers that accept them. To be called whenever a worker accepts more. */
  dispatch(): void {
    for (let at = 0; at < this.#queue.length; ) {
      const part = this.#queue.at(at);
      const error = this.#refusalOf(part);
      if (error) {
        this.#giveUp(part, error);
        continue;
      }
      const { worker = this.#pool.available(WORKER_BACKLOG_MS) } = part;
      if (!worker) return;
      if (part.isFull || !worker.acceptsJobs || worker.backlogMs() >= WORKER_BACKLOG_MS) at++;
      else this.#dispatchSlice(part, worker);
    }
  }

  /** Load shedding in the queue: the error with which a part is dropped as it would miss its deadline, or undefined. */
  #refusalOf(part: Part): CarryoverError | undefined {
    const { lifetime, leftMs, completesRequest } = part;
    const remainingMs = lifetime.remainingMs();
    const neededMs = leftMs * BEGIN_SLACK + lifetime.msMax * ANSWERING_SHARE;
    if (remainingMs === 0) return lifetime.error();
    if (completesRequest) return undefined;
    const isTooLate = part.hasBegun
      ? part.isMeasured && leftMs > GIVE_UP_FACTOR * remainingMs
      : neededMs > remainingMs && !(this.#queue.length === 1 && this.#areWorkersIdle);
    return isTooLate ? deadlineUnreachable(leftMs, remainingMs, this.#backlogMs(undefined)) : undefined;
  }

  #dispatchSlice(part: Part, worker: PoolWorker): void {
    if (!part.hasBegun) this.#waitingCount--;
    const slice = part.take(worker, TIME_SLICE_MS);
    const ms = part.estimateMs * slice.share;
    this.#dispatchedMs += ms;
    if (!part.hasMore) this.#queue.remove(part);
    worker.run(slice.ptr, ms, (outcome) => this.#settleSlice(part, slice, ms, outcome));
  }

  #settleSlice(part: Part, slice: Slice, ms: number, outcome: JobOutcome): void {
    this.#dispatchedMs = Math.max(0, this.#dispatchedMs - ms);
    const wasQueued = part.hasMore;
    const isDone = typeof outcome === 'number';
    part.settleSlice(slice, isDone ? outcome : undefined);
    if (outcome instanceof CarryoverError) return this.#giveUp(part, outcome);
    if (isDone) {
      this.#costs.learn(part.cost, part.share * slice.share, outcome);
      this.#queue.serve(ms);
    } else if (!wasQueued && part.hasMore) this.#queue.put(part);
    if (!part.isRunning && !part.hasMore) this.#finish(part);
    if (!isDone) this.dispatch();
  }

  /** Ends a part with an error. No further slice is dispatched; those that are running are awaited. */
  #giveUp(part: Part, error: CarryoverError): void {
    this.#queue.remove(part);
    if (!part.hasBegun) this.#waitingCount--;
    part.endWaiting();
    part.error ??= error;
    if (!part.isRunning) this.#finish(part);
  }

  #finish(part: Part): void {
    part.removeEndListener?.();
    part.lifetime.record.queueMs += part.waitedMs * part.share;
    this.#queue.leave(part);
    part.settle(part.error);
  }
}
