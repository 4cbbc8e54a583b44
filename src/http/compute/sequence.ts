// POST /v1/sequence: T steps of a mini-batch, every state or only the last, as JSON, as a safetensors
// file, or as a stream of steps.
import type { Static } from 'typebox';
import type { ResponseBody } from '../../codec/response-body.ts';
import { segmentsOfSteps } from '../../codec/json/step-events.ts';
import type { SafetensorsFile } from '../../codec/safetensors/read.ts';
import type { Engine } from '../../engine/engine.ts';
import type { RecurrenceTensors } from '../../engine/result.ts';
import type { Output } from '../../engine/shapes.ts';
import { LAYERS_FIELD } from '../../models/model-file.ts';
import { type TensorView, swapAxes } from '../../tensor.ts';
import { responseType, sessionResponseType } from '../media-types.ts';
import type { HttpServer } from '../http-server.ts';
import { sendBytes } from '../responses/response-writer.ts';
import { type StepSegments, type StreamResponses, isStreamType } from '../responses/stream-responses.ts';
import { expectNoChangeHeaders } from '../sessions/session-call.ts';
import { sessionIdOf } from '../sessions/session-header.ts';
import { varyBy } from '../vary.ts';
import {
  type Computation,
  type ComputationFormat,
  expectWeights,
  readComputation,
} from './computation.ts';
import { statesOf, traceOf, wantedOutputs } from './answer.ts';
import { COMPUTE_ACCESS, computeSchema } from './compute-schema.ts';
import { fileInput, fileWeights, readFileBody } from './file-body.ts';
import { fileStates } from './file-states.ts';
import { SequenceBody, SequenceLine, SequenceReply } from './sequence-schemas.ts';
import { type AdvanceSessionParts, advanceSession } from './advance-session.ts';
import { inputSource, statesSource } from './layers.ts';
import { inlineSource, optionalWeights } from './weights.ts';

export interface SequenceParts extends AdvanceSessionParts {
  readonly engine: Engine;
  readonly streams: StreamResponses;
}

const SCHEMA = {
  operationId: 'sequence',
  summary: 'Advance a mini-batch by T steps',
  description:
    'h_t = tanh(h_{t-1} W_h + x_t W_x + b) for t = 1 … T. Accept application/x-ndjson or ' +
    'text/event-stream to be sent the steps while they are computed, in a call without a session: one with a session is ' +
    'answered as JSON or safetensors.',
  ...computeSchema(SequenceBody, SequenceReply, SequenceLine),
};

/** A Fastify plugin with the route. */
export async function sequenceRoute(app: HttpServer, parts: SequenceParts): Promise<void> {
  const { engine, responses, streams } = parts;
  app.post('/v1/sequence', { config: COMPUTE_ACCESS, schema: SCHEMA }, async (request, reply) => {
    varyBy(reply, 'accept');
    const sequence = readComputation(request, request.body, SEQUENCE);
    const session = sessionIdOf(request, sequence.session);
    const type = session === undefined ? responseType(request, true) : sessionResponseType(request);
    if (session !== undefined) {
      return advanceSession(parts, request, reply, type, session, sequence, responseBodyOf);
    }
    expectNoChangeHeaders(request);
    const input = expectWeights(sequence);
    if (isStreamType(type)) {
      // Before expectCapacity(), which may terminate another stream: a request for an unknown model must not cause
      // that.
      await engine.resolveModel(input.weights, request.lifetime);
      streams.expectCapacity(request);
      const stream = await engine.stream(input, request.lifetime);
      // Not awaited: while it is sent, nothing of this function is kept, and so nothing of the body.
      return streams.send(request, reply, type, stream, stepSegmentsOf(sequence));
    }
    using result = await engine.run(input, request.lifetime);
    const bytes = await responses.write(request, type, responseBodyOf(result, sequence));
    return sendBytes(reply, type, bytes);
  });
}

/** What is computed, and how it is to be answered. */
interface SequenceRequest extends Computation {
  readonly layout: 'TND' | 'NTD';
  readonly wanted: ReadonlySet<Output>;
}

export const SEQUENCE: ComputationFormat<Static<typeof SequenceBody>, SequenceRequest> = {
  bodySchema: SequenceBody,
  readJson,
  readFile,
  responseBodyOf,
};

function readJson(body: Static<typeof SequenceBody>): SequenceRequest {
  const { x, h, c, lengths, session, layout = 'TND', outputs, trace = false } = body;
  const wanted = wantedOutputs(outputs);
  const input = {
    weights: optionalWeights(body.model, body.weights && inlineSource(body.weights)),
    x: inputSource(layout, x),
    h: h && statesSource('h', h),
    c: c && statesSource('c', c),
    lengths,
    keepsStates: wanted.has('hs') || wanted.has('ys'),
    trace,
    outputs,
  };
  return { input, session, layout, wanted };
}

function readFile(file: SafetensorsFile): SequenceRequest {
  const fields = ['model', 'session', LAYERS_FIELD, 'trace', 'layout', 'outputs', 'lengths'];
  const body = readFileBody(file, fields);
  const { session, layout, outputs, lengths, trace } = body;
  const wanted = wantedOutputs(outputs);
  const input = {
    weights: optionalWeights(body.model, fileWeights(body)),
    x: fileInput(body, layout),
    ...fileStates(body),
    lengths,
    keepsStates: wanted.has('hs') || wanted.has('ys'),
    trace,
    outputs,
  };
  return { input, session, layout, wanted };
}

function responseBodyOf(result: RecurrenceTensors, { layout, wanted }: SequenceRequest): ResponseBody {
  // The engine has time as the outer axis, whatever the layout.
  const inLayout = (view: TensorView) => (layout === 'NTD' ? swapAxes(view) : view);
  const { h, c } = statesOf(result);
  const { hs, ys, y } = result;
  return {
    tensors: {
      hs: hs && wanted.has('hs') ? inLayout(hs) : undefined,
      h: wanted.has('h') ? h : undefined,
      c: wanted.has('c') ? c : undefined,
      ys: ys && wanted.has('ys') ? inLayout(ys) : undefined,
      y: wanted.has('y') ? y : undefined,
    },
    trace: traceOf(result, inLayout),
  };
}

/** In a stream a step's tensors are (N, H) and (N, O): there is no layout to choose. */
function stepSegmentsOf({ wanted }: SequenceRequest): StepSegments {
  return ({ stepsBefore, steps, isLast, hs, ys, y, ...result }, framing) => {
    const { h, c } = statesOf(result);
    const last = {
      h: wanted.has('h') ? h : undefined,
      c: wanted.has('c') ? c : undefined,
      y: wanted.has('y') ? y : undefined,
    };
    const each = { h: wanted.has('hs') ? hs : undefined, y: wanted.has('ys') ? ys : undefined };
    return segmentsOfSteps({ stepsBefore, steps, isLast, each, last, trace: traceOf(result, (view) => view) }, framing);
  };
}
