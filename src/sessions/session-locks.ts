// One lock for each session. Calls get it one at a time, in the order of their arrival.
import { CarryoverError } from '../errors.ts';
import type { Lifetime } from '../lifetime.ts';

export interface SessionLocksOptions {
  /** Most calls that may wait for the lock of one session. */
  readonly waitingMax: number;
}

/** The calls that hold or await the lock of one session. */
interface LockQueue {
  /** Of the calls that wait, in their order: gives the lock to the call. */
  readonly waiting: (() => void)[];
  /** Idempotency keys of all of them. */
  readonly keys: Set<string>;
}

export class SessionLocks {
  readonly #options: SessionLocksOptions;
  readonly #queues = new Map<string, LockQueue>();

  constructor(options: SessionLocksOptions) {
    this.#options = options;
  }

  /** Whether a call holds or awaits the lock of the session. */
  has(id: string): boolean {
    return this.#queues.has(id);
  }

  /** Sessions whose lock is held. */
  get size(): number {
    return this.#queues.size;
  }

  /**
   * Waits until the calls before it have released the lock. Disposing of what it resolves with lets the next
   * call run.
   *
   * @param key of the call, if it has an Idempotency-Key: a second call with it is refused until then
   * @param lifetime the lock must be free before it is over
   * @throws idempotency_key_in_use · session_busy · client_closed
   */
  async acquire(id: string, key: string | undefined, lifetime: Lifetime): Promise<Disposable> {
    const queue = this.#queues.get(id);
    if (!queue) return this.#acquireFree(id, key);
    const { waiting, keys } = queue;
    if (key !== undefined && keys.has(key)) {
      throw new CarryoverError('idempotency_key_in_use', {
        detail: `A call with the Idempotency-Key ${JSON.stringify(key)} is running; retry it later.`,
      });
    }
    const { waitingMax } = this.#options;
    if (waiting.length >= waitingMax) {
      throw busy(`${waitingMax} calls are waiting for session ${id} already (SESSION_QUEUE_MAX).`);
    }
    const { promise: given, resolve: give } = Promise.withResolvers<void>();
    waiting.push(give);
    if (key !== undefined) keys.add(key);
    try {
      await waitFor(given, lifetime);
    } catch (error) {
      const place = waiting.indexOf(give);
      // If it has left the queue, it was given the lock at the moment at which it gave up.
      if (place < 0) this.#release(id, key);
      else {
        waiting.splice(place, 1);
        if (key !== undefined) keys.delete(key);
      }
      throw error;
    }
    return this.#lockOf(id, key);
  }

  /** The lock, if no call holds or awaits it, as acquire() gives it. */
  tryAcquire(id: string, key: string | undefined): Disposable | undefined {
    return this.#queues.has(id) ? undefined : this.#acquireFree(id, key);
  }

  #acquireFree(id: string, key: string | undefined): Disposable {
    this.#queues.set(id, { waiting: [], keys: new Set(key === undefined ? [] : [key]) });
    return this.#lockOf(id, key);
  }

  #lockOf(id: string, key: string | undefined): Disposable {
    return { [Symbol.dispose]: () => this.#release(id, key) };
  }

  #release(id: string, key: string | undefined): void {
    const { waiting, keys } = this.#queues.get(id)!;
    if (key !== undefined) keys.delete(key);
    const next = waiting.shift();
    if (next) next();
    else this.#queues.delete(id);
  }
}

/** @throws session_busy if the calls before last until the deadline · client_closed */
async function waitFor(before: Promise<void>, lifetime: Lifetime): Promise<void> {
  try {
    await lifetime.race(before);
  } catch (error) {
    if ((error as CarryoverError).code !== 'deadline_exceeded') throw error;
    throw busy(`The calls before it take longer than ${lifetime.msMax} ms (JOB_DEADLINE_MS).`);
  }
}

function busy(detail: string): CarryoverError {
  return new CarryoverError('session_busy', { detail });
}
