// Which ids are due by when.

interface Due {
  readonly id: string;
  readonly atMs: number;
}

/**
 * A binary heap of (id, time), earliest first: O(log n) a call. An id that gets another time is added
 * again; what is no longer true is dropped when it comes to the top.
 */
export class ExpiryHeap {
  readonly #heap: Due[] = [];

  add(id: string, atMs: number): void {
    const heap = this.#heap;
    let k = heap.push({ id, atMs }) - 1;
    while (k > 0) {
      const parent = (k - 1) >> 1;
      if (heap[parent]!.atMs <= heap[k]!.atMs) break;
      [heap[parent], heap[k]] = [heap[k]!, heap[parent]!];
      k = parent;
    }
  }

  /** Those due; they stay until they are postponed or gone. */
  upTo(nowMs: number, limit: number, isTrue: (id: string, atMs: number) => boolean): string[] {
    const taken: Due[] = [];
    while (taken.length < limit && this.#heap[0] && this.#heap[0].atMs <= nowMs) {
      const due = this.#pop();
      if (isTrue(due.id, due.atMs)) taken.push(due);
    }
    for (const { id, atMs } of taken) this.add(id, atMs);
    return [...new Set(taken.map(({ id }) => id))];
  }

  #pop(): Due {
    const heap = this.#heap;
    const top = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return top;
    heap[0] = last;
    for (let k = 0; ; ) {
      const left = 2 * k + 1;
      const right = left + 1;
      const least = right < heap.length && heap[right]!.atMs < (heap[left]?.atMs ?? 0) ? right : left;
      if (least >= heap.length || heap[k]!.atMs <= heap[least]!.atMs) return top;
      [heap[k], heap[least]] = [heap[least]!, heap[k]!];
      k = least;
    }
  }
}
