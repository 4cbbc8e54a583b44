// The HTTP layer: a Fastify instance with its plugins and routes. It knows the engine; the engine does not know
// HTTP.
import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import accepts from '@fastify/accepts';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify, { type FastifyBaseLogger, type FastifyPluginCallback, LogController } from 'fastify';
import fp from 'fastify-plugin';
import type { Access } from '../access/access.ts';
import { SequenceCompute } from '../engine/sequence-compute.ts';
import type { Limits } from '../engine/shapes.ts';
import type { WeightsPacker } from '../engine/weights-packer.ts';
import type { ImportListener } from '../models/import-file.ts';
import type { ModelLibrary } from '../models/library.ts';
import type { TenantModels } from '../models/tenant-models.ts';
import { accessLog } from './access-log.ts';
import { AuditLog } from './audit.ts';
import { type BatchParts, batchRoute } from './batch/batch.ts';
import { BodyBudget } from './bodies/body-budget.ts';
import { sequenceRoute } from './compute/sequence.ts';
import { type StepParts, stepRoute } from './compute/step.ts';
import { answerClientError, refuseTunnel } from './connections/client-errors.ts';
import { Connections } from './connections/connections.ts';
import { deferContinue } from './connections/expect-continue.ts';
import { stopListening } from './connections/stop-listening.ts';
import type { GatewayParts } from './gateway.ts';
import type { HttpServer } from './http-server.ts';
import { createNodeServer, logCertificate } from './node-server.ts';
import { modelRoutes } from './models/models.ts';
import { NAMED_SCHEMAS } from './named-schemas.ts';
import { clientsRoute } from './ops/clients.ts';
import { type Readiness, healthRoutes } from './ops/health.ts';
import { pageRoute } from './ops/page.ts';
import { problemsRoute } from './ops/problems.ts';
import { admission } from './plugins/admission.ts';
import { allowedHosts } from './plugins/allowed-hosts.ts';
import { authentication } from './plugins/authentication.ts';
import { compression } from './plugins/compression.ts';
import { connectionShutdown } from './plugins/connection-shutdown.ts';
import { corsHeaders, preflights } from './plugins/cors.ts';
import { errors, sendProblem } from './plugins/errors.ts';
import { methodNotAllowed, routeUrls } from './plugins/method-not-allowed.ts';
import { notFound } from './plugins/not-found.ts';
import { openapi } from './plugins/openapi.ts';
import { requestBodies } from './plugins/request-bodies.ts';
import { requestEnd } from './plugins/request-end.ts';
import { securityHeaders } from './plugins/security-headers.ts';
import { type TenantLimitsOptions, tenantLimits } from './plugins/tenant-limits.ts';
import { strictInput } from './plugins/strict-input.ts';
import { isWebSocketRequest, refusedHandshakes, webSocketRoutes } from './plugins/websocket.ts';
import { type RequestEndListener, reportEnd } from './request-end.ts';
import { RequestLog } from './request-log.ts';
import { toCarryoverError } from './responses/problem.ts';
import { ResponseWriter } from './responses/response-writer.ts';
import { StreamResponses } from './responses/stream-responses.ts';
import { setSecurityHeaders } from './security-headers.ts';
import { type SessionRoutesOptions, sessionRoutes } from './sessions/sessions.ts';
import type { MessageEndListener } from './sessions/session-socket.ts';
import { type SessionSocketOptions, sessionSocketRoute } from './sessions/socket-route.ts';
import { streamRoute } from './sessions/stream-route.ts';
import { STRICT_AJV, compileAtStart, compileOnFirstUse, validationError } from './validation.ts';
import { type Tracer, beginTrace } from './tracer.ts';
import { inferenceProtocol } from './v2/inference-protocol.ts';
import { MessageSockets } from './websocket/message-sockets.ts';

/** Node's default limit for the head of a request. */
const HEAD_BYTES_MAX = 16 * 1024;

/** What createHttp itself creates for the routes. */
type SetHere = 'audit' | 'jsonCodec' | 'responses' | 'sockets' | 'budget' | 'onMessageEnd';

