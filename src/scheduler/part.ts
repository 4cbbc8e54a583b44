// One part of a request's work: which of its slices are running, and which are still to be dispatched to a worker.
import type { CarryoverError } from '../errors.ts';
import type { Lifetime } from '../lifetime.ts';
import type { PoolWorker } from '../pool/pool-worker.ts';
import type { Slice } from '../wasm/job-slices.ts';
import type { Cost } from './costs.ts';
import type { QueuePosition } from './fair-queue.ts';
import type { SharedStep } from './shared-step.ts';
import { SLICE_MS_MIN } from './slice-length.ts';

/** A part that is sliced while it is computed: each slice continues where the previous one ends. */
export interface Slices {
  /** Whether next() has returned the last slice. */
  readonly isDone: boolean;
  /**
   * @param share of the part that the slice should have, about, 0 … 1
   * @param shareMin that a later slice may have to have
   */
  next(share: number, shareMin: number): Slice;
}

/** The estimate counts as much as so many ms of measured slices: one that was interrupted says little about the others. */
const ESTIMATE_WEIGHT_MS = 50;
/** Slices of one part at a worker: the second waits there while the first is computed. */
const RUNNING_MAX = 2;

export interface PartOptions {
  readonly position: QueuePosition;
  readonly lifetime: Lifetime;
  readonly slices: Slices;
  /** The cost of the whole work. */
  readonly cost: Cost;
  /** The part's share of the work, 0 … 1. */
  readonly share: number;
  readonly estimateMs: number;
  readonly completesRequest: boolean;
  readonly settle: (error: CarryoverError | undefined) => void;
  /** If it can be computed together with others. */
  readonly step: SharedStep | undefined;
}

export class Part implements QueuePosition {
  readonly client: object;
  readonly group: object;
  readonly finish: number;
  readonly number: number;
  readonly lifetime: Lifetime;
  readonly cost: Cost;
  readonly share: number;
  readonly estimateMs: number;
  readonly completesRequest: boolean;
  /** Ends the part, with an error or without; to be called once, when no slice is running. */
  readonly settle: (error: CarryoverError | undefined) => void;
  readonly step: SharedStep | undefined;
  /** Whether it is not to share a batch, as one that it was in has failed. */
  isAlone = false;
  hasBegun = false;
  /** If there is one, nothing more is dispatched. */
  error: CarryoverError | undefined;
  /** Removes the listener for the end of its lifetime. */
  removeEndListener: (() => void) | undefined;
  readonly #slices: Slices;
  /** Slices that a worker had not started when it ended, in their order; they are dispatched again. */
  readonly #returned: Slice[] = [];
  #worker: PoolWorker | undefined;
  #running = 0;
  #shareTaken = 0;
  #shareDone = 0;
  #tookMs = 0;
  readonly #submittedMs = performance.now();

  constructor({ position, lifetime, slices, cost, share, estimateMs, completesRequest, settle, step }: PartOptions) {
    this.client = position.client;
    this.group = position.group;
    this.finish = position.finish;
    this.number = position.number;
    this.lifetime = lifetime;
    this.#slices = slices;
    this.cost = cost;
    this.share = share;
    this.estimateMs = estimateMs;
    this.completesRequest = completesRequest;
    this.settle = settle;
    this.step = step;
  }

  get hasMore(): boolean {
    return !this.error && (this.#returned.length > 0 || !this.#slices.isDone);
  }

  get isSliced(): boolean {
    return !(this.#slices instanceof SingleSlice);
  }

  get isRunning(): boolean {
    return this.#running > 0;
  }

  /** Whether a slice has been computed, so that its speed is known. */
  get isMeasured(): boolean {
    return this.#shareDone > 0;
  }

  /** How long none of its slices has been computed since it was submitted, in ms. */
  get waitedMs(): number {
    return Math.max(0, performance.now() - this.#submittedMs - this.#tookMs);
  }

  /** How long the slices that are not done take, in ms: as estimated, and more and more at the speed of those that are done. */
  get leftMs(): number {
    const weight = Math.min(1, ESTIMATE_WEIGHT_MS / Math.max(1, this.estimateMs));
    const weightedMs = (this.#tookMs + weight * this.estimateMs) / (this.#shareDone + weight);
    // Of an estimate that is far too long the slices alone are right.
    const wholeMs = this.#shareDone > 0 ? Math.min(weightedMs, this.#tookMs / this.#shareDone) : weightedMs;
    return wholeMs * Math.max(0, 1 - this.#shareDone);
  }

  /** How long the slices that are not dispatched take, in ms, as estimated. */
  get waitingMs(): number {
    return this.estimateMs * Math.max(0, 1 - this.#shareTaken);
  }

  /** The worker with its slices, which must also get the next one to keep their order; undefined if any may. */
  get worker(): PoolWorker | undefined {
    return this.#worker;
  }

  /** Whether its worker has as many of its slices as it may have. */
  get isFull(): boolean {
    return this.#running === RUNNING_MAX;
  }

  /** To be called when its first slice is dispatched, or when none will be. */
  endWaiting(): void {
    if (this.hasBegun) return;
    this.hasBegun = true;
    this.lifetime.record.trace?.add('queue', this.#submittedMs);
  }

  /** The next slice, of about `ms`, for a worker. To be called only while hasMore. */
  take(worker: PoolWorker, ms: number): Slice {
    const shareOf = (some: number) => (this.estimateMs <= some ? 1 : some / this.estimateMs);
    const slice = this.#returned.shift() ?? this.#slices.next(shareOf(ms), shareOf(SLICE_MS_MIN));
    this.endWaiting();
    this.#shareTaken += slice.share;
    this.#worker = worker;
    this.#running++;
    return slice;
  }

  /** @param tookMs how long a slice took; undefined if it was not computed and is to be dispatched again */
  settleSlice(slice: Slice, tookMs: number | undefined): void {
    this.#running--;
    if (this.#running === 0) this.#worker = undefined;
    if (tookMs !== undefined) {
      this.#shareDone += slice.share;
      this.#tookMs += tookMs;
    } else {
      this.#shareTaken -= slice.share;
      this.#returned.push(slice);
    }
  }
}

/** A part that is a single slice. */
export class SingleSlice implements Slices {
  isDone = false;
  readonly #ptr: number;

  constructor(ptr: number) {
    this.#ptr = ptr;
  }

  next(): Slice {
    this.isDone = true;
    return { ptr: this.#ptr, share: 1 };
  }
}
