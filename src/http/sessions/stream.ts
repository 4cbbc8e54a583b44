// GET /v1/sessions/{id}/stream: a WebSocket on a session.
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Static } from 'typebox';
import { type ResponseBody, toJsonSegments, toSafetensors } from '../../codec/response-body.ts';
import type { SessionCompute } from '../../engine/session-compute.ts';
import type { ErrorCode } from '../../error-kinds.ts';
import { CarryoverError } from '../../errors.ts';
import { Lifetime } from '../../lifetime.ts';
import { type Session, etagOf } from '../../sessions/session.ts';
import type { Call } from '../../sessions/call.ts';
import type { Sessions } from '../../sessions/sessions.ts';
import type { BodyBudget } from '../bodies/body-budget.ts';
import { type MessageAnswer, MESSAGE_BYTES_MAX } from '../websocket/message-socket.ts';
import type { MessageSockets } from '../plugins/websocket.ts';
import { messageProblem } from '../responses/problem.ts';
import { problemResponses } from '../schemas/problem.ts';
import { IdParams } from './schemas.ts';
import { STREAM_DESCRIPTION } from './stream-schemas.ts';
import { readIfMatch } from './if-match.ts';
import { keyOfMessage } from './idempotency-key.ts';
import { sessionMark } from './representation.ts';
import { validationError } from '../validation.ts';
import { type Computation, expectSessionOnly } from '../compute/computation.ts';
import {
  type StreamMessage,
  type Validate,
  openMessage,
  readCall,
  readComputation,
} from './stream-message.ts';

export interface SessionStreamOptions {
  readonly sockets: MessageSockets;
  readonly budget: BodyBudget;
  readonly sessions: Sessions;
  readonly sessionCompute: SessionCompute;
  readonly isClosing: () => boolean;
  readonly bodyBytesMax: number;
  /** For the answer of one message, from when the one before it has been answered. */
  readonly deadlineMs: number;
  /** Messages of one connection that may wait. */
  readonly sessionQueueMax: number;
}

interface ById {
  readonly Params: Static<typeof IdParams>;
}

/** Errors that close the connection, with their close codes: no later message could be answered. */
const CLOSING_ERRORS: Partial<Record<ErrorCode, number>> = {
  session_not_found: 4404,
  session_gone: 4410,
};

export function sessionStreamRoute(
  app: FastifyInstance,
  options: SessionStreamOptions,
): void {
  const { sockets, budget } = options;
  app.route<ById>({
    method: 'GET',
    url: '/v1/sessions/:id/stream',
    schema: {
      operationId: 'streamSession',
      tags: ['sessions'],
      summary: 'Advance a session over a WebSocket',
      description: STREAM_DESCRIPTION,
      params: IdParams,
      response: {
        101: { description: 'The connection is a WebSocket from here on.', type: 'null' },
        ...problemResponses([
          'invalid_request',
          'session_not_found',
          'session_gone',
          'upgrade_required',
          'session_corrupt',
          'store_unavailable',
          'queue_full',
          'shutting_down',
        ]),
      },
    },
    preHandler: async ({ ws, params }, reply) => {
      if (!ws) return;
      // A refused connection is not used again.
      void reply.header('connection', 'close');
      await options.sessions.read(params.id);
    },
    handler: async (_, reply) => {
      void reply.header('upgrade', 'websocket').header('connection', 'upgrade, close');
      throw new CarryoverError('upgrade_required', {
        detail:
          'Expected a WebSocket handshake: GET with `Upgrade: websocket` and without a body. ' +
          '(Under Node.js before 24.9 the server accepts none.)',
      });
    },
    wsHandler: (socket, request) => {
      const startMs = performance.now();
      const stream = new SessionStream(request, options);
      sockets.add(socket, request.raw, {
        queueMax: options.sessionQueueMax,
        messageBytesMax: Math.min(options.bodyBytesMax, MESSAGE_BYTES_MAX),
        budget,
        sender: request.client ?? { bodyBytes: 0 },
        greet: () => stream.greet(),
        answer: (message, isBinary) => stream.answer(message, isBinary),
        problem: (error) => stream.problem(error, request.id, true).data,
      });
      socket.once('close', (closeCode) => {
        stream.close();
        const durationMs = performance.now() - startMs;
        const { url, log } = request;
        log.info({ url, closeCode, messages: stream.messageCount, durationMs }, 'stream');
      });
    },
  });
}

/** No ETag: in place of one, for messages after a refused one. It is quoted in their step_conflict. */
const NO_ETAG = 'previous, and the message before was refused';

