// The order in which work of several clients is done: weighted fair queueing, with equal weights.
//
// Were the workers shared out evenly among the clients that have work, moment by moment, each piece of work
// would end at some time; pieces are done in the order of these times. So each is done no later than
// that (but for one slice), and clients that ask for equal things are served one after another, to
// the end, instead of all at once and too late.
//
//   virtual time    how much work each client could have had done; goes on by what was done / clients with work
//   finish          of a piece: max(now, finish of the client's piece before it) + its own work, in virtual time
//
// [A. Demers, S. Keshav, S. Shenker: Analysis and simulation of a fair queueing algorithm, SIGCOMM 1989]

export interface Place {
  readonly client: object;
  /** In virtual ms; -Infinity: before all others. */
  readonly finish: number;
  /** Decides between equals: who came first. */
  readonly number: number;
}

export class FairQueue<Entry extends Place> {
  /** In their order. */
  readonly #entries: Entry[] = [];
  /** Pieces of work of each client, waiting or under way. */
  readonly #counts = new Map<object, number>();
  readonly #lastFinish = new WeakMap<object, number>();
  #nowMs = 0;
  #latestFinish = 0;
  #numbers = 0;

  get length(): number {
    return this.#entries.length;
  }

  /** In their order. */
  entries(): Iterable<Entry> {
    return this.#entries;
  }

  /** The one at a place in the order, 0 … length - 1. */
  at(place: number): Entry {
    return this.#entries[place]!;
  }

  /** Pieces of work of a client, waiting or under way. */
  countOf(client: object): number {
    return this.#counts.get(client) ?? 0;
  }

  /**
   * Where work of a client has its place. Takes no notice of it: see enter().
   *
   * @param ms how long it takes
   * @param isUrgent before all others; the client is charged for it all the same
   */
  placeFor(client: object, ms: number, isUrgent: boolean): Place {
    const finish = isUrgent ? -Infinity : this.#finishOf(client, ms);
    return { client, finish, number: this.#numbers };
  }

  /** To be called for every piece of work, waiting or not, before it begins; leave() when it is over. */
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
    // With no work left nobody has had less than others.
    if (this.#counts.size === 0) this.#nowMs = this.#latestFinish;
  }

  /** To be told of all work that was done. */
  serve(ms: number): void {
    this.#nowMs += ms / Math.max(1, this.#counts.size);
  }

  /** Also one that was taken out and comes back: it has its place again. */
  put(entry: Entry): void {
    let at = this.#entries.length;
    while (at > 0 && isBefore(entry, this.#entries[at - 1]!)) at--;
    this.#entries.splice(at, 0, entry);
  }

  remove(entry: Entry): void {
    const at = this.#entries.indexOf(entry);
    if (at >= 0) this.#entries.splice(at, 1);
  }

  #finishOf(client: object, ms: number): number {
    return Math.max(this.#nowMs, this.#lastFinish.get(client) ?? 0) + ms;
  }
}

export function isBefore(a: Place, b: Place): boolean {
  return a.finish < b.finish || (a.finish === b.finish && a.number < b.number);
}
