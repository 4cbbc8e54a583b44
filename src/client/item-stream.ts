// Steps and sequences of many sessions over one WebSocket, each exactly once: GET /v1/stream.
//
//   items ──▶ of each session a queue, whose first is sent ──▶ answered: not yet taken by the caller ──▶ results
//             └──────────────────────── together at most `window` items ────────────────────────┘
//
// Of one session an item is sent when the one before it has been answered, and is meant for the state of that answer (`if_match`).
// Each has a key, so after a lost connection those without an answer are sent again, byte for byte, and the key of one that was
// applied has its answer again.
import { linkedTo } from './abort.ts';
import { type BatchResult, expectItem, failed, sendBatch } from './batch.ts';
import type { Result } from './computation.ts';
import { type Entry, type StreamItem, encodeItem, markAndEtag, withoutAdded } from './item-message.ts';
import { MessageSocket } from './message-socket.ts';
import { CLIENT_CODES, CarryoverError, asUnknown, problemError, unreadable } from './problem.ts';
import { randomKey } from './random.ts';
import { type Inputs, ReadAhead } from './read-ahead.ts';
import { type Patience, isPassing } from './retry.ts';
import { type SessionQueue, SessionQueues } from './session-queues.ts';
import { Tensor } from './tensor.ts';
import type { Transport } from './transport.ts';

export type StreamItems = Inputs<StreamItem>;

/** What became of an item: tensors and `session`, or `error`. */
export interface StreamResult extends BatchResult {
  /** The object that the caller gave. */
  readonly item: StreamItem;
}

export interface StreamItemsOptions {
  readonly signal?: AbortSignal | undefined;
  /** Items that are read before their results have been taken, 1 … 256; 64 if absent: so many the service answers at once. */
  readonly window?: number;
}

const PATH = 'v1/stream';
const WINDOW = 64;
const WINDOW_MAX = 256;
/** Handshakes that fail while the service answers requests, until items are sent in batches, if there was no other yet. */
const HANDSHAKES_MAX = 4;
/** For the answers to what was sent, after the caller has ended the stream. */
const DRAIN_MS_MAX = 5_000;
/** A message of more bytes is refused unread, so its item is sent in a batch. */
const MESSAGE_BYTES_MAX = 4 * 2 ** 20;

/** @throws RangeError · TypeError of an item · CarryoverError if the service cannot be reached, or refuses the stream */
export async function* streamItems(
  transport: Transport,
  items: StreamItems,
  { signal, window = WINDOW }: StreamItemsOptions,
): AsyncGenerator<StreamResult, void, undefined> {
  if (!Number.isInteger(window) || window < 1 || window > WINDOW_MAX) {
    throw new RangeError(`window is ${window}, expected 1 … ${WINDOW_MAX}.`);
  }
  const { controller, release } = linkedTo(transport.signalsOf({ signal }));
  try {
    yield* new ItemStream(transport, window, controller).results(items);
  } finally {
    release();
  }
}

class ItemStream {
  readonly #transport: Transport;
  /** Of this stream alone. */
  readonly #controller: AbortController;
  readonly #signal: AbortSignal;
  readonly #queues = new SessionQueues();
  /** All entries of the queues, by id. */
  readonly #unanswered = new Map<string, Entry>();
  readonly #readAhead: ReadAhead<StreamItem, StreamResult>;
  #count = 0;
  #socket: MessageSocket | undefined;
  #failedHandshakes = 0;
  /** Sent on this connection and not answered. */
  readonly #awaited = new Set<Entry>();
  /** So many of them were refused in passing, before the service has read which they are. */
  #refusedCount = 0;
  /** The last of these refusals; until the service may be asked again nothing is sent. */
  #refusal: CarryoverError | undefined;
  /** Since when there is no answer though one is awaited; undefined where none is missing. */
  #patience: Patience | undefined;

