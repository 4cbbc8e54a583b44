// Two questions a supervisor asks. Live: does the event loop answer? Ready: should requests come
// here? Neither is logged at info, neither needs the workers to answer.
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { problemResponses } from '../schemas/problem.ts';

export interface Readiness {
  /** Which vectors the kernels run with. */
  readonly kernel: string;
  /** Which bits they compute; see wasm/numerics.ts. */
  readonly numerics: number;
  /** Why this process should not get requests now; empty when it should. */
  readonly reasons: () => readonly string[];
}

const Health = Type.Object(
  {
    status: Type.Enum(['ok', 'unavailable']),
    reasons: Type.Optional(Type.Array(Type.String())),
    kernel: Type.Optional(
      Type.String({ description: 'Which vectors the kernels run with: simd128 or simd256.' }),
    ),
    numerics: Type.Optional(
      Type.Integer({ description: 'Which bits they compute; another number means other bits.' }),
    ),
  },
  { additionalProperties: false },
);

export function healthRoutes(app: FastifyInstance, readiness: Readiness): void {
  app.get(
    '/health/live',
    {
      logLevel: 'warn',
      schema: {
        operationId: 'live',
        tags: ['health'],
        summary: 'Is the process alive?',
        response: {
          200: { description: 'It answers.', ...Health },
          ...problemResponses(['invalid_request']),
        },
      },
    },
    async () => ({ status: 'ok' }),
  );
  app.get(
    '/health/ready',
    {
      logLevel: 'warn',
      schema: {
        operationId: 'ready',
        tags: ['health'],
        summary: 'Should requests be sent here?',
        response: {
          200: { description: 'Yes.', ...Health },
          503: {
            description: 'Not now: `reasons` says why, e.g. that it shuts down or that no worker is up.',
            ...Health,
          },
          ...problemResponses(['invalid_request']),
        },
      },
    },
    async (_, reply) => {
      const reasons = readiness.reasons();
      const { kernel, numerics } = readiness;
      if (reasons.length === 0) return { status: 'ok', kernel, numerics };
      return reply.code(503).send({ status: 'unavailable', reasons, kernel, numerics });
    },
  );
}
