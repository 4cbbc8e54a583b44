// The order of the work of several clients: weighted fair queueing with equal weights.
//
// A client is an object that is compared by identity: the socket of a connection (Lifetime.client).
//
// If the workers were shared evenly among the clients that have work at every moment, each entry would finish at some
// time. Entries are served in the order of these finish times. So each is done no later than with ideal sharing (apart
// from one slice). Clients with equal requests are served one after the other: if their work were interleaved, all of
// them would finish at the end, and perhaps all would miss their deadlines.
//
//   virtual time    how much work each client could have had done; work that is done advances it by work / clients
//   finish          of an entry: max(virtual time, finish of the client's previous entry) + its own work
//
// A. Demers, S. Keshav, S. Shenker, "Analysis and simulation of a fair queueing algorithm", SIGCOMM 1989.
//
// A sorted array and no heap (tinyqueue): dispatching skips entries whose worker is busy, the backlog before a position
// is summed in order, and entries are removed from the middle. There are some hundred entries at most (QUEUE_JOBS_MAX).

/** Where an entry is in the order of the queue. */
export interface QueuePosition {
  readonly client: object;
  /** Finish time in virtual ms; -Infinity goes before all others. */
  readonly finish: number;
  /** Number of arrival, which orders entries with equal finish times. */
  readonly number: number;
}

export class FairQueue<Entry extends QueuePosition> {
  /** Sorted by isBefore(). */
  readonly #entries: Entry[] = [];
  /** How many entries each client has, queued or running. */
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

  /** How many entries a client has, queued or running. */
  countOf(client: object): number {
    return this.#counts.get(client) ?? 0;
  }

  /**
   * The position that an entry of a client would have. Changes nothing; see enter().
   *
   * @param ms how long its work takes
   * @param completesRequest see Work.completesRequest: it goes before all others, and enter() charges the client for it
   *   as for any other
   */
  positionFor(client: object, ms: number, completesRequest: boolean): QueuePosition {
    const finish = completesRequest ? -Infinity : this.#finishOf(client, ms);
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
    // When no work is left, shares are counted from zero: no client has an advantage from work that was done before.
    if (this.#counts.size === 0) this.#nowMs = this.#latestFinish;
  }

  /** Advances the virtual time by `ms` of work that was done. */
  serve(ms: number): void {
    this.#nowMs += ms / Math.max(1, this.#counts.size);
  }

  /** Queues an entry at its position; one that was removed before gets the same position again. */
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
export function isBefore(a: QueuePosition, b: QueuePosition): boolean {
  return a.finish < b.finish || (a.finish === b.finish && a.number < b.number);
}
