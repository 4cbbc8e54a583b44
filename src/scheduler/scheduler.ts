// Decides where, when and whether work is done.
//
// Where: work that costs less than its dispatch to a worker runs inline, on the calling thread, at once. A large
// mini-batch is split into parts for several idle workers; all other work is dispatched to one worker. Long work is
// dispatched in time slices (slice-length.ts), so that other work can run in between and that it stops soon after its
// client has gone. JSON documents and host functions are not sliced. A worker gets its next slice before it has
// computed the one before.
//
// When: by weighted fair queueing (fair-queue.ts): each connection (lifetime.client) has an equal share of the workers.
// The work of one client is done in its order of arrival. Work that completes a request, such as printing its
// response, goes first: if it missed the deadline, all that was computed for the request before would be wasted.
//
// Whether (load-shedding.ts): work is refused on arrival if, with the backlog before it, it would probably miss its
// deadline; it is dropped before it begins, and between slices, if it will miss it. So under
// overload some requests fail as soon as they arrive, and the accepted ones are still answered in time. costs.ts
// estimates how long work takes.
//
// Together: steps of one model that wait at the same moment are computed as one mini-batch (shared-batches.ts).
//
// No bit of a result depends on any of this: a row has the same bits whatever is computed beside it.
import { CarryoverError } from '../errors.ts';
import type { Lifetime } from '../lifetime.ts';
import type { JobOutcome, PoolWorker } from '../pool/pool-worker.ts';
import type { Pool } from '../pool/pool.ts';
import type { Slice } from '../wasm/job-slices.ts';
import { Backlog } from './backlog.ts';
import { type Cost, Costs, type Speeds } from './costs.ts';
import { FairQueue } from './fair-queue.ts';
import { LoadShedding, WORKER_BACKLOG_SLICES } from './load-shedding.ts';
import { Part, type Slices, SingleSlice } from './part.ts';
import { exceedsTimeLimit } from './refusals.ts';
import { SharedBatches } from './shared-batches.ts';
import type { SharedJob, SharedStep } from './shared-step.ts';
import { SliceLength, TIME_SLICE_MS } from './slice-length.ts';

export interface SchedulerOptions {
  /** How many parts may wait for a worker; further work is refused with queue_full. */
  readonly queueJobsMax: number;
  /** Most rows of a mini-batch of steps of several requests; 1 if they are not to share any. */
  readonly sharedRowsMax: number;
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
/** Shorter work is not sliced. */
const SLICED_MS_MIN = 1.5 * TIME_SLICE_MS;
/** The share of a request's time that computing may take: the rest is for receiving, waiting and sending. */
const COMPUTING_SHARE = 1 / 2;

export class Scheduler {
  /** Which steps are computed together, and how many were. */
  readonly shared: SharedBatches;
  readonly #pool: Pool;
  readonly #options: SchedulerOptions;
  readonly #costs = new Costs();
  readonly #queue = new FairQueue<Part>();
  readonly #backlog: Backlog;
  readonly #shedding: LoadShedding;
  readonly #sliceLength = new SliceLength();
  #inlineFlopsMax = 0;