export interface HttpOptions
  extends Omit<StepParts & BatchParts & SessionRoutesOptions & SessionSocketOptions & TenantLimitsOptions, SetHere>, GatewayParts {
  /** Undefined if everybody may call everything. */
  readonly access: Access | undefined;
  readonly library: ModelLibrary;
  readonly models: TenantModels;
  readonly weightsPacker: WeightsPacker;
  readonly limits: Limits;
  readonly readiness: Readiness;
  readonly isClosing: () => boolean;
  /** Whose X-Forwarded-For is believed; see Fastify's trustProxy. */
  readonly trustProxy: boolean | string[] | ((address: string, hop: number) => boolean);
  /** Undefined if changes are not recorded. */
  readonly auditLogger: FastifyBaseLogger | undefined;
  readonly version: string;
  /** Undefined if nothing is measured. */
  readonly observer: HttpObserver | undefined;
  /** Undefined if no spans are made. */
  readonly tracer: Tracer | undefined;
  /** Nothing is logged without one. */
  readonly logger: FastifyBaseLogger | undefined;
  /**
   * Validators and the OpenAPI document are made when the server gets ready, so that no request waits for them;
   * otherwise when they are first used.
   */
  readonly isPrepared: boolean;
  /** Registered before all others. */
  readonly plugin: FastifyPluginCallback | undefined;
  readonly bodyBytesMax: number;
  readonly bodiesBytesMax: number;
  readonly compressBytesMin: number;
  readonly streamsMax: number;
  readonly streamStallMs: number;
  /** How long streams may go on once the server is closing. */
  readonly streamGraceMs: number;
  readonly readBytesPerSecondMin: number;
  readonly connectionsMax: number;
  readonly requestTimeoutMs: number;
  /** From the head of a request until its response; of a stream, between two writes. */
  readonly deadlineMs: number;
  readonly keepAliveTimeoutMs: number;
}

/** What HTTP reports to those that measure it. */
export interface HttpObserver {
  readonly onRequestEnd: RequestEndListener;
  readonly onMessageEnd: MessageEndListener;
  readonly onImport: ImportListener;
}

/** What is open or held at this moment. */
export interface HttpLoad {
  readonly connections: number;
  readonly streams: number;
  readonly sockets: number;
  /** Of all request bodies and messages in flight. */
  readonly bodiesBytes: number;
  /** The limit of these. */
  readonly bodiesBytesMax: number;
}

export interface Http {
  readonly app: HttpServer;
  readonly load: HttpLoad;
  /**
   * Stops listening, so that whoever connects is refused and turns to another instance; each connection that is open
   * gets one more response. Resolves when none of them waits for a request, or after some seconds.
   */
  readonly handOver: () => Promise<void>;
}

/** The HTTP server with all its routes; it does not listen yet. */
export async function createHttp(options: HttpOptions): Promise<Http> {
  const onRequestEnd = requestEndListener(options);
  const { connections, app } = createServers(options, onRequestEnd);
  const { version, readiness, engine, bodyBytesMax } = options;
  const budget = new BodyBudget(options.bodiesBytesMax, bodyBytesMax);
  const sockets = new MessageSockets(options.keepAliveTimeoutMs, options.requestTimeoutMs);
  const streams = new StreamResponses(app, engine.jsonCodec, options);
  const audit = new AuditLog(options.auditLogger);
  const parts = { ...options, audit, responses: new ResponseWriter(engine.jsonCodec) };
  app.decorate('publicAddress', options.publicAddress);
  for (const schema of NAMED_SCHEMAS) app.addSchema(schema);

  // The order of these is the order of their hooks. The end of requests is first, so that every
  // request is reported; then what even a refused request gets; then the checks that refuse one, before its body is read.
  if (options.plugin) app.register(options.plugin);
  app.register(requestEnd, { onRequestEnd });
  app.register(securityHeaders);
  app.register(corsHeaders, options);
  app.register(errors);
  app.register(connectionShutdown, { connections });
  // Before whatever may refuse a handshake.
  app.register(refusedHandshakes, options);
  app.register(admission, { ...options, connections });
  app.register(allowedHosts, options);
  app.register(preflights, options);
  app.register(authentication, options);
  app.register(tenantLimits, options);
  app.register(notFound);
  app.register(requestBodies, { jsonCodec: engine.jsonCodec, budget });
  app.register(accepts);
  app.register(compression, { bytesMin: options.compressBytesMin });

  // These watch the routes that are registered after them.
  app.register(routeUrls);
  app.register(strictInput);
  app.register(openapi, options);

  // Wrapped by fastify-plugin, routes have no context of their own, but those of WebSockets and of inferenceProtocol: all share
  // one class of requests.
  app.register(fp(pageRoute), { version });
  app.register(fp(healthRoutes), { readiness });
  app.register(fp(problemsRoute));
  app.register(fp(clientsRoute));
  app.register(fp(modelRoutes), { ...parts, onImport: options.observer?.onImport });
  app.register(fp(sessionRoutes), parts);
  const onMessageEnd = options.observer?.onMessageEnd;
  app.register(webSocketRoutes, {
    sockets,
    connections,
    messageBytesMax: bodyBytesMax,
    routes: (context) => {
      context.register(fp(sessionSocketRoute), { ...options, sockets, budget, onMessageEnd });
      context.register(fp(streamRoute), { ...options, sockets, budget, onMessageEnd });
    },
  });
  app.register(fp(stepRoute), parts);
  app.register(fp(sequenceRoute), { ...parts, streams });
  app.register(fp(batchRoute), { ...options, jsonCodec: engine.jsonCodec, onMessageEnd });
  const sequenceCompute = new SequenceCompute(options);
  app.register(inferenceProtocol, { ...parts, sequenceCompute, jsonCodec: engine.jsonCodec, budget });

  // After the last route: it completes the addresses of all of them.
  app.register(methodNotAllowed);
  await app.after();
  const load = {
    bodiesBytesMax: options.bodiesBytesMax,
    get connections() {
      return connections.count;
    },
    get streams() {
      return streams.count;
    },
    get sockets() {
      return sockets.count;
    },
    get bodiesBytes() {
      return budget.bytes;
    },
  };
  const handOver = async () => {
    await stopListening(app.server);
    await connections.handOver();
  };
  return { app, load, handOver };
}

