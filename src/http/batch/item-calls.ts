// The items of a batch as calls on their sessions: those of one session one after another, all others side by side.
import type { FastifyRequest } from 'fastify';
import type { ResponseBody } from '../../codec/response-body.ts';
import type { RecurrenceTensors } from '../../engine/result.ts';
import type { SessionCompute } from '../../engine/session-compute.ts';
import { CarryoverError, invalidRequest } from '../../errors.ts';
import type { Lifetime } from '../../lifetime.ts';
import type { Call } from '../../sessions/call.ts';
import { type Session, etagOf } from '../../sessions/session.ts';
import type { Sessions } from '../../sessions/sessions.ts';
import { expectSessionOnly } from '../compute/computation.ts';
import { messageProblem, toCarryoverError } from '../responses/problem.ts';
import { readIfMatch } from '../sessions/if-match.ts';
import { keyOfItem } from '../sessions/idempotency-key.ts';
import { sessionMark } from '../sessions/representation.ts';
import { type SocketMessage, type Validate, isTag, readCall, readComputation } from '../sessions/socket-message.ts';
import type { MessageEndListener } from '../sessions/socket-route.ts';
import { validationError } from '../validation.ts';
import type { BatchItem } from './batch-body.ts';

export interface ItemCallsParts {
  readonly sessions: Sessions;
  readonly sessionCompute: SessionCompute;
  /** Undefined if nobody wants to know. */
  readonly onMessageEnd: MessageEndListener | undefined;
}

/** Prints an entry: while the tensors of a result are valid, or of a problem. */
export interface EntryPrinter<Entry> {
  readonly ofResult: (body: ResponseBody, lifetime: Lifetime) => Entry | Promise<Entry>;
  readonly ofProblem: (fields: Readonly<Record<string, unknown>>) => Entry;
}

/** Items that are computed at once: as many as one client may have in the queue for workers, by default. */
const AT_ONCE_MAX = 64;
/** No ETag: for `previous` of an item whose session has no earlier one in the batch, or one that was refused. */
const NO_ETAG = 'previous, and no item before it was applied';

export class ItemCalls<Entry> {
  readonly #parts: ItemCallsParts;
  readonly #request: FastifyRequest;
  readonly #printer: EntryPrinter<Entry>;

  constructor(parts: ItemCallsParts, request: FastifyRequest, printer: EntryPrinter<Entry>) {
    this.#parts = parts;
    this.#request = request;
    this.#printer = printer;
  }

  /** The entries of all items, in their order. Does not reject: what fails is the entry of its item. */
  async answerAll(items: readonly BatchItem[]): Promise<Entry[]> {
    const entries: Entry[] = [];
    const queues = [...Map.groupBy(items.keys(), (k) => sessionOf(items[k]!) ?? k).values()];
    const workers = Array.from({ length: Math.min(AT_ONCE_MAX, queues.length) }, async () => {
      for (let queue = queues.shift(); queue; queue = queues.shift()) {
        let etag = NO_ETAG;
        for (const k of queue) {
          const { entry, after } = await this.#answer(items[k]!, k, etag);
          entries[k] = entry;
          etag = after ? etagOf(after) : NO_ETAG;
        }
      }
    });
    await Promise.all(workers);
    return entries;
  }

  async #answer(item: BatchItem, index: number, previousEtag: string): Promise<{ readonly entry: Entry; readonly after?: Session }> {
    if (item instanceof CarryoverError) return { entry: this.#problem(item, index, true) };
    const startMs = performance.now();
    using lifetime = this.#request.lifetime.share();
    const id = isTag(item.id) ? item.id : undefined;
    try {
      const taken = index === 0 ? undefined : this.#request.usage?.takeRequest();
      if (taken) await taken;
      return await this.#advance(item, id, previousEtag, lifetime);
    } catch (error) {
      lifetime.record.errorCode = toCarryoverError(error as Error).code;
      return { entry: this.#problem(error, index, typeof item.call.key === 'string', id) };
    } finally {
      this.#parts.onMessageEnd?.(lifetime.record, performance.now() - startMs);
    }
  }

  async #advance(item: SocketMessage, id: string | number | undefined, previousEtag: string, lifetime: Lifetime) {
    const { sessions, sessionCompute } = this.#parts;
    const { key, if_match } = readCall(item, this.#validate);
    const sessionId = sessionOf(item);
    if (sessionId === undefined) throw invalidRequest('Expected `session` to be the id of a session.', '/session', 'no');
    const stepAxes = await sessionCompute.stepAxesOf(await sessions.read(sessionId, lifetime.tenant));
    const { computation, responseBodyOf } = readComputation(item, stepAxes, this.#validate);
    expectSessionOnly(computation);
    const call: Call = {
      ifMatch: if_match === 'previous' ? [previousEtag] : readIfMatch(if_match, 'if_match', '/if_match'),
      key: keyOfItem(key, item.body, computation.input.x),
      lifetime,
    };
    const print = (result: RecurrenceTensors, session: Session, isReplay: boolean) => {
      const fields = { id, status: 200, session: { ...sessionMark(session), etag: etagOf(session) }, replayed: isReplay || undefined };
      return this.#printer.ofResult({ ...responseBodyOf(result), fields }, lifetime);
    };
    const { printed, after } = await sessionCompute.advance(sessionId, call, computation.input, print);
    return { entry: printed, after };
  }

  #problem(cause: unknown, index: number, mayHaveKey: boolean, id?: string | number): Entry {
    const error = messageProblem(cause, `${this.#request.id}/${index}`, this.#request, mayHaveKey);
    return this.#printer.ofProblem({ id, status: error.status, error });
  }

  readonly #validate: Validate = (schema, value) => {
    const isValid = this.#request.compileValidationSchema(schema, 'body');
    if (!isValid(value)) throw validationError(isValid.errors as never);
  };
}

/** The session that an item names; undefined if it names none. */
function sessionOf(item: BatchItem): string | undefined {
  if (item instanceof CarryoverError) return undefined;
  const { body, isFile } = item;
  const holder = isFile ? (body as { metadata: object }).metadata : body;
  const { session } = (holder ?? {}) as { session?: unknown };
  return typeof session === 'string' ? session : undefined;
}
