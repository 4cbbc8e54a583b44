// The items of a batch as calls on their sessions: those of one session one after another, all others side by side.
import type { FastifyRequest } from 'fastify';
import { type ResponseBody, numbersOfBody } from '../../codec/response-body.ts';
import type { Limits } from '../../engine/shapes.ts';
import { CarryoverError, invalidRequest } from '../../errors.ts';
import { sessionHash } from '../../session-hash.ts';
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

  constructor(parts: ItemCallsParts, request: FastifyRequest, printer: EntryPrinter<Entry>) {
    this.#parts = parts;
    this.#request = request;
    this.#calls = new MessageCalls(parts, request);
    this.#printer = printer;
    this.#numbersLeft = parts.limits.answerNumbers;
  }

  /** The entries of all items, in their order. Does not reject: what fails is the entry of its item. */
  async answerAll(items: readonly BatchItem[]): Promise<Entry[]> {
    const entries: Entry[] = [];
    const queues = [...Map.groupBy(items.keys(), (k) => queueOf(items[k]!) ?? k).values()];
    const answerQueues = async () => {
      for (let queue = queues.shift(); queue; queue = queues.shift()) {
        let etag = NO_ETAG;
        let keys = 0;
        for (const k of queue) {
          const item = hasKey(items[k]!) && ++keys > KEYS_MAX ? tooManyKeys() : items[k]!;
          const { entry, after } = await this.#answer(item, k, etag);
          entries[k] = entry;
          etag = after ? etagOf(after) : NO_ETAG;
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(AT_ONCE_MAX, queues.length) }, answerQueues));
    return entries;
  }

  async #answer(item: BatchItem, index: number, previousEtag: string): Promise<{ readonly entry: Entry; readonly after?: Session }> {
    if (item instanceof CarryoverError) return { entry: this.#problem(item, index) };
    const startMs = performance.now();
    using lifetime = this.#request.lifetime.share();
    const { trace } = this.#request.raw;
    lifetime.record.trace = trace && this.#parts.tracer?.beginMessage(trace);
    // Of its entry. An item that is computed again, as another process has changed its session meanwhile, is printed again.
    let numbers = 0;
    const returnNumbers = () => {
      this.#numbersLeft += numbers;
      numbers = 0;
    };
    try {
      // The first is the request itself.
      const taken = index === 0 ? undefined : this.#request.usage?.takeRequest();
      if (taken) await taken;
      const print = (body: ResponseBody) => {
        returnNumbers();
        numbers = this.#takeNumbers(body);
        return this.#printer.ofResult({ ...body, fields: { status: 200, ...body.fields } }, lifetime);
      };
      const { printed, after } = await this.#calls.advance(item, previousEtag, lifetime, print);
      return { entry: printed, after };
    } catch (error) {
      returnNumbers();
      lifetime.record.errorCode = toCarryoverError(error as Error).code;
      return { entry: this.#problem(error, index, item) };
    } finally {
      this.#parts.onMessageEnd?.(lifetime.record, performance.now() - startMs);
      this.#parts.tracer?.onMessageEnd(lifetime.record);
    }
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
