// The HTTP layer: a Fastify instance that speaks JSON to the left and the engine's words to the
// right. It knows the engine; the engine does not know HTTP.
import { randomUUID } from 'node:crypto';
import { type Server, createServer } from 'node:http';
import accepts from '@fastify/accepts';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify, {
  type FastifyRequest,
  type FastifyServerOptions,
  LogController,
} from 'fastify';
import type { Limits } from '../engine/shapes.ts';
import type { WeightsPacker } from '../engine/weights-packer.ts';
import { CarryoverError } from '../errors.ts';
import type { ModelLibrary } from '../models/library.ts';
import { admission } from './plugins/admission.ts';
import { ResponseWriter } from './responses/response-writer.ts';
import { BodyBudget } from './bodies/body-budget.ts';
import { expectBodies, otherBodies } from './bodies/body-types.ts';
import { compression } from './plugins/compression.ts';
import { Connections, headMsMax } from './connections/connections.ts';
import { deferContinue } from './connections/expect-continue.ts';
import { jsonBodies } from './plugins/request-bodies.ts';
import { methodNotAllowed } from './plugins/method-not-allowed.ts';
import { securityHeaders, setSecurityHeaders } from './plugins/security-headers.ts';
import { openapi } from './plugins/openapi.ts';
import { isWebSocketRequest, webSockets } from './plugins/websocket.ts';
import { answerClientError } from './connections/client-errors.ts';
import { sendProblem } from './plugins/errors.ts';
import type { HttpServer } from './http-server.ts';
import { type Readiness, healthRoutes } from './ops/health.ts';
import { indexRoute } from './ops/index.ts';
import { problemsRoute } from './ops/problems.ts';
import { modelRoutes } from './models/models.ts';
import { sequenceRoute } from './compute/sequence.ts';
import { type SessionStreamOptions, sessionStreamRoute } from './sessions/stream.ts';
import { type SessionRoutesOptions, sessionRoutes } from './sessions/sessions.ts';
import { type StepParts, stepRoute } from './compute/step.ts';
import { logAtEnd, accessLog } from './plugins/access-log.ts';
import { ModelBody, ModelInfo, ModelList, PointBody } from './models/schemas.ts';
import { Problem } from './schemas/problem.ts';
import { SequenceBody, SequenceLine, SequenceReply, SequenceTrace } from './compute/sequence-schemas.ts';
import {
  CreateSessionBody,
  RewindBody,
  SessionInfo,
  SessionList,
  SessionMark,
  SessionWithState,
  StateBody,
} from './sessions/schemas.ts';
import { StepBody, StepReply, StepTrace } from './compute/step-schemas.ts';
import { FrameCall } from './sessions/stream-schemas.ts';
import { Weights } from './schemas/tensor.ts';
import { StreamResponses } from './responses/stream-responses.ts';
import { strictInput } from './plugins/strict-input.ts';
import { STRICT_AJV, compileOnFirstUse, validationError } from './validation.ts';

/** Often, so that few requests time out at a time: answering each takes some 0.1 ms. */
const TIMEOUTS_CHECKED_MS = 200;
/** Of Node's parser, unless told otherwise. */
const HEAD_BYTES_MAX = 16 * 1024;

export interface HttpOptions
  extends Omit<StepParts & SessionRoutesOptions & SessionStreamOptions, 'responses' | 'room'> {
  readonly library: ModelLibrary;
  readonly weightsPacker: WeightsPacker;
  readonly limits: Limits;
  readonly readiness: Readiness;
  readonly isClosing: () => boolean;
  readonly version: string;
  readonly logger: FastifyServerOptions['logger'];
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
  /** From the head of a request until its answer; of a stream, between two writes. */
  readonly deadlineMs: number;
  readonly keepAliveTimeoutMs: number;
}

