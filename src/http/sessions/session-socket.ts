// The messages of a WebSocket on one session, each answered in its turn.
import type { FastifyRequest } from 'fastify';
import { type ResponseBody, toJsonSegments, toSafetensors } from '../../codec/response-body.ts';
import type { SessionCompute } from '../../engine/session-compute.ts';
import type { ErrorCode } from '../../error-kinds.ts';
import { CarryoverError } from '../../errors.ts';
import { Lifetime } from '../../lifetime.ts';
import { type Session, etagOf } from '../../sessions/session.ts';
import type { Call } from '../../sessions/call.ts';
import type { Sessions } from '../../sessions/sessions.ts';
import type { RequestRecord } from '../../request-record.ts';
import { accessRefusal } from '../access.ts';
import { messageProblem, toCarryoverError } from '../responses/problem.ts';
import { readIfMatch } from './if-match.ts';
import { keyOfMessage } from './idempotency-key.ts';
import { sessionMark } from './representation.ts';
import type { Tracer } from '../tracer.ts';
import { validationError } from '../validation.ts';
import { CLOSE_CODES } from '../websocket/close-codes.ts';
import { type ResponseMessage } from '../websocket/message-socket.ts';
import { type Computation, expectSessionOnly } from '../compute/computation.ts';
import { type SocketMessage, type Validate, isTag, isUnreadable, openMessage, readCall, readComputation } from './socket-message.ts';

/** Called when the answer to a message is ready, also if it is an error. */
export type MessageEndListener = (record: RequestRecord, durationMs: number) => void;

export interface SessionSocketParts {
  readonly sessions: Sessions;
  readonly sessionCompute: SessionCompute;
  readonly isClosing: () => boolean;
  /** For the response to one message, from when the one before it has been answered. */
  readonly deadlineMs: number;
  /** Undefined if nobody wants to know. */
  readonly onMessageEnd: MessageEndListener | undefined;
  /** Undefined if no spans are made. */
  readonly tracer: Tracer | undefined;
}

/** Errors that close the connection, with their close codes: no later message could be answered. */
const CLOSING_ERRORS: Partial<Record<ErrorCode, number>> = {
  unauthenticated: CLOSE_CODES.unauthenticated,
  session_not_found: 4404,
  session_gone: 4410,
};

/** No ETag: in place of one, for messages after a refused one. It is quoted in their step_conflict. */
const NO_ETAG = 'previous, and the message before was refused';

interface ReceivedMessage {
  readonly data: Buffer;
  readonly isBinary: boolean;
  /** That `previous` in its if_match stands for. */
  readonly previousEtag: string;
}

/** Answers the messages of one connection, one at a time. */
export class SessionSocket {
  readonly #sessionId: string;
  /** The handshake. */
  readonly #request: FastifyRequest;
  readonly #parts: SessionSocketParts;
  /** Of the message that is being answered. */
  #lifetime: Lifetime | undefined;
  #isClosed = false;
  /** Of the state that was answered with last: `previous` in if_match stands for it. */
  #etag = NO_ETAG;
  /** Axes of the x of a step; known once the session was read. */
  #stepAxes: 1 | 2 | undefined;
  /** Messages received so far. */
  messageCount = 0;

  constructor(sessionId: string, request: FastifyRequest, parts: SessionSocketParts) {
    this.#sessionId = sessionId;
    this.#request = request;
    this.#parts = parts;
  }

  /** To be called when the connection is closed. */
  close(): void {
    this.#isClosed = true;
    this.#lifetime?.close();
  }

  async greet(): Promise<ResponseMessage> {
    try {
      const session = await this.#parts.sessions.read(this.#sessionId, this.#request.lifetime.tenant);
      this.#etag = etagOf(session);
      this.#stepAxes = await this.#parts.sessionCompute.stepAxesOf(session);
      return { data: JSON.stringify({ session: socketMarkOf(session) }), isBinary: false };
    } catch (error) {
      return this.problem(error, this.#request.id, false);
    }
  }

  /** Does not reject: what fails is answered with its problem. */
  async respond(data: Buffer, isBinary: boolean): Promise<ResponseMessage> {
    this.messageCount++;
    const previousEtag = this.#etag;
    // A message after a refused one has no previous state.
    this.#etag = NO_ETAG;
    using lifetime = this.#beginLifetime();
    const startMs = performance.now();
    const response = await this.#respondWithin(lifetime, data, isBinary, previousEtag);
    this.#parts.onMessageEnd?.(lifetime.record, performance.now() - startMs);
    this.#parts.tracer?.onMessageEnd(lifetime.record);
    return response;
  }

  async #respondWithin(
    lifetime: Lifetime,
    data: Buffer,
    isBinary: boolean,
    previousEtag: string,
  ): Promise<ResponseMessage> {
    try {
      // Before the message is read, as a request is before its body is.
      const taken = this.#request.usage?.takeRequest();
      if (taken) await taken;
      const { jsonCodec } = this.#parts.sessionCompute;
      using message = await openMessage(jsonCodec, data, isBinary, lifetime);
      return await this.#advance(message, { data, isBinary, previousEtag }, lifetime);
    } catch (error) {
      return this.#messageProblem(error, lifetime, !isUnreadable(error));
    }
  }

