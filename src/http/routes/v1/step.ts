// POST /v1/step: one step of a mini-batch.
import type { FastifyInstance } from 'fastify';
import type { Static } from 'typebox';
import { objectToJson, tensorToJson } from '../../../codec/json-write.ts';
import { nestedTensor } from '../../../codec/nested.ts';
import type { Engine } from '../../../engine/engine.ts';
import type { Trace } from '../../../wasm/job.ts';
import { BODY_ERRORS, COMPUTE_ERRORS, problemResponses } from '../../schemas/problem.ts';
import { ref } from '../../schemas/ref.ts';
import { StepBody, StepReply } from '../../schemas/step.ts';
import { weightsOf } from './weights.ts';

export function stepRoute(app: FastifyInstance, engine: Engine): void {
  app.post<{ Body: Static<typeof StepBody> }>(
    '/v1/step',
    {
      schema: {
        operationId: 'step',
        tags: ['compute'],
        summary: 'Advance a mini-batch by one step',
        description: 'h = tanh(h W_h + x W_x + b)',
        body: ref(StepBody),
        response: {
          200: { description: 'The new hidden state.', ...ref(StepReply) },
          ...problemResponses([...BODY_ERRORS, 'model_not_found', ...COMPUTE_ERRORS]),
        },
      },
    },
    async ({ body }, reply) => {
      const { x, h, trace = false } = body;
      const input = {
        weights: weightsOf(body),
        x: nestedTensor('x', 'ND', x),
        h: h && nestedTensor('h', 'NH', h),
        keepsStates: false,
        trace,
      };
      const json = await engine.run(input, (result) =>
        objectToJson({
          h: tensorToJson(result.h),
          y: result.y && tensorToJson(result.y),
          trace: result.trace && stepTraceToJson(result.trace),
        }),
      );
      return reply.header('content-type', 'application/json').send(json);
    },
  );
}

/** Of a sequence of one step, the only step: (1, N, H) → (N, H). */
function stepTraceToJson(trace: Trace): string {
  const firstStep = ({ shape, strides, data }: Trace['z']) =>
    tensorToJson({ shape: shape.slice(1), strides: strides.slice(1), data });
  return objectToJson({
    h_W_h: firstStep(trace.h_W_h),
    x_W_x: firstStep(trace.x_W_x),
    z: firstStep(trace.z),
  });
}
