// The order of the work of several clients: weighted fair queueing with equal weights.
//
// If the workers were shared evenly among the clients that have work at every moment, each entry would finish at some
// time. Entries are served in the order of these finish times. So each is done no later than with ideal sharing (apart
// from one slice), and of clients with equal requests one is served completely after the other, instead of all of them
// at once and too late.
//
//   virtual time    how much work each client could have had done; work that is done advances it by work / clients
//   finish          of an entry: max(virtual time, finish of the client's previous entry) + its own work
//
// A. Demers, S. Keshav, S. Shenker, "Analysis and simulation of a fair queueing algorithm", SIGCOMM 1989.
//
// A sorted array and no heap (tinyqueue): dispatching skips entries whose worker is busy, the backlog before a place is
// summed in order, and entries are removed from the middle. There are some hundred entries at most (QUEUE_JOBS_MAX).
export interface Place {
  readonly client: object;
  /** Finish time in virtual ms; -Infinity goes before all others. */
  readonly finish: number;
  /** Number of arrival, which orders entries with equal finish times. */
  readonly number: number;
}

export class FairQueue<Entry extends Place> {
  /** Sorted by isBefore(). */
  readonly #entries: Entry[] = [];
  /** How many entries each client has, queued or under way. */
  readonly #counts = new Map<object, number>();
  readonly #lastFinish = new WeakMap<object, number>();
  #nowMs = 0;
  #latestFinish = 0;
  #numbers = 0;

  get length(): number {
    return this.#entries.length;
  }

  /** The queued entries, in their order. */
  entries(): Iterable<Entry> {
    return this.#entries;
  }

  /** The queued entry at an index, 0 … length - 1. */
  at(index: number): Entry {
    return this.#entries[index]!;
  }

  /** How many entries a client has, queued or under way. */
  countOf(client: object): number {
    return this.#counts.get(client) ?? 0;
  }

  /**
   * The place that an entry of a client would have. Changes nothing; see enter().
   *
   * @param ms how long its work takes
   * @param isUrgent whether it goes before all others; enter() charges the client for it as for any other
   */
  placeFor(client: object, ms: number, isUrgent: boolean): Place {
    const finish = isUrgent ? -Infinity : this.#finishOf(client, ms);
    return { client, finish, number: this.#numbers };
  }

  /** Charges a client for an entry of `ms`. To be called before the entry is put or begun; leave() when it has ended. */
  enter(client: object, ms: number): void {
    const finish = this.#finishOf(client, ms);
    this.#numbers++;
    this.#lastFinish.set(client, finish);
    this.#latestFinish = Math.max(this.#latestFinish, finish);
    this.#counts.set(client, this.countOf(client) + 1);
  }

  leave(client: object): void {
    const count = this.countOf(client);
    if (count > 1) this.#counts.set(client, count - 1);
    else this.#counts.delete(client);
    // Without any work left, no client is owed a share.
    if (this.#counts.size === 0) this.#nowMs = this.#latestFinish;
  }

  /** Advances the virtual time by `ms` of work that was done. */
  serve(ms: number): void {
    this.#nowMs += ms / Math.max(1, this.#counts.size);
  }

  /** Queues an entry at its place; one that was removed before gets the same place again. */
  put(entry: Entry): void {
    let at = this.#entries.length;
    while (at > 0 && isBefore(entry, this.#entries[at - 1]!)) at--;
    this.#entries.splice(at, 0, entry);
  }

  /** Removes an entry if it is queued. */
  remove(entry: Entry): void {
    const at = this.#entries.indexOf(entry);
    if (at >= 0) this.#entries.splice(at, 1);
  }

  #finishOf(client: object, ms: number): number {
    return Math.max(this.#nowMs, this.#lastFinish.get(client) ?? 0) + ms;
  }
}

/** Whether `a` is served before `b`. */
export function isBefore(a: Place, b: Place): boolean {
  return a.finish < b.finish || (a.finish === b.finish && a.number < b.number);
}
