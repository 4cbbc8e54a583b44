// POST /v1/sequence: T steps of a mini-batch, every state or only the last, as JSON or as a
// safetensors file.
import type { FastifyInstance } from 'fastify';
import type { Static } from 'typebox';
import type { Answer } from '../../../codec/answer.ts';
import { swapAxes } from '../../../codec/json-write.ts';
import { nestedTensor } from '../../../codec/nested.ts';
import type { Engine, RecurrenceResult } from '../../../engine/engine.ts';
import type { RecurrenceInput } from '../../../engine/shapes.ts';
import type { TensorView } from '../../../tensor.ts';
import { answerContent, answerType, jsonOrFile, sendAnswer, takeFiles } from '../../media.ts';
import { BODY_ERRORS, COMPUTE_ERRORS, FILE_ERRORS, problemResponses } from '../../schemas/problem.ts';
import { ref } from '../../schemas/ref.ts';
import { SequenceBody, SequenceReply } from '../../schemas/sequence.ts';
import { fileWeights, optionalTensor, readFileBody, requiredTensor } from './file-body.ts';
import { weightsOf, weightsSource } from './weights.ts';

type Body = Static<typeof SequenceBody>;

/** What is computed, and how it is to be answered. */
interface SequenceRequest {
  readonly input: RecurrenceInput;
  readonly layout: 'TND' | 'NTD';
  readonly outputs: readonly ('hs' | 'h')[];
}

export function sequenceRoute(app: FastifyInstance, engine: Engine): void {
  app.register(async (scope) => {
    takeFiles(scope);
    scope.post<{ Body: Body | Buffer }>(
      '/v1/sequence',
      {
        schema: {
          operationId: 'sequence',
          tags: ['compute'],
          summary: 'Advance a mini-batch by T steps',
          description: 'h_t = tanh(h_{t-1} W_h + x_t W_x + b) for t = 1 … T',
          body: jsonOrFile(ref(SequenceBody)),
          response: {
            200: { description: 'The hidden states.', content: answerContent(ref(SequenceReply)) },
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
        const sequence = Buffer.isBuffer(body) ? requestFromFile(body) : requestFromJson(body);
        return sendAnswer(reply, type, (write) =>
          engine.run(sequence.input, (result) => write(answerOf(result, sequence))),
        );
      },
    );
  });
}

function requestFromJson(body: Body): SequenceRequest {
  const { x, h, lengths, layout = 'TND', outputs = ['hs', 'h'], trace = false } = body;
  const input = {
    weights: weightsOf(body.model, body.weights && weightsSource(body.weights)),
    x: nestedTensor('x', layout, x),
    h: h && nestedTensor('h', 'NH', h),
    lengths,
    keepsStates: outputs.includes('hs'),
    trace,
  };
  return { input, layout, outputs };
}

function requestFromFile(bytes: Buffer): SequenceRequest {
  const body = readFileBody(bytes, ['model', 'trace', 'layout', 'outputs', 'lengths']);
  const { layout, outputs, lengths, trace } = body;
  const input = {
    weights: weightsOf(body.model, fileWeights(body)),
    x: requiredTensor(body, 'x', layout),
    h: optionalTensor(body, 'h', 'NH'),
    lengths,
    keepsStates: outputs.includes('hs'),
    trace,
  };
  return { input, layout, outputs };
}

function answerOf(
  { hs, h, ys, y, trace }: RecurrenceResult,
  { layout, outputs }: SequenceRequest,
): Answer {
  // Inside, time is the outer axis.
  const inLayout = (view: TensorView) => (layout === 'NTD' ? swapAxes(view) : view);
  const wantsLast = outputs.includes('h');
  return {
    tensors: {
      hs: hs && inLayout(hs),
      h: wantsLast ? h : undefined,
      ys: ys && inLayout(ys),
      y: wantsLast ? y : undefined,
    },
    trace: trace && {
      h_W_h: inLayout(trace.h_W_h),
      x_W_x: inLayout(trace.x_W_x),
      z: inLayout(trace.z),
    },
  };
}
