// What /v1/step and /v1/sequence have in common: JSON or a file in, one run of the engine, on its own or
// on a session, JSON or a file out; or, where the address has streams, lines while it is computed.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { TSchema } from 'typebox';
import type { Answer } from '../../codec/response-body.ts';
import { type SafetensorsFile, readSafetensorsFile } from '../../codec/safetensors/read.ts';
import type { Engine, RecurrenceResult } from '../../engine/engine.ts';
import type { SessionCompute } from '../../engine/session-compute.ts';
import type { RecurrenceInput } from '../../engine/shapes.ts';
import { invalidRequest } from '../../errors.ts';
import { isBodyHeld } from '../plugins/admission.ts';
import type { ResponseWriter } from '../responses/response-writer.ts';
import { answerContent, answerType, jsonOrFile, takeFiles } from '../bodies/media-types.ts';
import type { BodyRoom } from '../bodies/receive-body.ts';
import { type StepSegments, type Streams, isStreamType } from '../responses/stream-response.ts';
import { BODY_ERRORS, COMPUTE_ERRORS, FILE_ERRORS, problemResponses } from '../schemas/problem.ts';
import { ref } from '../schemas/ref.ts';
import { ComputeHeaders } from '../sessions/schemas.ts';
import {
  SESSION_ERRORS,
  callOf,
  expectNoPromises,
  markOf,
  markReplayed,
  sessionHeaders,
  sessionIdOf,
} from '../sessions/session-call.ts';

/** What is to be computed: with a session, the weights and h are the session's. */
export interface Computation {
  readonly input: Omit<RecurrenceInput, 'weights'> & {
    readonly weights: RecurrenceInput['weights'] | undefined;
  };
  readonly session: string | undefined;
}

export interface ComputeRoute<JsonBody, Request extends Computation> {
  readonly url: string;
  readonly operationId: string;
  readonly summary: string;
  readonly description: string;
  readonly bodySchema: TSchema;
  readonly replySchema: TSchema;
  readonly readJson: (body: JsonBody) => Request;
  readonly readFile: (file: SafetensorsFile) => Request;
  readonly answerOf: (result: RecurrenceResult, request: Request) => Answer;
  readonly stream?: ComputeStream<Request>;
}

export interface ComputeStream<Request> {
  readonly streams: Streams;
  readonly lineSchema: TSchema;
  /** What makes events of the steps. It outlives the request, so it must not hold on to it. */
  readonly toSegments: (request: Request) => StepSegments;
}

export interface ComputeParts {
  readonly engine: Engine;
  readonly room: BodyRoom;
  readonly sessionCompute: SessionCompute;
  readonly answers: ResponseWriter;
}

export function computeRoute<JsonBody, Request extends Computation>(
  app: FastifyInstance,
  { engine, room, sessionCompute, answers }: ComputeParts,
  route: ComputeRoute<JsonBody, Request>,
): void {
  const { url, operationId, summary, description, readJson, readFile, answerOf, stream } = route;

  const answerSession = (
    request: FastifyRequest,
    reply: FastifyReply,
    type: string,
    session: string,
    computation: Request,
  ) => {
    const call = callOf(request);
    return answers.send(request, reply, type, async (write) => {
      const { answer, after, replayed } = await sessionCompute.advance(
        session,
        call,
        computation.input,
        (result, stepped) =>
          write({ ...answerOf(result, computation), fields: { session: markOf(stepped) } }),
      );
      void reply.headers(sessionHeaders(after));
      markReplayed(reply, replayed);
      return answer;
    });
  };

  app.register(async (scope) => {
    takeFiles(scope, room);
    scope.post<{ Body: JsonBody | Buffer }>(
      url,
      {
        schema: {
          operationId,
          tags: ['compute'],
          summary,
          description,
          headers: ComputeHeaders,
          body: jsonOrFile(ref(route.bodySchema)),
          response: {
            200: {
              description: 'Computed.',
              content: answerContent(ref(route.replySchema), stream && ref(stream.lineSchema)),
            },
            ...problemResponses([
              ...BODY_ERRORS,
              ...FILE_ERRORS,
              'model_not_found',
              'model_corrupt',
              ...COMPUTE_ERRORS,
              ...SESSION_ERRORS,
            ]),
          },
        },
      },
      async (request, reply) => {
        const { body } = request;
        void reply.header('vary', 'accept');
        const file = Buffer.isBuffer(body)
          ? readSafetensorsFile(body, () => isBodyHeld(request))
          : undefined;
        request.sessionInFile = file?.metadata.session;
        const computation = file ? readFile(file) : readJson(body as JsonBody);
        const session = sessionIdOf(request, computation.session);
        // What a session answers has been committed, so it is there as a whole.
        const type = answerType(request, stream !== undefined && session === undefined);
        if (session !== undefined) {
          expectSessionOnly(computation);
          return answerSession(request, reply, type, session, computation);
        }
        expectNoPromises(request);
        const input = { ...computation.input, weights: expectWeights(computation) };
        if (stream && isStreamType(type)) {
          const toSegments = stream.toSegments(computation);
          await engine.fetchModel(input.weights);
          return stream.streams.send(request, reply, type, toSegments, () =>
            engine.stream(input, request.lifetime),
          );
        }
        return answers.send(request, reply, type, async (write) => {
          using result = await engine.run(input, request.lifetime);
          return await write(answerOf(result, computation));
        });
      },
    );
  });
}

function expectWeights({ input: { weights } }: Computation): RecurrenceInput['weights'] {
  if (weights !== undefined) return weights;
  throw invalidRequest('Expected one of `weights`, `model` and `session`, got none.', '');
}

/** @throws invalid_request if a computation on a session brings what the session has */
export function expectSessionOnly({ input: { weights, h } }: Computation): void {
  const given = [weights !== undefined && 'weights or model', h && 'h'].find(Boolean);
  if (!given) return;
  throw invalidRequest(
    `Expected neither weights, model nor h beside a session, which has them, got ${given}.`,
    '/session',
  );
}
