// A part of some work on its way through the workers: what of it is left to hand over, what is under way.
import type { CarryoverError } from '../errors.ts';
import type { Lifetime } from '../lifetime.ts';
import type { PoolWorker } from '../pool/pool-worker.ts';
import type { Cost } from './costs.ts';
import type { Place } from './fair-queue.ts';

export interface Slice {
  /** Address of its job record. */
  readonly ptr: number;
  /** How much of its part it is, 0 … 1. */
  readonly share: number;
}

/** A part, cut as it is computed: each slice goes on where the one before has ended. */
export interface Slices {
  /** Whether there is no further one. */
  readonly isDone: boolean;
  /** @param share about so much of the part, 0 … 1 */
  next(share: number): Slice;
}

/** Of one part; the second waits at the worker that computes the first. */
const UNDERWAY_MAX = 2;

export interface PartOptions {
  readonly place: Place;
  readonly lifetime: Lifetime;
  readonly slices: Slices;
  /** Of the whole work. */
  readonly cost: Cost;
  /** How much of the work it is, 0 … 1. */
  readonly share: number;
  readonly estimateMs: number;
  readonly isLast: boolean;
  readonly settle: (error: CarryoverError | undefined) => void;
}

export class Part implements Place {
  readonly client: object;
  readonly finish: number;
  readonly number: number;
  readonly lifetime: Lifetime;
  readonly cost: Cost;
  readonly share: number;
  readonly estimateMs: number;
  readonly isLast: boolean;
  /** To be called once, when nothing is under way. */
  readonly settle: (error: CarryoverError | undefined) => void;
  hasBegun = false;
  /** Once there is one, nothing more is handed over. */
  error: CarryoverError | undefined;
  /** Takes the listener for the end of its lifetime back. */
  forget: (() => void) | undefined;
  readonly #slices: Slices;
  /** Slices that a lost worker had not started, in their order. */
  readonly #handedBack: Slice[] = [];
  #worker: PoolWorker | undefined;
  #underway = 0;
  #shareTaken = 0;
  #shareDone = 0;
  #tookMs = 0;

  constructor({ place, lifetime, slices, cost, share, estimateMs, isLast, settle }: PartOptions) {
    this.client = place.client;
    this.finish = place.finish;
    this.number = place.number;
    this.lifetime = lifetime;
    this.#slices = slices;
    this.cost = cost;
    this.share = share;
    this.estimateMs = estimateMs;
    this.isLast = isLast;
    this.settle = settle;
  }

  get hasMore(): boolean {
    return !this.error && (this.#handedBack.length > 0 || !this.#slices.isDone);
  }

  get isUnderway(): boolean {
    return this.#underway > 0;
  }

  /** Whether some of it was done. */
  get isMeasured(): boolean {
    return this.#shareDone > 0;
  }

  /** Of what is not done yet: estimated, or at the speed of what is done. */
  get leftMs(): number {
    const wholeMs = this.#shareDone > 0 ? this.#tookMs / this.#shareDone : this.estimateMs;
    return wholeMs * Math.max(0, 1 - this.#shareDone);
  }

  /** Estimated, of what is not handed over yet. */
  get waitingMs(): number {
    return this.estimateMs * Math.max(0, 1 - this.#shareTaken);
  }

  /** Where its next slice has to be computed: behind the one before; undefined if anywhere. */
  get worker(): PoolWorker | undefined {
    return this.#worker;
  }

  get isFull(): boolean {
    return this.#underway === UNDERWAY_MAX;
  }

  /** To be called while hasMore. @param ms about so long a slice */
  take(worker: PoolWorker, ms: number): Slice {
    const share = this.estimateMs <= ms ? 1 : ms / this.estimateMs;
    const slice = this.#handedBack.shift() ?? this.#slices.next(share);
    this.hasBegun = true;
    this.#shareTaken += slice.share;
    this.#worker = worker;
    this.#underway++;
    return slice;
  }

  /** @param tookMs undefined if a slice that was taken was not computed */
  giveBack(slice: Slice, tookMs: number | undefined): void {
    this.#underway--;
    if (this.#underway === 0) this.#worker = undefined;
    if (tookMs !== undefined) {
      this.#shareDone += slice.share;
      this.#tookMs += tookMs;
    } else {
      this.#shareTaken -= slice.share;
      this.#handedBack.push(slice);
    }
  }
}

/** Work that cannot be cut. */
export class Whole implements Slices {
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
