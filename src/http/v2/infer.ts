// POST /v2/models/{model}/infer: one step or a sequence of steps; with sequence_id it goes on from the last request.
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Static } from 'typebox';
import type { Engine } from '../../engine/engine.ts';
import type { RecurrenceTensors } from '../../engine/result.ts';
import type { SequenceCompute } from '../../engine/sequence-compute.ts';
import type { Limits } from '../../engine/shapes.ts';
import { invalidRequest } from '../../errors.ts';
import type { Call } from '../../sessions/call.ts';
import { expectScope } from '../access.ts';
import type { AuditLog } from '../audit.ts';
import { inflateBody } from '../bodies/inflate.ts';
import type { HttpServer } from '../http-server.ts';
import type { ResponseWriter } from '../responses/response-writer.ts';
import { BODY_ERRORS, COMPUTE_ERRORS, SESSION_ERRORS } from '../schemas/problem.ts';
import { ref } from '../schemas/ref.ts';
import { SESSION_HEADER } from '../session-request.ts';
import { markReplayed } from '../sessions/replies.ts';
import { sessionHeaders } from '../sessions/representation.ts';
import { CallHeaders } from '../sessions/schemas.ts';
import { callOf, expectNoChangeHeaders } from '../sessions/session-call.ts';
import { sendInferenceAnswer, writeInferenceAnswer } from './answer.ts';
import { type InferenceRequest, readInferenceRequest } from './request.ts';
import type { SequenceParameters } from './parameters.ts';
import { InferenceBody, InferenceReply, ModelParams, VersionParams, errorResponses } from './schemas.ts';
import { expectVersion } from './version.ts';

export interface InferParts {
  readonly engine: Engine;
  readonly sequenceCompute: SequenceCompute;
  readonly responses: ResponseWriter;
  readonly audit: AuditLog;
  readonly limits: Limits;
  /** Of the session of a sequence. */
  readonly ttlMs: number;
}

/** A sequence needs the scope `sessions` too. */
const CONFIG = { access: ['compute'], inflates: true } as const;

const SCHEMA = {
  tags: ['open inference protocol'],
  headers: CallHeaders,
  body: ref(InferenceBody),
  response: {
    200: {
      description: 'Computed; as bytes behind the JSON (application/octet-stream) where that is asked for.',
      content: {
        'application/json': { schema: ref(InferenceReply) },
        'application/octet-stream': { schema: { type: 'string', format: 'binary' } },
      },
    },
    ...errorResponses([
      ...BODY_ERRORS,
      'model_not_found',
      'model_corrupt',
      'sessions_full',
      ...COMPUTE_ERRORS,
      ...SESSION_ERRORS,
    ]),
  },
} as const;

export function inferRoutes(app: HttpServer, parts: InferParts): void {
  const schema = { ...SCHEMA, operationId: 'infer', summary: 'Compute a step or a sequence of steps', params: ModelParams };
  app.post('/v2/models/:model/infer', { config: CONFIG, schema, preParsing: inflateBody }, (request, reply) =>
    infer(parts, request, reply, request.params.model, request.body),
  );
  const ofVersion = { ...SCHEMA, hide: true, params: VersionParams };
  app.post('/v2/models/:model/versions/:version/infer', { config: CONFIG, schema: ofVersion, preParsing: inflateBody }, (request, reply) => {
    expectVersion(request.params);
    return infer(parts, request, reply, request.params.model, request.body);
  });
}

async function infer(
  parts: InferParts,
  request: FastifyRequest,
  reply: FastifyReply,
  model: string,
  body: Static<typeof InferenceBody>,
): Promise<void> {
  const { engine, responses, limits } = parts;
  if (request.headers[SESSION_HEADER] !== undefined) {
    throw invalidRequest(`The header ${SESSION_HEADER} has no meaning here: a sequence is named by parameters.sequence_id.`);
  }
  const inference = request.lifetime.record.measure('readMs', () => readInferenceRequest(request, body, model, limits));
  const { input, states, sequence } = inference;
  if (sequence) return inferInSequence(parts, request, reply, model, { ...inference, sequence });
  expectNoChangeHeaders(request, 'make it a request of a sequence by parameters.sequence_id');
  using result = await engine.run({ weights: model, ...input, ...states }, request.lifetime);
  await sendInferenceAnswer(reply, await writeInferenceAnswer(responses, request, model, inference, result));
}

async function inferInSequence(
  { sequenceCompute, responses, audit, ttlMs }: InferParts,
  request: FastifyRequest,
  reply: FastifyReply,
  model: string,
  inference: InferenceRequest & { readonly sequence: SequenceParameters },
): Promise<void> {
  expectScope(request, 'sessions');
  const { sequence, input, states } = inference;
  const call = callOf(request);
  expectFitting(sequence, inference, call);
  const print = (result: RecurrenceTensors) => writeInferenceAnswer(responses, request, model, inference, result);
  const { printed, after, replayed, ended } = await sequenceCompute.advance(
    { model, ...sequence, ttlMs },
    call,
    input,
    states,
    print,
  );
  if (ended) audit.session(request, 'delete', ended.id, { before: ended });
  if (sequence.starts && !sequence.ends && !replayed) audit.session(request, 'create', after.id, { after });
  if (!sequence.ends) void reply.headers(sessionHeaders(after));
  markReplayed(reply, replayed);
  await sendInferenceAnswer(reply, printed);
}

/** @throws invalid_request for what only a request that starts a sequence may have, or may not */
function expectFitting({ starts, ends }: SequenceParameters, { states: { h, c } }: InferenceRequest, { ifMatch, key }: Call): void {
  if (starts && ifMatch !== undefined) {
    throw invalidRequest('The header if-match has no meaning with sequence_start: no state is there before it.', '');
  }
  if (starts && ends && key) {
    throw invalidRequest(
      'The header idempotency-key has no meaning with sequence_start and sequence_end in one request: the sequence has ended ' +
        'with it, and nothing is left that could remember the key. Leave the key out, or the three parameters of the sequence ' +
        'too: then nothing is changed, and the same request has the same answer whenever it is repeated.',
    );
  }
  if (starts || !(h || c)) return;
  throw invalidRequest('Expected h and c only with sequence_start: the sequence has them from the last request.', '/inputs');
}