  /** Does not reject either: from here on a problem has the id of its message. */
  async #advance(
    message: SocketMessage,
    { data, isBinary, previousEtag }: ReceivedMessage,
    lifetime: Lifetime,
  ): Promise<ResponseMessage> {
    const id = isTag(message.id) ? message.id : undefined;
    try {
      const { key, if_match } = readCall(message, this.#validate);
      const stepAxes = this.#stepAxes ?? (await this.#readStepAxes());
      const { computation, responseBodyOf } = readComputation(message, stepAxes, this.#validate);
      const refusal = accessRefusal(this.#request);
      if (refusal) throw refusal;
      expectThisSession(computation, this.#sessionId);
      this.#expectServing();
      const call: Call = {
        ifMatch:
          if_match === 'previous' ? [previousEtag] : readIfMatch(if_match, 'if_match', '/if_match'),
        key: await keyOfMessage(key, data, isBinary),
        lifetime,
      };
      const { printed, after } = await this.#parts.sessionCompute.advance<Buffer>(
        this.#sessionId,
        call,
        computation.input,
        (result, session, isReplay) => {
          const fields = { id, session: socketMarkOf(session), replayed: isReplay || undefined };
          return this.#print({ ...responseBodyOf(result), fields }, isBinary, lifetime);
        },
      );
      this.#etag = etagOf(after);
      return { data: printed, isBinary };
    } catch (error) {
      return this.#messageProblem(error, lifetime, typeof message.call.key === 'string', id);
    }
  }

  /** The first message could not be sent: the session was not read yet. */
  async #readStepAxes(): Promise<1 | 2> {
    const { sessions, sessionCompute } = this.#parts;
    this.#stepAxes = await sessionCompute.stepAxesOf(await sessions.read(this.#sessionId, this.#request.lifetime.tenant));
    return this.#stepAxes;
  }

  #print(body: ResponseBody, isBinary: boolean, lifetime: Lifetime): Buffer | Promise<Buffer> {
    if (isBinary) return lifetime.record.measure('printMs', () => toSafetensors(body));
    return this.#parts.sessionCompute.jsonCodec.stringifyToBuffer(toJsonSegments(body), lifetime);
  }

  #messageProblem(error: unknown, { record }: Lifetime, mayHaveKey: boolean, id?: string | number): ResponseMessage {
    record.errorCode = toCarryoverError(error as Error).code;
    return this.problem(error, `${this.#request.id}/${this.messageCount}`, mayHaveKey, id);
  }

  problem(cause: unknown, instance: string, mayHaveKey: boolean, id?: unknown) {
    const error = messageProblem(cause, instance, this.#request, mayHaveKey);
    const data = JSON.stringify({ error, id });
    return { data, isBinary: false, closeCode: CLOSING_ERRORS[error.code] };
  }

  readonly #validate: Validate = (schema, value) => {
    const isValid = this.#request.compileValidationSchema(schema, 'body');
    if (!isValid(value)) throw validationError(isValid.errors as never);
  };

  #beginLifetime(): Lifetime {
    const { raw, lifetime: handshake } = this.#request;
    const lifetime = new Lifetime(raw.socket, this.#parts.deadlineMs, handshake.tenant);
    lifetime.usage = this.#request.usage;
    lifetime.record.trace = raw.trace && (this.#parts.tracer?.beginMessage(raw.trace) ?? raw.trace);
    this.#lifetime = lifetime;
    if (this.#isClosed) lifetime.close();
    return lifetime;
  }

  #expectServing(): void {
    if (!this.#parts.isClosing()) return;
    throw new CarryoverError('shutting_down', { detail: 'This instance accepts no new requests.' });
  }
}

function expectThisSession(computation: Computation, id: string): void {
  const { session = id } = computation;
  if (session === id) return expectSessionOnly(computation);
  const message = `The message names session ${JSON.stringify(session)}, the address ${id}.`;
  throw new CarryoverError('invalid_request', {
    detail: message,
    errors: [{ pointer: '/session', message }],
  });
}

function socketMarkOf(session: Session) {
  return { ...sessionMark(session), etag: etagOf(session) };
}
