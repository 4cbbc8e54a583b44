// One call at a time for each session, in the order of their arrival.
import { CarryoverError } from '../errors.ts';
import type { Lifetime } from '../lifetime.ts';

export interface SessionLocksOptions {
  /** Calls that may wait for one session. */
  readonly waitingMax: number;
}

interface Line {
  /** Settled when the last call in the line is over. */
  tail: Promise<void>;
  length: number;
  /** Idempotency-Keys of the calls in the line. */
  readonly keys: Set<string>;
}

export class SessionLocks {
  readonly #options: SessionLocksOptions;
  readonly #lines = new Map<string, Line>();

  constructor(options: SessionLocksOptions) {
    this.#options = options;
  }

  /** Whether a call on the session is running or waiting. */
  has(id: string): boolean {
    return this.#lines.has(id);
  }

  /** Sessions that have a call running or waiting. */
  get size(): number {
    return this.#lines.size;
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
    const line = this.#lines.get(id) ?? { tail: Promise.resolve(), length: 0, keys: new Set() };
    if (key !== undefined && line.keys.has(key)) {
      throw new CarryoverError('idempotency_key_in_use', {
        detail: `A call with the Idempotency-Key ${JSON.stringify(key)} is running; retry it later.`,
      });
    }
    const { waitingMax } = this.#options;
    if (line.length > waitingMax) {
      throw busy(`${waitingMax} calls are waiting for session ${id} already (SESSION_QUEUE_MAX).`);
    }
    this.#lines.set(id, line);
    const before = line.tail;
    const isFirst = line.length === 0;
    const { promise: over, resolve: finish } = Promise.withResolvers<void>();
    line.tail = over;
    line.length++;
    if (key !== undefined) line.keys.add(key);
    const release = () => {
      // A call that gave up waiting leaves its place to the next one, which still runs after those before it.
      void before.then(finish);
      line.length--;
      if (key !== undefined) line.keys.delete(key);
      if (line.length === 0) this.#lines.delete(id);
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
