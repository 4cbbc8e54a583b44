// What the Open Inference Protocol asks of a server: what it is, and whether it is well. Some clients read the status of the
// answers about its health, others their bodies.
import type { HttpServer } from '../http-server.ts';
import type { Readiness } from '../ops/health.ts';
import { sendInferenceJson } from '../responses/inference-error.ts';
import { ref } from '../schemas/ref.ts';
import { InferenceServer, Live, Ready, errorResponses } from './schemas.ts';

export interface InferenceServerParts {
  readonly readiness: Readiness;
  readonly version: string;
}

const EXTENSIONS = ['binary_tensor_data', 'sequence', 'sequence(string_id)', 'model_repository'];
const TAGS = ['open inference protocol'];
const PUBLIC = { access: 'public' } as const;
const ERRORS = errorResponses(['invalid_request'], true);

export function inferenceServerRoutes(app: HttpServer, { readiness, version }: InferenceServerParts): void {
  app.get(
    '/v2',
    {
      config: PUBLIC,
      schema: {
        operationId: 'inferenceServer',
        tags: TAGS,
        summary: 'The server and the extensions of the protocol that it has',
        response: { 200: { description: 'The server.', ...ref(InferenceServer) }, ...ERRORS },
      },
    },
    (_, reply) => sendInferenceJson(reply, { name: 'carryover', version, extensions: EXTENSIONS }),
  );
  app.get(
    '/v2/health/live',
    {
      config: PUBLIC,
      logLevel: 'warn',
      schema: {
        operationId: 'inferenceLive',
        tags: TAGS,
        summary: 'Is the process alive?',
        response: { 200: { description: 'It answers.', ...Live }, ...ERRORS },
      },
    },
    (_, reply) => sendInferenceJson(reply, { live: true }),
  );
  app.get(
    '/v2/health/ready',
    {
      config: PUBLIC,
      logLevel: 'warn',
      schema: {
        operationId: 'inferenceReady',
        tags: TAGS,
        summary: 'Should requests be sent here?',
        response: {
          200: { description: 'Yes.', ...Ready },
          503: { description: 'Not now: `error` says why.', ...Ready },
          ...ERRORS,
        },
      },
    },
    (_, reply) => {
      const reasons = readiness.reasons();
      if (reasons.length === 0) sendInferenceJson(reply, { ready: true });
      else sendInferenceJson(reply.code(503), { ready: false, error: reasons.join(', ') });
    },
  );
}
