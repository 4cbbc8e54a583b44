// Steps and sequences as messages that name their sessions: the items of a batch, and the messages of a socket for many
// sessions.
import type { FastifyRequest } from 'fastify';
import type { ResponseBody } from '../../codec/response-body.ts';
import type { SessionCompute } from '../../engine/session-compute.ts';
import type { SessionStep } from '../../engine/session-group.ts';
import { invalidRequest } from '../../errors.ts';
import type { Lifetime } from '../../lifetime.ts';
import type { Call } from '../../sessions/call.ts';
import { type Session, etagOf } from '../../sessions/session.ts';
import type { Sessions } from '../../sessions/sessions.ts';
import { numbersOf } from '../../tensor.ts';
import { expectSessionOnly } from '../compute/computation.ts';
import { messageProblem } from '../responses/problem.ts';
import { validationError } from '../validation.ts';
import { readIfMatch } from './if-match.ts';
import { ITEM_NUMBERS_MAX, keyOfItem, keyOfLargeItem } from './idempotency-key.ts';
import { sessionMark } from './representation.ts';
import { type MessageComputation, type SocketMessage, type Validate, isObject, isTag, readCall, readComputation } from './socket-message.ts';

export interface MessageCallsParts {
  readonly sessions: Sessions;
  readonly sessionCompute: SessionCompute;
}

/** Prints an answer while the tensors of its result are valid. */
export type PrintMessage<Printed> = (body: ResponseBody, lifetime: Lifetime) => Printed | Promise<Printed>;

/** What a message is answered with. */
export interface MessageContext<Printed> {
  /** What `previous` in its if_match stands for. */
  readonly previousEtag: string;
  readonly lifetime: Lifetime;
  readonly print: PrintMessage<Printed>;
}

/** No ETag: for `previous` of a message whose session has no earlier one, or one that was refused. */
export const NO_ETAG = 'previous, and the message before it was refused, or there was none';

export class MessageCalls {
  readonly #parts: MessageCallsParts;
  readonly #request: FastifyRequest;

  /** @param request the batch, or the handshake */
  constructor(parts: MessageCallsParts, request: FastifyRequest) {
    this.#parts = parts;
    this.#request = request;
  }

  /**
   * @param step as stepOf() has read the message, with the same context; undefined if it is no step, or is to be read here
   * @throws invalid_request · as SessionCompute.advance
   */
  async advance<Printed>(
    message: SocketMessage,
    context: MessageContext<Printed>,
    step?: SessionStep<Printed>,
  ): Promise<{ readonly printed: Printed; readonly after: Session }> {
    const { id, call, input, print } = step ?? (await this.#callOf(message, context));
    return this.#parts.sessionCompute.advance(id, call, input, print);
  }

  /** @throws invalid_request · session_not_found and others of Sessions.read */
  async #callOf<Printed>(
    message: SocketMessage,
    { previousEtag, lifetime, print }: MessageContext<Printed>,
  ): Promise<SessionStep<Printed>> {
    const { sessions, sessionCompute } = this.#parts;
    const { key, if_match } = readCall(message, this.#validate);
    const sessionId = sessionIdOf(message);
    if (sessionId === undefined) {
      if (!isObject(message.body)) throw invalidRequest('Expected an object with `session` and `x`.', '', 'no');
      throw invalidRequest('Expected `session` to be the id of a session.', '/session', 'no');
    }
    const stepAxes = await sessionCompute.stepAxesOf(await sessions.read(sessionId, lifetime.tenant));
    const read = this.#read(message, stepAxes);
    const { x } = read.computation.input;
    const ifMatch = ifMatchOf(if_match, previousEtag);
    const isLarge = numbersOf(x) > ITEM_NUMBERS_MAX;
    const itemKey = isLarge ? await keyOfLargeItem(key, message.body, x) : keyOfItem(key, message.body, x);
    return stepOf(message, sessionId, read, { ifMatch, key: itemKey, lifetime }, print);
  }

  /**
   * The message as a step that SessionCompute.advanceTogether() takes; undefined if it is none, if its x is so large that
   * nothing is gained, or if it is to be refused: advance() is for it then.
   */
  stepOf<Printed>(
    message: SocketMessage,
    { previousEtag, lifetime, print }: MessageContext<Printed>,
  ): SessionStep<Printed> | undefined {
    const sessionId = sessionIdOf(message);
    if (sessionId === undefined) return undefined;
    const stepAxes = this.#parts.sessionCompute.stepAxesIfCached(sessionId);
    if (stepAxes === undefined || message.rank !== stepAxes) return undefined;
    try {
      const { key, if_match } = readCall(message, this.#validate);
      const read = this.#read(message, stepAxes);
      const { x } = read.computation.input;
      if (numbersOf(x) > ITEM_NUMBERS_MAX) return undefined;
      const ifMatch = ifMatchOf(if_match, previousEtag);
      return stepOf(message, sessionId, read, { ifMatch, key: keyOfItem(key, message.body, x), lifetime }, print);
    } catch {
      return undefined;
    }
  }

  /** A step or a sequence. @throws invalid_request · ragged_array */
  #read(message: SocketMessage, stepAxes: 1 | 2): MessageComputation {
    const read = readComputation(message, stepAxes, this.#validate);
    expectSessionOnly(read.computation);
    return read;
  }

  /**
   * The problem with which a message is answered.
   *
   * @param name of the message within the request
   * @param message undefined if it could not be read
   */
  problem(
    cause: unknown,
    name: string | number,
    message: SocketMessage | undefined,
    mayHaveKey = !message || typeof message.call.key === 'string',
  ) {
    return messageProblem(cause, `${this.#request.id}/${name}`, this.#request, mayHaveKey);
  }

  readonly #validate: Validate = (schema, value) => {
    const isValid = this.#request.compileValidationSchema(schema, 'body');
    if (!isValid(value)) throw validationError(isValid.errors as never);
  };
}

function ifMatchOf(if_match: string | undefined, previousEtag: string): Call['ifMatch'] {
  return if_match === 'previous' ? [previousEtag] : readIfMatch(if_match, 'if_match', '/if_match');
}

function stepOf<Printed>(
  message: SocketMessage,
  sessionId: string,
  { computation, responseBodyOf }: MessageComputation,
  call: Call,
  print: PrintMessage<Printed>,
): SessionStep<Printed> {
  const id = isTag(message.id) ? message.id : undefined;
  return {
    id: sessionId,
    call,
    input: computation.input,
    print: (result, session, isReplay) => {
      const fields = { id, session: { ...sessionMark(session), etag: etagOf(session) }, replayed: isReplay || undefined };
      return print({ ...responseBodyOf(result), fields }, call.lifetime);
    },
  };
}

/** The session that a message names; undefined if it names none. */
export function sessionIdOf({ body, isFile }: SocketMessage): string | undefined {
  const holder = isFile ? (body as { metadata: object }).metadata : body;
  const { session } = (holder ?? {}) as { session?: unknown };
  return typeof session === 'string' ? session : undefined;
}
