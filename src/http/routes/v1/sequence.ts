// POST /v1/sequence: T steps of a mini-batch, every state or only the last.
import type { FastifyInstance } from 'fastify';
import type { Static } from 'typebox';
import { objectToJson, swapAxes, tensorToJson } from '../../../codec/json-write.ts';
import { nestedTensor } from '../../../codec/nested.ts';
import type { Engine } from '../../../engine/engine.ts';
import type { TensorView } from '../../../tensor.ts';
import { BODY_ERRORS, COMPUTE_ERRORS, problemResponses } from '../../schemas/problem.ts';
import { ref } from '../../schemas/ref.ts';
import { SequenceBody, SequenceReply } from '../../schemas/sequence.ts';
import { weightsOf } from './weights.ts';

export function sequenceRoute(app: FastifyInstance, engine: Engine): void {
  app.post<{ Body: Static<typeof SequenceBody> }>(
    '/v1/sequence',
    {
      schema: {
        operationId: 'sequence',
        tags: ['compute'],
        summary: 'Advance a mini-batch by T steps',
        description: 'h_t = tanh(h_{t-1} W_h + x_t W_x + b) for t = 1 … T',
        body: ref(SequenceBody),
        response: {
          200: { description: 'The hidden states.', ...ref(SequenceReply) },
          ...problemResponses([...BODY_ERRORS, 'model_not_found', ...COMPUTE_ERRORS]),
        },
      },
    },
    async ({ body }, reply) => {
      const { x, h, lengths, layout = 'TND', outputs = ['hs', 'h'], trace = false } = body;
      const input = {
        weights: weightsOf(body),
        x: nestedTensor('x', layout, x),
        h: h && nestedTensor('h', 'NH', h),
        lengths,
        keepsStates: outputs.includes('hs'),
        trace,
      };
      // Inside, time is the outer axis.
      const inLayout = (view: TensorView) =>
        tensorToJson(layout === 'NTD' ? swapAxes(view) : view);
      const json = await engine.run(input, (result) =>
        objectToJson({
          hs: result.hs && inLayout(result.hs),
          h: outputs.includes('h') ? tensorToJson(result.h) : undefined,
          ys: result.ys && inLayout(result.ys),
          y: outputs.includes('h') && result.y ? tensorToJson(result.y) : undefined,
          trace:
            result.trace &&
            objectToJson({
              h_W_h: inLayout(result.trace.h_W_h),
              x_W_x: inLayout(result.trace.x_W_x),
              z: inLayout(result.trace.z),
            }),
        }),
      );
      return reply.header('content-type', 'application/json').send(json);
    },
  );
}
