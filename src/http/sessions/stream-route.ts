// GET /v1/stream: a WebSocket for many sessions.
import type { FastifyRequest } from 'fastify';
import { type ResponseBody, toJsonSegments, toSafetensors } from '../../codec/response-body.ts';
import { CarryoverError } from '../../errors.ts';
import { Lifetime } from '../../lifetime.ts';
import { etagOf } from '../../sessions/session.ts';
import { accessRefusal } from '../access.ts';
import type { HttpServer } from '../http-server.ts';
import { toCarryoverError } from '../responses/problem.ts';
import { problemResponses } from '../schemas/problem.ts';
import { CLOSE_CODES } from '../websocket/close-codes.ts';
import { type ResponseMessage, MESSAGE_BYTES_MAX } from '../websocket/message-socket.ts';
import { refuseOtherPages, refuseWithoutUpgrade } from './handshake.ts';
import { MessageCalls, NO_ETAG, sessionIdOf } from './message-calls.ts';
import { type SocketMessage, isTag, isUnreadable, openMessage } from './socket-message.ts';
import type { SessionSocketOptions } from './socket-route.ts';
import { STREAM_DESCRIPTION } from './socket-schemas.ts';
import { StepCollector } from './step-collector.ts';

/** Messages that are answered at once: as many as one client may have in the queue for workers, by default. */
const CONCURRENCY = 64;
/** Sessions whose last ETag is kept for `previous`. */
const ETAGS_MAX = 10_000;

/** A Fastify plugin with the route. */
export async function streamRoute(app: HttpServer, options: SessionSocketOptions): Promise<void> {
  const { sockets, budget } = options;
  app.route({
    method: 'GET',
    url: '/v1/stream',
    config: { access: ['sessions', 'compute'] },
    schema: {
      operationId: 'streamSessions',
      tags: ['sessions'],
      summary: 'Advance many sessions over one WebSocket',
      description: STREAM_DESCRIPTION,
      response: {
        101: { description: 'The connection is a WebSocket from here on.', type: 'null' },
        ...problemResponses(['invalid_request', 'origin_not_allowed', 'upgrade_required', 'queue_full', 'shutting_down']),
      },
    },
    onRequest: refuseOtherPages(options.cors),
    preHandler: async ({ ws, usage }) => {
      if (ws) usage?.expectStream();
    },
    handler: refuseWithoutUpgrade,
    wsHandler: (socket, request) => {
      const startMs = performance.now();
      const stream = new SessionsSocket(request, options);
      sockets.add(socket, request.raw, {
        concurrency: CONCURRENCY,
        queueMax: options.sessionQueueMax,
        messageBytesMax: Math.min(options.bodyBytesMax, MESSAGE_BYTES_MAX),
        budget,
        sender: request.connection ?? { bodyBytes: 0 },
        refusal: () => accessRefusal(request),
        tenant: request.usage,
        greet: async () => ({ data: JSON.stringify({ ready: true }), isBinary: false }),
        respond: (message, isBinary) => stream.respond(message, isBinary),
        problem: (error) => stream.problem(error, 'socket').data,
      });
      const { usage } = request;
      if (usage) usage.counts.streams++;
      socket.once('close', (closeCode) => {
        stream.close();
        if (usage) usage.counts.streams--;
        const durationMs = performance.now() - startMs;
        request.log.info({ closeCode, messages: stream.messageCount, durationMs }, 'stream of sessions');
      });
    },
  });
}

/** Answers the messages of one connection: those of one session in their order, all others side by side. */
class SessionsSocket {
  /** Messages received so far. */
  messageCount = 0;
  /** The handshake. */
  readonly #request: FastifyRequest;
  readonly #options: SessionSocketOptions;
  readonly #calls: MessageCalls;
  readonly #steps: StepCollector<Buffer>;
  /** Of the messages that are being answered. */
  readonly #lifetimes = new Set<Lifetime>();
  #isClosed = false;
  /** Settles when all messages so far were read and have their place behind others of their sessions. */
  #placed: Promise<unknown> = Promise.resolve();
  /** Of each session with messages that are not answered: settles when the last of them is. */
  readonly #last = new Map<string, Promise<unknown>>();
  /** Of the state with which each session was answered last, the latest sessions only. */
  readonly #etags = new Map<string, { readonly etag: string; readonly epoch: number }>();
  /**
   * Messages so far of which it is not known for which session they were: `previous` in a later message never stands for an
   * answer to one before them.
   */
  #epoch = 0;

  constructor(request: FastifyRequest, options: SessionSocketOptions) {
    this.#request = request;
    this.#options = options;
    this.#calls = new MessageCalls(options, request);
    this.#steps = new StepCollector(options.sessionCompute);
  }

