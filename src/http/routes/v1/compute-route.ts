// What /v1/step and /v1/sequence have in common: JSON or a file in, one run of the engine, JSON or a
// file out.
import type { FastifyInstance } from 'fastify';
import type { TSchema } from 'typebox';
import type { Answer } from '../../../codec/answer.ts';
import type { Engine, RecurrenceResult } from '../../../engine/engine.ts';
import type { RecurrenceInput } from '../../../engine/shapes.ts';
import { answerContent, answerType, jsonOrFile, sendAnswer, takeFiles } from '../../media.ts';
import { BODY_ERRORS, COMPUTE_ERRORS, FILE_ERRORS, problemResponses } from '../../schemas/problem.ts';
import { ref } from '../../schemas/ref.ts';

export interface ComputeRoute<JsonBody, Request extends { readonly input: RecurrenceInput }> {
  readonly url: string;
  readonly operationId: string;
  readonly summary: string;
  readonly description: string;
  readonly bodySchema: TSchema;
  readonly replySchema: TSchema;
  readonly readJson: (body: JsonBody) => Request;
  readonly readFile: (bytes: Buffer) => Request;
  readonly answerOf: (result: RecurrenceResult, request: Request) => Answer;
}

export function computeRoute<JsonBody, Request extends { readonly input: RecurrenceInput }>(
  app: FastifyInstance,
  engine: Engine,
  route: ComputeRoute<JsonBody, Request>,
): void {
  const { url, operationId, summary, description, readJson, readFile, answerOf } = route;
  app.register(async (scope) => {
    takeFiles(scope);
    scope.post<{ Body: JsonBody | Buffer }>(
      url,
      {
        schema: {
          operationId,
          tags: ['compute'],
          summary,
          description,
          body: jsonOrFile(ref(route.bodySchema)),
          response: {
            200: { description: 'Computed.', content: answerContent(ref(route.replySchema)) },
            ...problemResponses([
              ...BODY_ERRORS,
              ...FILE_ERRORS,
              'model_not_found',
              ...COMPUTE_ERRORS,
            ]),
          },
        },
      },
      async (request, reply) => {
        const { body } = request;
        const type = answerType(request);
        const computation = Buffer.isBuffer(body) ? readFile(body) : readJson(body as JsonBody);
        return sendAnswer(reply, type, (write) =>
          engine.run(computation.input, (result) => write(answerOf(result, computation))),
        );
      },
    );
  });
}
