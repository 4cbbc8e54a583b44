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
import { readIfMatch } from './if-match.ts';
import { type MessageAnswer, MESSAGE_BYTES_MAX } from '../websocket/message-socket.ts';
import type { MessageSockets } from '../plugins/websocket.ts';
import { frameProblem } from '../responses/problem.ts';
import { problemResponses } from '../schemas/problem.ts';
import { IdParams } from './schemas.ts';
import { STREAM_DESCRIPTION } from './stream-schemas.ts';
import { HASHED_BYTES_MAX, keyText, markOf, sha256, sha256InTurns } from './session-call.ts';
import { validationError } from '../validation.ts';
import { type Computation, expectSessionOnly } from '../compute/computation.ts';
import { type Frame, type Validate, openFrame, readCall, readFrame } from './stream-frames.ts';

export interface SessionStreamOptions {
  readonly sockets: MessageSockets;
  readonly budget: BodyBudget;
  readonly sessions: Sessions;
  readonly sessionCompute: SessionCompute;
  readonly isClosing: () => boolean;
  readonly bodyBytesMax: number;
  /** From when a frame has its turn until it must be answered. */
  readonly deadlineMs: number;
  /** Frames of one connection that may wait. */
  readonly sessionQueueMax: number;
}

interface ById {
  readonly Params: Static<typeof IdParams>;
}

/** Behind these there is nothing left to do on the connection. */
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
        log.info({ url, closeCode, frames: stream.count, durationMs }, 'stream');
      });
    },
  });
}

/** Matches no state: the frame before was refused. */
const NO_ETAG = 'previous, and the frame before was refused';

/** What one connection says. */
class SessionStream {
  readonly #request: FastifyRequest<ById>;
  readonly #options: SessionStreamOptions;
  /** Of the frame that is being answered: frames wait for each other. */
  #lifetime: Lifetime | undefined;
  #isClosed = false;
  /** Of the state that was told last: `previous` in if_match stands for it. */
  #etag = NO_ETAG;
  /** Frames so far. */
  count = 0;

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
    this.count++;
    const { jsonCodec } = this.#options.sessionCompute;
    let id: unknown;
    let frame: Frame | undefined;
    const previous = this.#etag;
    // Unless this frame is answered, the next has no previous one.
    this.#etag = NO_ETAG;
    const lifetime = this.#beginLifetime();
    try {
      frame = await openFrame(jsonCodec, message, isBinary, lifetime);
      id = isTag(frame.id) ? frame.id : undefined;
      const { key, if_match } = readCall(frame, this.#validate);
      const { computation, answerOf } = readFrame(frame, this.#validate);
      expectThisSession(computation, this.#request.params.id);
      this.#expectServing();
      const call: Call = {
        ifMatch:
          if_match === 'previous' ? [previous] : readIfMatch(if_match, 'if_match', '/if_match'),
        key: key === undefined ? undefined : await idempotencyKeyOf(key, message, isBinary),
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
      const mayHaveKey = frame ? typeof frame.call.key === 'string' : !isUnreadable(error);
      return this.problem(error, `${this.#request.id}/${this.count}`, mayHaveKey, id);
    } finally {
      lifetime.close();
      frame?.release();
    }
  }

  problem(cause: unknown, instance: string, mayHaveKey: boolean, id?: unknown) {
    const error = frameProblem(cause, instance, this.#request.log, mayHaveKey);
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
  const message = `The frame names session ${JSON.stringify(session)}, the address ${id}.`;
  throw new CarryoverError('invalid_request', {
    detail: message,
    errors: [{ pointer: '/session', message }],
  });
}

/** A frame of these bytes can never have been applied. */
function isUnreadable(error: unknown): boolean {
  const codes: readonly ErrorCode[] = [
    'malformed_json',
    'duplicate_key',
    'malformed_safetensors',
    // Of a long frame the tensors are looked at as it is read.
    'invalid_request',
    'ragged_array',
    'out_of_range',
  ];
  return error instanceof CarryoverError && codes.includes(error.code);
}

/** A repeated frame has the same bytes. */
async function idempotencyKeyOf(key: string, message: Buffer, isBinary: boolean) {
  const kind = isBinary ? 'binary' : 'text';
  const digest = message.length > HASHED_BYTES_MAX ? await sha256InTurns(message) : sha256(message);
  return { key: keyText(key, 'key', '/key'), digest: sha256(`frame ${kind} ${digest}`) };
}

function streamMarkOf(session: Session) {
  return { ...markOf(session), etag: etagOf(session) };
}

function isTag(id: unknown): id is string | number {
  if (typeof id === 'number') return Math.abs(id) <= Number.MAX_SAFE_INTEGER;
  return typeof id === 'string' && id.length <= 128;
}
