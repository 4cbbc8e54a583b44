// The items of a batch as calls on their sessions: those of one session one after another, all others side by side.
import { setImmediate as nextIteration } from 'node:timers/promises';
import type { FastifyRequest } from 'fastify';
import { type ResponseBody, numbersOfBody } from '../../codec/response-body.ts';
import type { Limits } from '../../engine/shapes.ts';
import { CarryoverError, invalidRequest } from '../../errors.ts';
import type { SessionStep } from '../../engine/session-group.ts';
import { sessionHash } from '../../session-hash.ts';
import type { Lifetime } from '../../lifetime.ts';
import { type Session, etagOf } from '../../sessions/session.ts';
import { toCarryoverError } from '../responses/problem.ts';
import { MessageCalls, type MessageCallsParts, NO_ETAG, type PrintMessage, sessionIdOf } from '../sessions/message-calls.ts';
import { type SocketMessage, isTag } from '../sessions/socket-message.ts';
import type { MessageEndListener } from '../sessions/session-socket.ts';
import type { Tracer } from '../tracer.ts';
import type { BatchItem } from './batch-body.ts';

export interface ItemCallsParts extends MessageCallsParts {
  readonly limits: Pick<Limits, 'answerNumbers'>;
  /** Undefined if no spans are made. */
  readonly tracer: Tracer | undefined;
  /** Undefined if nobody wants to know. */
  readonly onMessageEnd: MessageEndListener | undefined;
}

/** Prints an entry: of a result, while its tensors are valid, or of a problem. */
export interface EntryPrinter<Entry> {
  readonly ofResult: PrintMessage<Entry>;
  readonly ofProblem: (fields: Readonly<Record<string, unknown>>) => Entry;
}

/** Keys that a session remembers: with more of them in one batch, the first ones would count again when it is repeated. */
const KEYS_MAX = 64;
/** Failed items that the log names. */
const FAILURES_LOGGED_MAX = 10;
/** Items that are computed at once: as many as one client may have in the queue for workers, by default. */
const AT_ONCE_MAX = 64;

/** For so long items are read before the event loop goes on: the keys of 256 items can be digests of 32 MiB. */
const READING_MS_MAX = 2;
/** Items that begin alone in one iteration of the event loop: each may take half a millisecond of it. */
const BEGIN_AT_ONCE_MAX = 8;

/** An item that is being answered. */
interface ItemCall<Entry> {
  readonly item: SocketMessage;
  /** Its place in the batch. */
  readonly index: number;
  readonly startMs: number;
  readonly lifetime: Lifetime;
  /** Whether it was counted among the requests of its tenant, or is being counted. */
  isCounted: boolean;
  counting: Promise<void> | undefined;
  /** As it was read; undefined if it was not read, or cannot be advanced together with others. */
  step: SessionStep<Entry> | undefined;
  /** Of its entry. An item that is computed again, as another process has changed its session meanwhile, is printed again. */
  numbers: number;
  readonly print: PrintMessage<Entry>;
}

/** An entry, and the session after the item; without it if the item was refused. */
interface Answered<Entry> {
  readonly entry: Entry;
  readonly after?: Session;
}

export class ItemCalls<Entry> {
  readonly #parts: ItemCallsParts;
  readonly #request: FastifyRequest;
  readonly #calls: MessageCalls;
  readonly #printer: EntryPrinter<Entry>;
  /** How many items have failed so far, and what the first of them have failed with. */
  failed = 0;
  readonly failures: { readonly session: string | undefined; readonly code: string }[] = [];
  /** That further entries may have: all entries are in memory until the last one is there. */
  #numbersLeft: number;
  #begunAlone = 0;
  /** Of the item that began last; see #takeTurn. */
  #turn: Promise<void> = Promise.resolve();

  constructor(parts: ItemCallsParts, request: FastifyRequest, printer: EntryPrinter<Entry>) {
    this.#parts = parts;
    this.#request = request;
    this.#calls = new MessageCalls(parts, request);
    this.#printer = printer;
    this.#numbersLeft = parts.limits.answerNumbers;
  }