  constructor(pool: Pool, options: SchedulerOptions) {
    this.#pool = pool;
    this.#options = options;
    this.#backlog = new Backlog(pool, this.#queue);
    this.#shedding = new LoadShedding(pool, this.#queue, this.#backlog, options.queueJobsMax);
    this.shared = new SharedBatches({ rowsMax: options.sharedRowsMax, msMax: TIME_SLICE_MS, costs: this.#costs });
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
    return this.#backlog.waitingCount;
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
   * @param step returns the work as a step that can be computed together with others, if it is one
   * @throws queue_full on arrival · deadline_exceeded · client_closed · worker_failed. In each case no thread
   *   accesses the work's memory any more.
   */
  run(work: Work, lifetime: Lifetime, step?: () => SharedStep): Promise<void> | undefined {
    if (work.flops > this.#inlineFlopsMax) return this.#runOnWorkers(work, lifetime, step?.());
    for (const job of work.split(1)) this.#options.runInline(job);
    return undefined;
  }

  async #runOnWorkers(work: Work, lifetime: Lifetime, given?: SharedStep): Promise<void> {
    lifetime.throwIfOver();
    const step = given && this.shared.takes(given) ? given : undefined;
    const ms = (step && this.shared.addedMsOf(step)) ?? this.#costs.msOf(work.cost ?? work);
    const count = this.#partCount(work);
    if (!work.completesRequest) this.#shedding.expectInTime(ms / count, lifetime);
    const isLong = ms > SLICED_MS_MIN * count;
    if (work.slice && !isLong) this.#sliceLength.noteWhole(ms / count);
    const parts = (isLong && work.slice?.(count)) || work.split(count).map((job) => new SingleSlice(job));
    if (parts.length === 1) return this.#submit(work, lifetime, parts[0]!, 1, ms, isLong ? undefined : step);
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

  #submit(
    work: Work,
    lifetime: Lifetime,
    slices: Slices,
    share: number,
    estimateMs: number,
    step?: SharedStep,
  ): Promise<void> {
    const completesRequest = work.completesRequest ?? false;
    const cost = work.cost ?? work;
    const position = this.#queue.positionFor(lifetime, estimateMs, completesRequest);
    return new Promise((resolve, reject) => {
      const settle = (error: CarryoverError | undefined) => (error ? reject(error) : resolve());
      const part = new Part({ position, lifetime, slices, cost, share, estimateMs, completesRequest, settle, step });
      this.#queue.enter(position, estimateMs);
      this.#queue.put(part);
      this.#backlog.waitingCount++;
      this.dispatch();
      if (part.hasMore) part.removeEndListener = lifetime.onEnd(() => this.#giveUp(part, lifetime.error()));
    });
  }

  /** Dispatches slices to workers that accept them. To be called whenever a worker accepts more. */
  dispatch(): void {
    let backlogMsMax = WORKER_BACKLOG_SLICES * TIME_SLICE_MS;
    for (let at = 0; at < this.#queue.length; ) {
      const part = this.#queue.at(at);
      const error = this.#shedding.refusalOf(part);
      if (error) {
        this.#giveUp(part, error);
        continue;
      }
      // Also of what comes behind it, which would overtake it otherwise.
      if (part.isSliced) backlogMsMax = WORKER_BACKLOG_SLICES * this.#sliceLength.ms;
      const { worker = this.#pool.available(backlogMsMax) } = part;
      if (!worker) return;
      if (part.isFull || !worker.acceptsJobs || worker.backlogMs() >= backlogMsMax) at++;
      else if (!part.step) this.#dispatchSlice(part, worker);
      else if (this.shared.mustWait(part.step, this.#pool.readyCount)) at++;
      else this.#dispatchSteps(part, part.step, worker);
    }
  }

  /** Dispatches a step, with the others of its model that are queued. */
  #dispatchSteps(first: Part, step: SharedStep, worker: PoolWorker): void {
    const parts = this.shared.choose(first, this.#queue.entries());
    const job = parts.length > 1 ? joined(parts) : undefined;
    this.shared.begun(step);
    if (!job) return this.#dispatchSlice(first, worker, () => this.shared.ended(step));
    const slices = parts.map((part) => this.#take(part, worker));
    const ms = this.#costs.msOf(job.cost);
    this.#backlog.dispatched(ms);
    worker.run(job.ptr, ms, (outcome) => {
      const isDone = typeof outcome === 'number';
      if (isDone) job.deliver();
      job.release();
      this.shared.ended(step);
      this.#backlog.done(ms);
      if (isDone) {
        this.#costs.learn(job.cost, 1, outcome);
        this.#queue.serve(ms);
        this.shared.count(parts.length);
      }
      for (const [k, part] of parts.entries()) {
        part.settleSlice(slices[k]!, isDone ? outcome : undefined);
        // Which of them the batch failed for is not known. It has changed nothing of them, so each is computed by itself.
        part.isAlone ||= outcome instanceof CarryoverError;
        if (part.hasMore) this.#queue.put(part);
        else if (!part.isRunning) this.#finish(part);
      }
      if (!isDone) this.dispatch();
    });
  }

  #dispatchSlice(part: Part, worker: PoolWorker, onEnd?: () => void): void {
    const slice = this.#take(part, worker);
    const ms = part.estimateMs * slice.share;
    this.#backlog.dispatched(ms);
    worker.run(slice.ptr, ms, (outcome) => {
      onEnd?.();
      this.#settleSlice(part, slice, ms, outcome);
    });
  }

  /** The next slice of a part, which leaves the queue with its last one. */
  #take(part: Part, worker: PoolWorker): Slice {
    if (!part.hasBegun) this.#backlog.waitingCount--;
    const slice = part.take(worker, this.#sliceLength.ms);
    if (!part.hasMore) this.#queue.remove(part);
    return slice;
  }

  #settleSlice(part: Part, slice: Slice, ms: number, outcome: JobOutcome): void {
    this.#backlog.done(ms);
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
    if (!part.hasBegun) this.#backlog.waitingCount--;
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

/** A job that computes the steps of all parts; undefined if there is no memory for it: then each is computed by itself. */
function joined(parts: readonly Part[]): SharedJob | undefined {
  const [first, ...others] = parts.map(({ step }) => step!);
  try {
    return first!.join(others);
  } catch (error) {
    if (error instanceof CarryoverError && error.code === 'memory_full') return undefined;
    throw error;
  }
}
