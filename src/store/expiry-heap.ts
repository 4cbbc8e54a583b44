// The ids of a memory store by the time when they are due.
import TinyQueue from 'tinyqueue';

interface Entry {
  readonly id: string;
  readonly dueAtMs: number;
}

/**
 * A priority queue, earliest first: O(log n) for each id that is added or removed. An id whose time changes is
 * added again; the entry that is no longer valid stays until it comes to the top, and is dropped there.
 */
export class ExpiryHeap {
  readonly #queue = new TinyQueue<Entry>([], (a, b) => a.dueAtMs - b.dueAtMs);

  add(id: string, dueAtMs: number): void {
    this.#queue.push({ id, dueAtMs });
  }

  /**
   * The ids that are due at or before this time, earliest first, at most `limit`. They stay in the queue, and
   * are returned again until `isValid` says that they have another time or are gone.
   */
  due(nowMs: number, limit: number, isValid: (id: string, dueAtMs: number) => boolean): string[] {
    const valid: Entry[] = [];
    while (valid.length < limit) {
      const first = this.#queue.peek();
      if (!first || first.dueAtMs > nowMs) break;
      this.#queue.pop();
      if (isValid(first.id, first.dueAtMs)) valid.push(first);
    }
    for (const entry of valid) this.#queue.push(entry);
    return [...new Set(valid.map(({ id }) => id))];
  }
}
