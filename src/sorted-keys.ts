// Keys in their order, for lists that are read a page at a time.

/** A chunk that grows beyond this is cut in two. */
const CHUNK_MAX = 1_024;

/**
 * A set of strings in the order of their UTF-16 code units. Kept in chunks, themselves in order, so that
 * adding and deleting moves some thousand references and not all of them: of a million keys each takes
 * microseconds, and a page of k keys O(log n + k).
 */
export class SortedKeys {
  /** None is empty, unless there is no key at all. */
  readonly #chunks: string[][] = [[]];

  add(key: string): void {
    const place = this.#chunkOf(key);
    const chunk = this.#chunks[place]!;
    const at = firstNotBelow(chunk, key);
    if (chunk[at] === key) return;
    chunk.splice(at, 0, key);
    if (chunk.length > CHUNK_MAX) this.#chunks.splice(place + 1, 0, chunk.splice(CHUNK_MAX / 2));
  }

  delete(key: string): void {
    const place = this.#chunkOf(key);
    const chunk = this.#chunks[place]!;
    const at = firstNotBelow(chunk, key);
    if (chunk[at] !== key) return;
    chunk.splice(at, 1);
    if (chunk.length === 0 && this.#chunks.length > 1) this.#chunks.splice(place, 1);
  }

  /** The first `limit` keys beyond `after`, which need not be there; of all keys if it is undefined. */
  after(after: string | undefined, limit: number): string[] {
    let place = after === undefined ? 0 : this.#chunkOf(after);
    let at = after === undefined ? 0 : firstNotBelow(this.#chunks[place]!, after);
    if (this.#chunks[place]![at] === after) at++;
    const page: string[] = [];
    for (; place < this.#chunks.length && page.length < limit; place++, at = 0) {
      page.push(...this.#chunks[place]!.slice(at, at + limit - page.length));
    }
    return page;
  }

  /** The place of the chunk in which the key is, or belongs: the first whose last key is not below it. */
  #chunkOf(key: string): number {
    let [low, high] = [0, this.#chunks.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#chunks[middle]!.at(-1)! < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function firstNotBelow(keys: readonly string[], key: string): number {
  let [low, high] = [0, keys.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (keys[middle]! < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
