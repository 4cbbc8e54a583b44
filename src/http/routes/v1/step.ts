// POST /v1/step: one step of a mini-batch, as JSON or as a safetensors file.
import type { FastifyInstance } from 'fastify';
import type { Static } from 'typebox';
import type { Answer } from '../../../codec/answer.ts';
import { nestedTensor } from '../../../codec/nested.ts';
import type { Engine, RecurrenceResult } from '../../../engine/engine.ts';
import type { RecurrenceInput } from '../../../engine/shapes.ts';
import type { TensorView } from '../../../tensor.ts';
import { answerContent, answerType, jsonOrFile, sendAnswer, takeFiles } from '../../media.ts';
import { BODY_ERRORS, COMPUTE_ERRORS, FILE_ERRORS, problemResponses } from '../../schemas/problem.ts';
import { ref } from '../../schemas/ref.ts';
import { StepBody, StepReply } from '../../schemas/step.ts';
import { fileWeights, optionalTensor, readFileBody, requiredTensor } from './file-body.ts';
import { weightsOf, weightsSource } from './weights.ts';

type Body = Static<typeof StepBody>;

export function stepRoute(app: FastifyInstance, engine: Engine): void {
  app.register(async (scope) => {
    takeFiles(scope);
    scope.post<{ Body: Body | Buffer }>(
      '/v1/step',
      {
        schema: {
          operationId: 'step',
          tags: ['compute'],
          summary: 'Advance a mini-batch by one step',
          description: 'h = tanh(h W_h + x W_x + b)',
          body: jsonOrFile(ref(StepBody)),
          response: {
            200: { description: 'The new hidden state.', content: answerContent(ref(StepReply)) },
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
        const input = Buffer.isBuffer(body) ? inputFromFile(body) : inputFromJson(body);
        return sendAnswer(reply, type, (write) =>
          engine.run(input, (result) => write(answerOf(result))),
        );
      },
    );
  });
}

function inputFromJson(body: Body): RecurrenceInput {
  const { x, h, trace = false } = body;
  return {
    weights: weightsOf(body.model, body.weights && weightsSource(body.weights)),
    x: nestedTensor('x', 'ND', x),
    h: h && nestedTensor('h', 'NH', h),
    keepsStates: false,
    trace,
  };
}

function inputFromFile(bytes: Buffer): RecurrenceInput {
  const body = readFileBody(bytes, ['model', 'trace']);
  return {
    weights: weightsOf(body.model, fileWeights(body)),
    x: requiredTensor(body, 'x', 'ND'),
    h: optionalTensor(body, 'h', 'NH'),
    keepsStates: false,
    trace: body.trace,
  };
}

function answerOf({ h, y, trace }: RecurrenceResult): Answer {
  return {
    tensors: { h, y },
    trace: trace && {
      h_W_h: onlyStep(trace.h_W_h),
      x_W_x: onlyStep(trace.x_W_x),
      z: onlyStep(trace.z),
    },
  };
}

/** Of a sequence of one step, the only step: (1, N, H) → (N, H). */
function onlyStep({ shape, strides, data }: TensorView): TensorView {
  return { shape: shape.slice(1), strides: strides.slice(1), data };
}
