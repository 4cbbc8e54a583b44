// One lock for each session. Calls get it one at a time, in the order of their arrival.
import { CarryoverError } from '../errors.ts';
import type { Lifetime } from '../lifetime.ts';

export interface SessionLocksOptions {
  /** Most calls that may wait for the lock of one session. */
  readonly waitingMax: number;
}

/** The calls that hold or await the lock of one session. */
interface LockQueue {
  /** Resolved when the last call in the queue has released the lock. */
  tail: Promise<void>;
  length: number;
  /** Idempotency keys of the calls in the queue. */
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
    const queue = this.#queues.get(id) ?? { tail: Promise.resolve(), length: 0, keys: new Set() };
    if (key !== undefined && queue.keys.has(key)) {
      throw new CarryoverError('idempotency_key_in_use', {
        detail: `A call with the Idempotency-Key ${JSON.stringify(key)} is running; retry it later.`,
      });
    }
    const { waitingMax } = this.#options;
    if (queue.length > waitingMax) {
      throw busy(`${waitingMax} calls are waiting for session ${id} already (SESSION_QUEUE_MAX).`);
    }
    this.#queues.set(id, queue);
    const before = queue.tail;
    const isFirst = queue.length === 0;
    const { promise: released, resolve: finish } = Promise.withResolvers<void>();
    queue.tail = released;
    queue.length++;
    if (key !== undefined) queue.keys.add(key);
    const release = () => {
      // A call that gave up waiting leaves its place to the next one, which still runs after those before it.
      void before.then(finish);
      queue.length--;
      if (key !== undefined) queue.keys.delete(key);
      if (queue.length === 0) this.#queues.delete(id);
    };
    if (!isFirst) {
      try {
        await waitFor(before, lifetime);
      } catch (error) {
        release();
        throw error;
      }
    }
    return { [Symbol.dispose]: release };
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