  constructor(transport: Transport, window: number, controller: AbortController) {
    this.#transport = transport;
    this.#controller = controller;
    this.#signal = controller.signal;
    this.#readAhead = new ReadAhead({
      window,
      unansweredCount: () => this.#unanswered.size,
      add: (item) => this.#add(item),
      onChanged: () => this.#changed(),
    });
  }

  async *results(items: StreamItems): AsyncGenerator<StreamResult, void, undefined> {
    this.#signal.throwIfAborted();
    this.#signal.addEventListener('abort', () => this.#fail(this.#signal.reason), { once: true });
    this.#readAhead.feed(items).catch(() => undefined);
    const answering = this.#answer().catch((error: unknown) => this.#fail(error));
    try {
      yield* this.#readAhead.results();
    } finally {
      this.#readAhead.end();
      this.#dropUnsent();
      const timer = setTimeout(() => this.#controller.abort(), DRAIN_MS_MAX);
      await answering;
      clearTimeout(timer);
    }
  }

  /** @throws TypeError · RangeError if it is none */
  #add(given: StreamItem): void {
    const number = this.#count++;
    expectItem(given, `Item ${number}`);
    if ('trace' in given) throw new TypeError(`Item ${number}.trace: a stream has no traces; batch() has.`);
    // Callers may use the array again: the item is perhaps sent later, and more than once.
    const x = given.x instanceof Tensor ? new Tensor(given.x.shape, given.x.data.slice()) : Tensor.from(given.x);
    const item = { ...given, x, key: given.key ?? randomKey() };
    const entry: Entry = { id: String(number), given, item, bytes: undefined, wasSent: false, mayBeApplied: false, isResting: false, attempts: 0, patience: undefined };
    if (this.#unanswered.size === 0) this.#patience = undefined;
    const queue = this.#queues.add(entry);
    this.#unanswered.set(entry.id, entry);
    if (queue.entries.length === 1) this.#begin(queue);
    this.#readAhead.pulse.beat();
  }

  /** Sends the first entry of a queue, or has it fail behind one that has failed. */
  #begin(queue: SessionQueue): void {
    const entry = queue.entries[0];
    if (!entry) return;
    const { session, ifMatch } = entry.item;
    if (queue.hasFailed && ifMatch === undefined) {
      const detail = `An earlier item of session ${session} has failed, so this one was not sent. Its ifMatch may name the state that it is meant for.`;
      return this.#settle(entry, failed(new CarryoverError(detail, { code: CLIENT_CODES.stepConflict, applied: 'no' }), 'no'));
    }
    try {
      entry.bytes = encodeItem(entry, queue.etag);
    } catch (error) {
      return this.#fail(error);
    }
    if (entry.bytes.length > MESSAGE_BYTES_MAX) void this.#postLarge(entry);
    else this.#send(entry);
  }

  #send(entry: Entry): void {
    if (!this.#socket?.isGreeted || !entry.bytes || entry.isResting || this.#refusal || this.#awaited.has(entry)) return;
    entry.wasSent = true;
    this.#awaited.add(entry);
    this.#socket.send(entry.bytes);
  }

  #sendAll(): void {
    for (const entry of this.#unanswered.values()) this.#send(entry);
  }

  /** Has all items answered, over as many connections as it takes. @throws why that cannot be done */
  async #answer(): Promise<void> {
    while (!this.#readAhead.isOver && !this.#mustPost) {
      try {
        await (this.#unanswered.size > 0 ? this.#converse() : this.#readAhead.pulse.next());
      } catch (error) {
        this.#signal.throwIfAborted();
        await this.#waitAfter(error as CarryoverError);
      }
    }
    while (!this.#readAhead.isOver) await this.#postFirsts();
  }

  /** The time for which it tries begins anew with each answer. @throws the error if it is over */
  async #waitAfter(error: CarryoverError): Promise<void> {
    this.#patience ??= this.#transport.patience({ signal: this.#signal });
    await this.#patience.waitAfter(error);
  }

  get #mustPost(): boolean {
    return this.#transport.hasWebSockets === false;
  }

  /** One connection, from its handshake until all items are answered. @throws CarryoverError if it ends before */
  async #converse(): Promise<void> {
    const socket = new MessageSocket(this.#transport.openSocket(PATH), {
      silenceMsMax: this.#transport.options.retry.attemptMs,
      isWaiting: () => this.#awaited.size > 0,
      onText: (message) => this.#onText(socket, message),
      onFile: (answer) => this.#onAnswer(answer),
    });
    this.#socket = socket;
    try {
      await socket.ended;
    } catch (error) {
      if (!socket.isGreeted) await this.#afterFailedHandshake();
      throw error;
    } finally {
      socket.close();
      this.#socket = undefined;
      for (const entry of this.#awaited) entry.mayBeApplied = true;
      this.#awaited.clear();
      // Unless its time is waited for already: the next connection waits, too.
      if (this.#refusedCount > 0) this.#refusal = undefined;
      this.#refusedCount = 0;
    }
  }

  /** A script is not told why a handshake was refused; a request to a neighbour perhaps is. @throws CarryoverError */
  async #afterFailedHandshake(): Promise<void> {
    await this.#transport.send({ method: 'GET', path: 'v1/sessions?limit=1', signal: this.#signal });
    this.#failedHandshakes++;
    if (this.#failedHandshakes >= HANDSHAKES_MAX) this.#transport.hasWebSockets ??= false;
  }

  #onText(socket: MessageSocket, { id, error }: Readonly<Record<string, unknown>>): void {
    if (error !== undefined) return id === undefined ? this.#onRefusal(problemError(error)) : this.#onError(id, problemError(error));
    if (socket.isGreeted) throw unreadable('two first messages on a WebSocket');
    socket.isGreeted = true;
    this.#transport.hasWebSockets = true;
    this.#sendAll();
  }

  /** Of a message that the service has not read, so that it does not say of which. @throws the error if it does not pass */
  #onRefusal(error: CarryoverError): void {
    if (!isPassing(error, 1)) throw error;
    this.#refusedCount++;
    this.#refusal = error;
    void this.#sendRefused();
  }

  /** When only refused messages are without an answer, it is known which they are. */
  async #sendRefused(): Promise<void> {
    const refusal = this.#refusal;
    if (!refusal || this.#refusedCount === 0 || this.#awaited.size > this.#refusedCount) return;
    this.#awaited.clear();
    this.#refusedCount = 0;
    try {
      await this.#waitAfter(refusal);
    } catch (error) {
      return this.#fail(error);
    }
    this.#refusal = undefined;
    this.#sendAll();
  }

  /** @throws the error if it is none of an item */
  #onError(id: unknown, error: CarryoverError): void {
    const entry = this.#unanswered.get(String(id));
    if (!entry) throw error;
    this.#awaited.delete(entry);
    entry.attempts++;
    if (error.applied !== 'no') entry.mayBeApplied = true;
    if (!isPassing(error, entry.attempts)) return this.#settle(entry, failed(error, error.applied ?? 'no'));
    void this.#sendAgain(entry, error);
    void this.#sendRefused();
  }

  /** After a while, or it has failed with the error. */
  async #sendAgain(entry: Entry, error: CarryoverError): Promise<void> {
    entry.isResting = true;
    entry.patience ??= this.#transport.patience({ signal: this.#signal });
    try {
      await entry.patience.waitAfter(error);
    } catch {
      // Where the signal has aborted, all of the stream has failed.
      if (!this.#signal.aborted) this.#settle(entry, failed(error, entry.mayBeApplied ? 'unknown' : (error.applied ?? 'no')));
      return;
    }
    entry.isResting = false;
    this.#send(entry);
    this.#readAhead.pulse.beat();
  }

  #onAnswer({ fields: { id, replayed }, session, ...tensors }: Result): void {
    const entry = this.#unanswered.get(String(id));
    if (!entry || !session) throw unreadable(entry ? 'an answer on a WebSocket without session' : `an answer to message ${String(id)}, which was not expected`);
    const { etag, mark } = markAndEtag(session);
    this.#settle(entry, { ...withoutAdded(entry, tensors), session: mark!, status: 200, applied: 'yes', replayed: String(replayed) === 'true' }, etag);
  }

  /** The first items of all sessions in one call, where there are no WebSockets. @throws as sendBatch() */
  async #postFirsts(): Promise<void> {
    const entries = [...this.#unanswered.values()].filter(({ bytes, isResting }) => bytes !== undefined && !isResting);
    if (entries.length === 0) return this.#readAhead.pulse.next();
    await this.#post(entries);
  }

  async #postLarge(entry: Entry): Promise<void> {
    entry.isResting = true;
    await this.#post([entry]).catch((error: unknown) => this.#fail(error));
  }

  /** @throws as sendBatch() */
  async #post(entries: readonly Entry[]): Promise<void> {
    const items = entries.map(({ item }) => ({ ...item, ifMatch: item.ifMatch ?? this.#queues.etagOf(item.session) }));
    for (const entry of entries) [entry.wasSent, entry.mayBeApplied] = [true, true];
    const results = await sendBatch(this.#transport, items, this.#signal);
    for (const [k, entry] of entries.entries()) {
      const { session, ...rest } = results[k]!;
      const { etag, mark } = markAndEtag(session);
      this.#settle(entry, { ...rest, ...(mark && { session: mark }) }, etag);
    }
  }

  /** @param etag of the state with which it was answered */
  #settle(entry: Entry, result: BatchResult, etag?: string): void {
    const queue = this.#queues.settle(entry, result, etag);
    this.#unanswered.delete(entry.id);
    this.#awaited.delete(entry);
    this.#patience = undefined;
    this.#readAhead.push({ item: entry.given, ...result });
    this.#begin(queue);
    this.#changed();
    void this.#sendRefused();
  }

  /** What was not sent need not be; what was sent is answered first, so that nothing is applied after the end. */
  #dropUnsent(): void {
    for (const entry of this.#unanswered.values()) {
      const { id, wasSent, isResting, mayBeApplied } = entry;
      if (wasSent && !(isResting && !mayBeApplied)) continue;
      this.#unanswered.delete(id);
      this.#queues.remove(entry);
    }
    this.#changed();
  }

  #fail(error: unknown): void {
    const isUncertain = this.#awaited.size > 0 || [...this.#unanswered.values()].some(({ mayBeApplied }) => mayBeApplied);
    this.#readAhead.fail(isUncertain && error instanceof CarryoverError ? asUnknown(error) : error);
    this.#changed();
  }

  #changed(): void {
    if (this.#readAhead.isOver) this.#socket?.close();
    this.#readAhead.pulse.beat();
  }
}
