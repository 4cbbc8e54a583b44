// POST /v1/step: one step of a mini-batch, as JSON or as a safetensors file.
import type { Static } from 'typebox';
import type { ResponseBody } from '../../codec/response-body.ts';
import type { SafetensorsFile } from '../../codec/safetensors/read.ts';
import type { Engine } from '../../engine/engine.ts';
import type { RecurrenceTensors } from '../../engine/result.ts';
import { LAYERS_FIELD } from '../../models/model-file.ts';
import type { TensorView } from '../../tensor.ts';
import { responseType } from '../media-types.ts';
import type { HttpServer } from '../http-server.ts';
import { sendBytes } from '../responses/response-writer.ts';
import { expectNoChangeHeaders } from '../sessions/session-call.ts';
import { sessionIdOf } from '../sessions/session-header.ts';
import { varyBy } from '../vary.ts';
import {
  type Computation,
  type ComputationFormat,
  expectWeights,
  readComputation,
} from './computation.ts';
import { statesOf, traceOf } from './answer.ts';
import { COMPUTE_ACCESS, computeSchema } from './compute-schema.ts';
import { fileInput, fileWeights, readFileBody } from './file-body.ts';
import { fileStates } from './file-states.ts';
import { type AdvanceSessionParts, advanceSession } from './advance-session.ts';
import { inputSource, statesSource } from './layers.ts';
import { StepBody, StepReply } from './step-schemas.ts';
import { inlineSource, optionalWeights } from './weights.ts';

export interface StepParts extends AdvanceSessionParts {
  readonly engine: Engine;
}

const SCHEMA = {
  operationId: 'step',
  summary: 'Advance a mini-batch by one step',
  description: 'h = tanh(h W_h + x W_x + b), or what the layers of the model compute.',
  ...computeSchema(StepBody, StepReply),
};

/** A Fastify plugin with the route. */
export async function stepRoute(app: HttpServer, parts: StepParts): Promise<void> {
  const { engine, responses } = parts;
  app.post('/v1/step', { config: COMPUTE_ACCESS, schema: SCHEMA }, async (request, reply) => {
    varyBy(reply, 'accept');
    const step = readComputation(request, request.body, STEP);
    const session = sessionIdOf(request, step.session);
    const type = responseType(request, false);
    if (session !== undefined) {
      return advanceSession(parts, request, reply, type, session, step, responseBodyOf);
    }
    expectNoChangeHeaders(request);
    const result = await engine.run(expectWeights(step), request.lifetime);
    // Neither `using` nor an await of what is no promise: they take 0.4 µs of a small step.
    try {
      const written = responses.write(request, type, responseBodyOf(result));
      return sendBytes(reply, type, written instanceof Promise ? await written : written);
    } finally {
      result[Symbol.dispose]();
    }
  });
}

export const STEP: ComputationFormat<Static<typeof StepBody>, Computation> = {
  bodySchema: StepBody,
  readJson,
  readFile,
  responseBodyOf,
};

function readJson(body: Static<typeof StepBody>): Computation {
  const { x, h, c, session, trace = false } = body;
  const input = {
    weights: optionalWeights(body.model, body.weights && inlineSource(body.weights)),
    x: inputSource('ND', x),
    h: h && statesSource('h', h),
    c: c && statesSource('c', c),
    keepsStates: false,
    trace,
  };
  return { input, session };
}

function readFile(file: SafetensorsFile): Computation {
  const body = readFileBody(file, ['model', 'session', LAYERS_FIELD, 'trace']);
  const { session, trace } = body;
  const input = {
    weights: optionalWeights(body.model, fileWeights(body)),
    x: fileInput(body, 'ND'),
    ...fileStates(body),
    keepsStates: false,
    trace,
  };
  return { input, session };
}

function responseBodyOf(result: RecurrenceTensors): ResponseBody {
  const { h, c } = statesOf(result);
  return { tensors: { h, c, y: result.y }, trace: traceOf(result, onlyStep) };
}

/** (1, N, H) → (N, H): a step is computed as a sequence of one. */
function onlyStep({ shape, strides, data }: TensorView): TensorView {
  return { shape: shape.slice(1), strides: strides.slice(1), data };
}
