// The order of the work of several clients: weighted fair queueing with equal weights.
//
// A client is an object that is compared by identity: the socket of a connection (Lifetime.client). Clients of one tenant
// are a group (Lifetime.group), and share what one of a group of its own would have: a tenant gains nothing by opening more
// connections. A client without a tenant is its own group.
//
// If the workers were shared evenly among the groups, and in a group among its clients, that have work at every moment, each entry would finish at some
// time. Entries are served in the order of these finish times. So each is done no later than with ideal sharing (apart
// from one slice). Clients with equal requests are served one after the other: if their work were interleaved, all of
// them would finish at the end, and perhaps all would miss their deadlines.
//
//   virtual time    how much work each group could have had done; work that is done advances it by work / groups
//   finish          of an entry: max(virtual time, finish of the client's previous entry) + its own work · clients of its group
//
// A. Demers, S. Keshav, S. Shenker, "Analysis and simulation of a fair queueing algorithm", SIGCOMM 1989.
//
// A sorted array and no heap (tinyqueue): dispatching skips entries whose worker is busy, the backlog before a position
// is summed in order, and entries are removed from the middle. There are some hundred entries at most (QUEUE_JOBS_MAX).

/** Where an entry is in the order of the queue. */
export interface QueuePosition {
  readonly client: object;
  readonly group: object;
  /** Finish time in virtual ms; -Infinity goes before all others. */
  readonly finish: number;
  /** Number of arrival, which orders entries with equal finish times. */
  readonly number: number;
}

export type QueuedClient = Pick<QueuePosition, 'client' | 'group'>;

export class FairQueue<Entry extends QueuePosition> {
  /** Sorted by isBefore(). */
  readonly #entries: Entry[] = [];
  /** How many entries each client has, queued or running. */
  readonly #counts = new Map<object, number>();
  /** How many clients with entries each group has. */
  readonly #clientCounts = new Map<object, number>();
  readonly #entryCounts = new Map<object, number>();
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

  /** How many entries a group has, queued or running. */
  countOfGroup(group: object): number {
    return this.#entryCounts.get(group) ?? 0;
  }

  /**
   * The position that an entry of a client would have. Changes nothing; see enter().
   *
   * @param ms how long its work takes
   * @param completesRequest see Work.completesRequest: it goes before all others, and enter() charges the client for it
   *   as for any other
   */
  positionFor({ client, group }: QueuedClient, ms: number, completesRequest: boolean): QueuePosition {
    const finish = completesRequest ? -Infinity : this.#finishOf(client, group, ms);
    return { client, group, finish, number: this.#numbers };
  }

  /** Charges a client for an entry of `ms`. To be called before the entry is put or begun; leave() when it has ended. */
  enter({ client, group }: QueuedClient, ms: number): void {
    const finish = this.#finishOf(client, group, ms);
    this.#numbers++;
    this.#lastFinish.set(client, finish);
    this.#latestFinish = Math.max(this.#latestFinish, finish);
    if (this.countOf(client) === 0) this.#clientCounts.set(group, (this.#clientCounts.get(group) ?? 0) + 1);
    this.#counts.set(client, this.countOf(client) + 1);
    this.#entryCounts.set(group, this.countOfGroup(group) + 1);
  }

  leave({ client, group }: QueuedClient): void {
    decrement(this.#entryCounts, group);
    if (decrement(this.#counts, client) === 0) decrement(this.#clientCounts, group);
    // When no work is left, shares are counted from zero: no client has an advantage from work that was done before.
    if (this.#counts.size === 0) this.#nowMs = this.#latestFinish;
  }

  /** Advances the virtual time by `ms` of work that was done. */
  serve(ms: number): void {
    this.#nowMs += ms / Math.max(1, this.#clientCounts.size);
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

  #finishOf(client: object, group: object, ms: number): number {
    const others = this.#clientCounts.get(group) ?? 0;
    const clients = this.countOf(client) > 0 ? others : others + 1;
    return Math.max(this.#nowMs, this.#lastFinish.get(client) ?? 0) + ms * clients;
  }
}

/** @returns what is left; at 0 there is no entry any more */
function decrement(counts: Map<object, number>, key: object): number {
  const count = counts.get(key)! - 1;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
  return count;
}

/** Whether `a` is served before `b`. */
export function isBefore(a: QueuePosition, b: QueuePosition): boolean {
  return a.finish < b.finish || (a.finish === b.finish && a.number < b.number);
}