export async function createHttp(options: HttpOptions): Promise<HttpServer> {
  const server = createServerOf(options);
  const app = Fastify({
    logger: options.logger ?? false,
    ajv: STRICT_AJV,
    schemaController: { compilersFactory: { buildValidator: compileOnFirstUse } },
    schemaErrorFormatter: validationError,
    bodyLimit: options.bodyBytesMax,
    serverFactory: (listener) =>
      server.on('request', (request, response) => connections.serve(request, response, listener)),
    // A longer name or id is as unknown as a short one; the head of a request is bounded anyway.
    routerOptions: { maxParamLength: HEAD_BYTES_MAX },
    // One line a request, in accessLog(), instead of Fastify's two.
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: ({ headers }) => requestId(headers['x-request-id']),
    // Closing is answered by admission(), with a problem.
    return503OnClosing: false,
    clientErrorHandler: (error, socket) => answerClientError(error, socket, connections, app.log),
    frameworkErrors: (error, request, reply) => {
      // No hook has seen this request.
      request.client = connections.of(request.raw.socket);
      setSecurityHeaders(request, reply);
      logAtEnd(request, reply);
      sendProblem(error, request, reply);
    },
  }).withTypeProvider<TypeBoxTypeProvider>();
  const connections = new Connections(server, app.log, options);
  deferContinue(server);
  app.addHook('preClose', (done) => {
    connections.shutDown();
    done();
  });
  app.addHook('onClose', async () => connections.stop());

  // What is sent through a serialiser is small; making one for every answer of every route takes a
  // fifth of the start.
  app.setSerializerCompiler(() => JSON.stringify);
  app.setErrorHandler(sendProblem);
  app.setNotFoundHandler((request) => {
    throw unknownAddress(request);
  });
  accessLog(app);
  securityHeaders(app);
  admission(app, connections, options);
  // Before the body is read: what it holds does not matter at an address that does not exist.
  app.addHook('onRequest', (request, _reply, done) => {
    done(request.is404 ? unknownAddress(request) : undefined);
  });

  app.removeAllContentTypeParsers();
  const budget = new BodyBudget(options.bodiesBytesMax, options.bodyBytesMax);
  const room = { jsonCodec: options.engine.jsonCodec, budget };
  jsonBodies(app, room);
  otherBodies(app);
  expectBodies(app);
  app.decorateRequest('bodyDigest', undefined);
  app.decorateRequest('sessionInFile', undefined);
  for (const schema of NAMED_SCHEMAS) app.addSchema(schema);

  const refuseOtherMethods = methodNotAllowed(app);
  strictInput(app);
  await app.register(accepts);
  compression(app, options.compressBytesMin);
  await openapi(app, options.version);
  const sockets = await webSockets(app, connections, options);
  indexRoute(app, options.version);
  healthRoutes(app, options.readiness);
  problemsRoute(app);
  modelRoutes(app, { ...options, room });
  const responses = new ResponseWriter(options.engine.jsonCodec);
  sessionRoutes(app, { ...options, responses });
  sessionStreamRoute(app, sockets, budget, options);
  app.register(stepRoute, { ...options, responses, room });
  const streams = new StreamResponses(app, options.engine.jsonCodec, options);
  app.register(sequenceRoute, { ...options, responses, room, streams });
  await app.after();
  refuseOtherMethods();
  return app;
}

function createServerOf({ requestTimeoutMs, keepAliveTimeoutMs }: HttpOptions): Server {
  return createServer({
    headersTimeout: headMsMax(requestTimeoutMs),
    requestTimeout: requestTimeoutMs,
    keepAliveTimeout: keepAliveTimeoutMs,
    // Node checks its timeouts every 30 s unless told otherwise.
    connectionsCheckingInterval: Math.min(TIMEOUTS_CHECKED_MS, requestTimeoutMs),
    shouldUpgradeCallback: isWebSocketRequest,
    // Refused by admission(), with a problem.
    requireHostHeader: false,
  });
}

function unknownAddress({ method, url }: FastifyRequest): CarryoverError {
  return new CarryoverError('not_found', {
    detail: `Nothing is served at ${method} ${url.slice(0, 200)}; GET /docs lists the addresses.`,
  });
}

const NAMED_SCHEMAS = [
  Weights,
  ModelBody,
  ModelInfo,
  ModelList,
  PointBody,
  CreateSessionBody,
  SessionInfo,
  SessionMark,
  SessionWithState,
  SessionList,
  StateBody,
  RewindBody,
  FrameCall,
  StepBody,
  StepReply,
  StepTrace,
  SequenceBody,
  SequenceReply,
  SequenceTrace,
  SequenceLine,
  Problem,
];

/** The caller's id if it is harmless in a log and a header, else a new one. */
function requestId(header: string | string[] | undefined): string {
  return typeof header === 'string' && /^[\w.:-]{1,128}$/.test(header) ? header : randomUUID();
}