/** Answers the messages of one connection. */
class SessionStream {
  readonly #request: FastifyRequest<ById>;
  readonly #options: SessionStreamOptions;
  /** Of the message that is being answered. */
  #lifetime: Lifetime | undefined;
  #isClosed = false;
  /** Of the state that was answered with last: `previous` in if_match stands for it. */
  #etag = NO_ETAG;
  /** Messages received so far. */
  messageCount = 0;

  constructor(request: FastifyRequest<ById>, options: SessionStreamOptions) {
    this.#request = request;
    this.#options = options;
  }

  /** To be called when the connection is closed. */
  close(): void {
    this.#isClosed = true;
    this.#lifetime?.close();
  }

  async greet(): Promise<MessageAnswer> {
    try {
      const session = await this.#options.sessions.read(this.#request.params.id);
      this.#etag = etagOf(session);
      return { data: JSON.stringify({ session: streamMarkOf(session) }), isBinary: false };
    } catch (error) {
      return this.problem(error, this.#request.id, false);
    }
  }

  async answer(message: Buffer, isBinary: boolean): Promise<MessageAnswer> {
    this.messageCount++;
    const { jsonCodec } = this.#options.sessionCompute;
    let id: unknown;
    let opened: StreamMessage | undefined;
    const previous = this.#etag;
    // A message after a refused one has no previous state.
    this.#etag = NO_ETAG;
    const lifetime = this.#beginLifetime();
    try {
      opened = await openMessage(jsonCodec, message, isBinary, lifetime);
      id = isTag(opened.id) ? opened.id : undefined;
      const { key, if_match } = readCall(opened, this.#validate);
      const { computation, answerOf } = readComputation(opened, this.#validate);
      expectThisSession(computation, this.#request.params.id);
      this.#expectServing();
      const call: Call = {
        ifMatch:
          if_match === 'previous' ? [previous] : readIfMatch(if_match, 'if_match', '/if_match'),
        key: await keyOfMessage(key, message, isBinary),
        lifetime,
      };
      const toJson = (body: ResponseBody) =>
        jsonCodec.stringifyToBuffer(toJsonSegments(body), lifetime);
      const write = isBinary ? (body: ResponseBody) => toSafetensors(body) : toJson;
      const { answer, after } = await this.#options.sessionCompute.advance<Buffer>(
        this.#request.params.id,
        call,
        computation.input,
        (result, session, isReplay) => {
          const replayed = isReplay || undefined;
          const fields = { id, session: streamMarkOf(session), replayed };
          return write({ ...answerOf(result), fields });
        },
      );
      this.#etag = etagOf(after);
      return { data: answer, isBinary };
    } catch (error) {
      const mayHaveKey = opened ? typeof opened.call.key === 'string' : !isUnreadable(error);
      return this.problem(error, `${this.#request.id}/${this.messageCount}`, mayHaveKey, id);
    } finally {
      lifetime.close();
      opened?.release();
    }
  }

  problem(cause: unknown, instance: string, mayHaveKey: boolean, id?: unknown) {
    const error = messageProblem(cause, instance, this.#request.log, mayHaveKey);
    const data = JSON.stringify({ error, id });
    return { data, isBinary: false, closeCode: CLOSING_ERRORS[error.code] };
  }

  readonly #validate: Validate = (schema, value) => {
    const isValid = this.#request.compileValidationSchema(schema, 'body');
    if (!isValid(value)) throw validationError(isValid.errors as never);
  };

  #beginLifetime(): Lifetime {
    const lifetime = new Lifetime(this.#request.raw.socket, this.#options.deadlineMs);
    this.#lifetime = lifetime;
    if (this.#isClosed) lifetime.close();
    return lifetime;
  }

  #expectServing(): void {
    if (!this.#options.isClosing()) return;
    throw new CarryoverError('shutting_down', { detail: 'This instance takes no new requests.' });
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

/** Whether a message of these bytes can never have been applied. */
function isUnreadable(error: unknown): boolean {
  const codes: readonly ErrorCode[] = [
    'malformed_json',
    'duplicate_key',
    'malformed_safetensors',
    // The tensors of a long message are checked while it is read.
    'invalid_request',
    'ragged_array',
    'out_of_range',
  ];
  return error instanceof CarryoverError && codes.includes(error.code);
}

function streamMarkOf(session: Session) {
  return { ...sessionMark(session), etag: etagOf(session) };
}

function isTag(id: unknown): id is string | number {
  if (typeof id === 'number') return Math.abs(id) <= Number.MAX_SAFE_INTEGER;
  return typeof id === 'string' && id.length <= 128;
}
