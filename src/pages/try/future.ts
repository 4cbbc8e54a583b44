// A session with what it has computed on this page: what a person steps, rewinds and forks.
import type { Session } from '../../client/index.ts';
import { lastState } from './states.ts';

export interface FutureStep {
  /** D numbers, or one row number of an embedding. */
  readonly x: readonly number[];
  /** O numbers; undefined of a model without outputs. */
  readonly y: Float32Array | undefined;
  /** (H), of the last recurrent layer. */
  readonly h: Float32Array;
}

/** What was answered when the session was where it begins here; not known of one that was opened. */
export type Start = Pick<FutureStep, 'y'> | undefined;

/** Past states of a session that the service keeps, at most. */
export const KEEP_MAX = 64;
/** Of a session that is begun on the page; it is in the list of sessions as long. */
export const TTL_S = 1_800;

export interface FutureOptions {
  /** Whether x are row numbers of an embedding. */
  readonly isEmbedding: boolean;
  /** Whether the session was there before, and stays. */
  readonly isOpened?: boolean;
  readonly start?: Start;
  /** Steps whose states the service keeps already. */
  readonly kept?: readonly number[];
}

export class Future {
  readonly session: Session;
  readonly #options: FutureOptions;
  readonly #steps: FutureStep[] = [];
  #t0: number;
  #start: Start;
  /** Steps whose states the service keeps, oldest first. */
  #kept: readonly number[];

  constructor(session: Session, options: FutureOptions) {
    this.session = session;
    this.#options = options;
    this.#t0 = session.t;
    this.#start = options.start;
    this.#kept = options.kept ?? [];
  }

  get t(): number {
    return this.session.t;
  }

  /** Where `steps` begins. */
  get t0(): number {
    return this.#t0;
  }

  get steps(): readonly FutureStep[] {
    return this.#steps;
  }

  /** Answered before the first of `steps`; undefined if that is not known here. */
  get startY(): Float32Array | undefined {
    return this.#start?.y;
  }

  /** Of the last step. */
  get y(): Float32Array | undefined {
    return this.#steps.length > 0 ? this.#steps.at(-1)!.y : this.#start?.y;
  }

  /** The earliest step to which it can be rewound; t if there is none. */
  get oldest(): number {
    return this.#kept[0] ?? this.t;
  }

  /** The latest step to which it can be rewound, not after t. @returns undefined if there is none */
  keptBefore(t: number): number | undefined {
    return this.#kept.findLast((kept) => kept <= t);
  }

  /** @throws CarryoverError */
  async step(x: readonly number[], signal: AbortSignal): Promise<FutureStep> {
    const { t } = this;
    const { h, y } = await this.session.step(this.#options.isEmbedding ? x : [x], { signal });
    const step = { x, y: y?.data, h: lastState(h) };
    const { keep } = this.session.info;
    this.#kept = keep === 0 ? [] : [...this.#kept, t].slice(-keep);
    this.#steps.push(step);
    return step;
  }

  /** Goes back to a step whose state is kept. @throws CarryoverError */
  async rewind(t: number, signal: AbortSignal): Promise<void> {
    await this.session.rewind(t, { signal });
    this.#kept = this.#kept.slice(0, this.#kept.lastIndexOf(t));
    this.#steps.length = Math.max(0, t - this.#t0);
    if (t >= this.#t0) return;
    this.#t0 = t;
    this.#start = undefined;
  }

  /** Another future with the same state and the same past. @throws CarryoverError */
  async fork(signal: AbortSignal): Promise<Future> {
    const session = await this.session.fork({ signal });
    const fork = new Future(session, { ...this.#options, isOpened: false, start: this.#start, kept: this.#kept });
    fork.#t0 = this.#t0;
    fork.#steps.push(...this.#steps);
    return fork;
  }

  /** Ends the session, in whatever state it is, if it was begun here. */
  async end(): Promise<void> {
    if (this.#options.isOpened !== true) await this.session[Symbol.asyncDispose]();
  }
}