  /**
   * The entries of all items, in their order. The first items of all sessions are computed together, those behind them one
   * after another. Does not reject: what fails is the entry of its item.
   */
  async answerAll(items: readonly BatchItem[]): Promise<Entry[]> {
    const entries: Entry[] = [];
    const queues = [...Map.groupBy(items.keys(), (k) => queueOf(items[k]!) ?? k).values()];
    const firsts = queues.map(([k]) => this.#begin(items[k!]!, k!));
    const together = await this.#advanceTogether(firsts.filter((call) => call !== undefined));
    let next = 0;
    const answerQueues = async () => {
      for (let q = next++; q < queues.length; q = next++) {
        let etag = NO_ETAG;
        let keys = 0;
        for (const [n, k] of queues[q]!.entries()) {
          const item = hasKey(items[k]!) && ++keys > KEYS_MAX ? tooManyKeys() : items[k]!;
          const call = n === 0 ? firsts[q] : this.#begin(item, k);
          const { entry, after } =
            call === undefined
              ? { entry: this.#problem(item, k) }
              : (together.get(call) ?? (await this.#advance(call, etag)));
          entries[k] = entry;
          etag = after ? etagOf(after) : NO_ETAG;
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(AT_ONCE_MAX, queues.length) }, answerQueues));
    return entries;
  }

  /** Undefined if the item was not read. */
  #begin(item: BatchItem, index: number): ItemCall<Entry> | undefined {
    if (item instanceof CarryoverError) return undefined;
    const lifetime = this.#request.lifetime.share();
    const { trace } = this.#request.raw;
    lifetime.record.trace = trace && this.#parts.tracer?.beginMessage(trace);
    const call: ItemCall<Entry> = {
      item,
      index,
      startMs: performance.now(),
      lifetime,
      isCounted: false,
      counting: undefined,
      step: undefined,
      numbers: 0,
      print: (body) => {
        this.#returnNumbers(call);
        call.numbers = this.#takeNumbers(body);
        return this.#printer.ofResult({ ...body, fields: { status: 200, ...body.fields } }, lifetime);
      },
    };
    return call;
  }

  /** The items that could be advanced together, or are refused; the others are to be advanced alone. */
  async #advanceTogether(calls: readonly ItemCall<Entry>[]): Promise<Map<ItemCall<Entry>, Answered<Entry>>> {
    const answered = new Map<ItemCall<Entry>, Answered<Entry>>();
    const together: ItemCall<Entry>[] = [];
    let untilMs = performance.now() + READING_MS_MAX;
    for (const call of calls) {
      if (performance.now() >= untilMs) {
        await nextIteration();
        untilMs = performance.now() + READING_MS_MAX;
      }
      call.step = this.#calls.stepOf(call.item, { ...call, previousEtag: NO_ETAG });
      if (!call.step) continue;
      try {
        const counting = this.#count(call);
        // A refusal may be held back: the others do not wait for it. It is awaited when the item is advanced alone.
        if (counting) void counting.catch(() => {});
        else together.push(call);
      } catch (error) {
        answered.set(call, this.#refuse(call, error));
      }
    }
    const outcomes = await Promise.all(this.#parts.sessionCompute.advanceTogether(together.map(({ step }) => step!)));
    for (const [k, call] of together.entries()) {
      const outcome = outcomes[k];
      if (outcome?.status === 'fulfilled') answered.set(call, this.#end(call, outcome.value));
      if (outcome?.status === 'rejected') answered.set(call, this.#refuse(call, outcome.reason));
    }
    return answered;
  }

  async #advance(call: ItemCall<Entry>, previousEtag: string): Promise<Answered<Entry>> {
    await this.#takeTurn();
    try {
      const counting = this.#count(call);
      if (counting) await counting;
      return this.#end(call, await this.#calls.advance(call.item, { ...call, previousEtag }, call.step));
    } catch (error) {
      return this.#refuse(call, error);
    }
  }

  /** Resolves in an iteration of the event loop in which few items begin alone. */
  #takeTurn(): Promise<void> {
    const isNext = this.#begunAlone > 0 && this.#begunAlone % BEGIN_AT_ONCE_MAX === 0;
    if (isNext) this.#turn = this.#turn.then(() => nextIteration());
    this.#begunAlone++;
    return this.#turn;
  }

  /** Counts the item among the requests of its tenant, once; the first is the request itself. @throws rate_limited */
  #count(call: ItemCall<Entry>): Promise<void> | undefined {
    if (!call.isCounted) {
      call.isCounted = true;
      call.counting = call.index === 0 ? undefined : this.#request.usage?.takeRequest();
    }
    return call.counting;
  }

  #end(call: ItemCall<Entry>, { printed, after }: { readonly printed: Entry; readonly after: Session }): Answered<Entry> {
    this.#note(call);
    return { entry: printed, after };
  }

  #refuse(call: ItemCall<Entry>, error: unknown): Answered<Entry> {
    const { item, index, lifetime } = call;
    this.#returnNumbers(call);
    lifetime.record.errorCode = toCarryoverError(error as Error).code;
    const entry = this.#problem(error, index, item);
    this.#note(call);
    return { entry };
  }

  #note({ lifetime, startMs }: ItemCall<Entry>): void {
    this.#parts.onMessageEnd?.(lifetime.record, performance.now() - startMs);
    this.#parts.tracer?.onMessageEnd(lifetime.record);
  }

  #returnNumbers(call: ItemCall<Entry>): void {
    this.#numbersLeft += call.numbers;
    call.numbers = 0;
  }

  /** To be called before the item is committed. @returns the numbers of its entry @throws limit_exceeded */
  #takeNumbers(body: ResponseBody): number {
    const numbers = numbersOfBody(body);
    if (numbers > this.#numbersLeft) {
      const max = this.#parts.limits.answerNumbers;
      const message =
        `The answer to this item has ${numbers} numbers, and ${this.#numbersLeft} are left of the ${max} that an answer to a batch may ` +
        'have (ANSWER_NUMBERS_MAX). Send the item in another call, or ask for less with `outputs`.';
      throw new CarryoverError('limit_exceeded', { detail: message, errors: [{ pointer: '', message }] });
    }
    this.#numbersLeft -= numbers;
    return numbers;
  }

  #problem(cause: unknown, index: number, item?: SocketMessage): Entry {
    const error = this.#calls.problem(cause, index, item);
    const session = item && sessionIdOf(item);
    this.failed++;
    if (this.failures.length < FAILURES_LOGGED_MAX) this.failures.push({ session: session && sessionHash(session), code: error.code });
    return this.#printer.ofProblem({ id: item && isTag(item.id) ? item.id : undefined, status: error.status, error });
  }
}

function queueOf(item: BatchItem): string | undefined {
  return item instanceof CarryoverError ? undefined : sessionIdOf(item);
}

function hasKey(item: BatchItem): boolean {
  return !(item instanceof CarryoverError) && item.call.key !== undefined;
}

function tooManyKeys(): CarryoverError {
  const message = `Expected at most ${KEYS_MAX} items with a key of one session in a batch, as many as it remembers. Send the others in another one.`;
  return invalidRequest(message, '/key', 'no');
}
