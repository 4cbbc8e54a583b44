// The items of each session that wait for their answers, in their order, and the state behind the last answer.
import type { BatchResult } from './batch.ts';
import type { Entry } from './item-message.ts';

export interface SessionQueue {
  /** The first is sent; the others are when it has been answered. */
  readonly entries: Entry[];
  /** Of the latest state that was answered. */
  etag: string | undefined;
  version: number;
  /** An item has failed: what was to come behind it is not applied. */
  hasFailed: boolean;
}

/** Sessions whose ETag is kept while none of their items waits; those of earlier ones are forgotten, but not that an item has failed. */
const IDLE_SESSIONS_MAX = 10_000;

export class SessionQueues {
  /** By the id of the session; those that were used last stand last. */
  readonly #queues = new Map<string, SessionQueue>();

  /** @returns the queue, in which the entry is the last */
  add(entry: Entry): SessionQueue {
    const { session } = entry.item;
    const queue = this.#queues.get(session) ?? { entries: [], etag: undefined, version: 0, hasFailed: false };
    this.#queues.delete(session);
    this.#queues.set(session, queue);
    queue.entries.push(entry);
    return queue;
  }

  etagOf(session: string): string | undefined {
    return this.#queues.get(session)?.etag;
  }

  /**
   * The first entry of its session has its result.
   *
   * @param etag of the state with which it was answered
   * @returns the queue without it
   */
  settle(entry: Entry, result: BatchResult, etag: string | undefined): SessionQueue {
    const queue = this.#queues.get(entry.item.session)!;
    queue.entries.shift();
    // The answer to a key that was used before may be to an earlier state than the last one.
    const { version } = result.session ?? {};
    if (version === undefined) queue.etag = undefined;
    else if (version >= queue.version) [queue.etag, queue.version] = [etag, version];
    queue.hasFailed = result.error !== undefined;
    this.#forgetIdle();
    return queue;
  }

  /** Of an entry that was not sent. */
  remove(entry: Entry): void {
    const { entries } = this.#queues.get(entry.item.session)!;
    entries.splice(entries.indexOf(entry), 1);
  }

  #forgetIdle(): void {
    if (this.#queues.size <= IDLE_SESSIONS_MAX) return;
    for (const [session, { entries, hasFailed }] of this.#queues) {
      if (entries.length > 0 || hasFailed) continue;
      this.#queues.delete(session);
      return;
    }
  }
}