/** All that are told of the end of requests as one listener; undefined if there are none. */
function requestEndListener({ logger, observer, tracer }: HttpOptions): RequestEndListener | undefined {
  const wanted = [logger && accessLog(logger), observer?.onRequestEnd, tracer?.onRequestEnd];
  const listeners = wanted.filter((listener) => listener !== undefined);
  if (listeners.length < 2) return listeners[0];
  return (ended, log) => {
    for (const listener of listeners) listener(ended, log);
  };
}

/** Node's server, the table of its connections, and the Fastify instance that answers its requests. */
function createServers(options: HttpOptions, onRequestEnd: RequestEndListener | undefined) {
  const { publicAddress, certificate } = options;
  const server = createNodeServer({ ...options, isUpgraded: (request) => isWebSocketRequest(request, publicAddress) });
  const app: HttpServer = Fastify({
    ...(options.logger && { loggerInstance: options.logger }),
    ajv: STRICT_AJV,
    schemaController: { compilersFactory: { buildValidator: options.isPrepared ? compileAtStart : compileOnFirstUse } },
    schemaErrorFormatter: validationError,
    rewriteUrl: ({ url = '' }) => publicAddress.ownPath(url),
    bodyLimit: options.bodyBytesMax,
    trustProxy: options.trustProxy,
    serverFactory: (listener) =>
      server.on('request', (request, response) => connections.serve(request, response, listener)),
    // The head of a request is bounded anyway, and a name or id that is too long is answered as an unknown one.
    routerOptions: { maxParamLength: HEAD_BYTES_MAX },
    // The access log writes one line for each request instead of Fastify's two.
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: ({ headers }) => requestId(headers['x-request-id']),
    // The first that is called for a request: all that is logged of it names its trace.
    childLoggerFactory: (logger, bindings, childOptions, request) => {
      const trace = beginTrace(request, options.tracer);
      return new RequestLog(() => logger.child(trace ? { ...bindings, trace_id: trace.context.traceId } : bindings, childOptions));
    },
    // Requests at a closing server are refused by the admission, with a problem.
    return503OnClosing: false,
    clientErrorHandler: (error, socket) => answerClientError(error, socket, connections, app.log),
    // Errors before the first hook.
    frameworkErrors: (error, request, reply) => {
      request.connection = connections.of(request.raw.socket);
      setSecurityHeaders(request, reply);
      options.cors.setHeaders(reply, request.headers.origin);
      if (onRequestEnd) reportEnd(request, reply, onRequestEnd, toCarryoverError(error).code);
      sendProblem(error, request, reply);
    },
  }).withTypeProvider<TypeBoxTypeProvider>();
  const connections = new Connections(server, app.log, { ...options, onRequestEnd });
  if (certificate) logCertificate(certificate, app.log);
  deferContinue(server);
  server.on('connect', (request, socket: Socket) => refuseTunnel(request, socket, connections, app.log));
  // Only small responses go through a serialiser; compiling one for every response of every route would take a
  // fifth of the start.
  app.setSerializerCompiler(() => JSON.stringify);
  return { connections, app };
}

/** The client's request id if it is harmless in a log and in a header, else a new one. */
function requestId(header: string | string[] | undefined): string {
  return typeof header === 'string' && /^[\w.:-]{1,128}$/.test(header) ? header : randomUUID();
}
