// How much work the workers have, and how much waits for them.
import type { Pool } from '../pool/pool.ts';
import type { FairQueue, QueuePosition } from './fair-queue.ts';
import { isBefore } from './fair-queue.ts';
import type { Part } from './part.ts';
import { TIME_SLICE_MS } from './slice-length.ts';

export class Backlog {
  /** Parts that have not begun. */
  waitingCount = 0;
  readonly #pool: Pool;
  readonly #queue: FairQueue<Part>;
  /** The estimates of all that workers have, in ms. */
  #dispatchedMs = 0;

  constructor(pool: Pool, queue: FairQueue<Part>) {
    this.#pool = pool;
    this.#queue = queue;
  }

  /** To be called when workers get what is estimated to take `ms`. */
  dispatched(ms: number): void {
    this.#dispatchedMs += ms;
  }

  /** To be called with the same estimate when they have done it, or will not. */
  done(ms: number): void {
    this.#dispatchedMs = Math.max(0, this.#dispatchedMs - ms);
  }

  /** Whether the workers have less than a time slice of work altogether. */
  get areWorkersIdle(): boolean {
    return this.#dispatchedMs < TIME_SLICE_MS;
  }

  /** In how many ms the workers do what they have and what is queued before `position`; all that is queued if absent. */
  msBefore(position?: QueuePosition): number {
    let ms = this.#dispatchedMs;
    for (const part of this.#queue.entries()) {
      if (position && !isBefore(part, position)) break;
      ms += part.waitingMs;
    }
    return ms / Math.max(1, this.#pool.readyCount);
  }
}