  /** To be called when the connection is closed. */
  close(): void {
    this.#isClosed = true;
    for (const lifetime of this.#lifetimes) lifetime.close();
  }

  /** Does not reject: what fails is answered with its problem. */
  async respond(data: Buffer, isBinary: boolean): Promise<ResponseMessage> {
    const number = ++this.messageCount;
    using lifetime = this.#beginLifetime();
    const startMs = performance.now();
    try {
      return await this.#answer(data, isBinary, number, lifetime);
    } finally {
      this.#lifetimes.delete(lifetime);
      this.#options.onMessageEnd?.(lifetime.record, performance.now() - startMs);
      this.#options.tracer?.onMessageEnd(lifetime.record);
    }
  }

  async #answer(data: Buffer, isBinary: boolean, number: number, lifetime: Lifetime): Promise<ResponseMessage> {
    const opening = this.#open(data, isBinary, lifetime);
    const placed = Promise.withResolvers<void>();
    const answered = Promise.withResolvers<void>();
    const placedBefore = this.#placed;
    this.#placed = placed.promise;
    let message: SocketMessage | undefined;
    let session: string | undefined;
    try {
      // Read side by side, but placed in the order in which they came.
      await Promise.allSettled([placedBefore, opening]);
      try {
        message = await opening;
        session = sessionIdOf(message);
      } finally {
        if (session === undefined) this.#epoch++;
      }
      const epoch = this.#epoch;
      const earlier = session === undefined ? undefined : this.#last.get(session);
      if (session !== undefined) this.#last.set(session, answered.promise);
      placed.resolve();
      await earlier;
      return await this.#advance(message, isBinary, session, epoch, lifetime);
    } catch (error) {
      if (session !== undefined) this.#etags.delete(session);
      lifetime.record.errorCode = toCarryoverError(error as Error).code;
      return this.problem(error, number, message, message ? undefined : !isUnreadable(error));
    } finally {
      message?.[Symbol.dispose]();
      placed.resolve();
      answered.resolve();
      if (session !== undefined && this.#last.get(session) === answered.promise) this.#last.delete(session);
    }
  }

  async #open(data: Buffer, isBinary: boolean, lifetime: Lifetime): Promise<SocketMessage> {
    // Before the message is read, as a request is before its body is.
    const taken = this.#request.usage?.takeRequest();
    if (taken) await taken;
    return openMessage(this.#options.sessionCompute.jsonCodec, data, isBinary, lifetime);
  }

  async #advance(
    message: SocketMessage,
    isBinary: boolean,
    session: string | undefined,
    epoch: number,
    lifetime: Lifetime,
  ): Promise<ResponseMessage> {
    const refusal = accessRefusal(this.#request);
    if (refusal) throw refusal;
    if (this.#options.isClosing()) throw new CarryoverError('shutting_down', { detail: 'This instance accepts no new requests.' });
    const previous = session === undefined ? undefined : this.#etags.get(session);
    const previousEtag = previous?.epoch === epoch ? previous.etag : NO_ETAG;
    const print = (body: ResponseBody) => this.#print(body, isBinary, lifetime);
    const context = { previousEtag, lifetime, print };
    const step = this.#calls.stepOf(message, context);
    const outcome = step && (await this.#steps.add(step));
    if (outcome?.status === 'rejected') throw outcome.reason;
    const { printed, after } = outcome?.value ?? (await this.#calls.advance(message, context, step));
    this.#noteEtag(after.id, etagOf(after), epoch);
    return { data: printed, isBinary };
  }

  #print(body: ResponseBody, isBinary: boolean, lifetime: Lifetime): Buffer | Promise<Buffer> {
    if (isBinary) return lifetime.record.measure('printMs', () => toSafetensors(body));
    return this.#options.sessionCompute.jsonCodec.stringifyToBuffer(toJsonSegments(body), lifetime);
  }

  #noteEtag(session: string, etag: string, epoch: number): void {
    this.#etags.delete(session);
    this.#etags.set(session, { etag, epoch });
    if (this.#etags.size <= ETAGS_MAX) return;
    const [oldest] = this.#etags.keys();
    this.#etags.delete(oldest!);
  }

  problem(cause: unknown, name: string | number, message?: SocketMessage, mayHaveKey?: boolean) {
    const error = this.#calls.problem(cause, name, message, mayHaveKey);
    const id = message && isTag(message.id) ? message.id : undefined;
    const closeCode = error.code === 'unauthenticated' ? CLOSE_CODES.unauthenticated : undefined;
    return { data: JSON.stringify({ error, id }), isBinary: false, closeCode };
  }

  #beginLifetime(): Lifetime {
    const { raw, lifetime: handshake } = this.#request;
    const lifetime = new Lifetime(raw.socket, this.#options.deadlineMs, handshake.tenant);
    lifetime.usage = this.#request.usage;
    lifetime.record.trace = raw.trace && (this.#options.tracer?.beginMessage(raw.trace) ?? raw.trace);
    this.#lifetimes.add(lifetime);
    if (this.#isClosed) lifetime.close();
    return lifetime;
  }
}
