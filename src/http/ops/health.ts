// GET /health/live: does the event loop answer? GET /health/ready: should requests be sent to this process?
// Neither is logged at info, and neither needs a worker.
import { Type } from 'typebox';
import { problemResponses } from '../schemas/problem.ts';
import type { HttpServer } from '../http-server.ts';

export interface Readiness {
  /** Which vectors the kernels run with. */
  readonly kernel: string;
  /** Which bits they compute; see wasm/numerics.ts. */
  readonly numerics: number;
  /** Why no requests should be sent to this process now; empty if they should. */
  readonly reasons: () => readonly string[];
}

const Health = Type.Object(
  {
    status: Type.Enum(['ok', 'unavailable']),
    reasons: Type.Optional(Type.Immutable(Type.Array(Type.String()))),
    kernel: Type.Optional(
      Type.String({ description: 'Which vectors the kernels run with: simd128 or simd256.' }),
    ),
    numerics: Type.Optional(
      Type.Integer({ description: 'Which bits they compute; another number means other bits.' }),
    ),
  },
  { additionalProperties: false },
);

export function healthRoutes(
  app: HttpServer,
  { readiness }: { readonly readiness: Readiness },
): void {
  app.get(
    '/health/live',
    {
      config: { access: 'public' },
      logLevel: 'warn',
      schema: {
        operationId: 'live',
        tags: ['operations'],
        summary: 'Is the process alive?',
        response: {
          200: { description: 'It answers.', ...Health },
          ...problemResponses(['invalid_request']),
        },
      },
    },
    async () => ({ status: 'ok' as const }),
  );
  app.get(
    '/health/ready',
    {
      config: { access: 'public' },
      logLevel: 'warn',
      schema: {
        operationId: 'ready',
        tags: ['operations'],
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
      if (reasons.length === 0) return { status: 'ok' as const, kernel, numerics };
      return reply.code(503).send({ status: 'unavailable', reasons, kernel, numerics });
    },
  );
}
