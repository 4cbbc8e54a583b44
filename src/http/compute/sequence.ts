// POST /v1/sequence: T steps of a mini-batch, every state or only the last, as JSON, as a safetensors
// file, or as a stream of steps.
import type { FastifyInstance } from 'fastify';
import type { Static } from 'typebox';
import type { Answer } from '../../codec/response-body.ts';
import { swapAxes } from '../../codec/json/print.ts';
import { tensorFromJson } from '../../codec/json/tensor.ts';
import type { SafetensorsFile } from '../../codec/safetensors/read.ts';
import { segmentsOfSteps } from '../../codec/json/step-events.ts';
import type { RecurrenceResult } from '../../engine/engine.ts';
import type { TensorView } from '../../tensor.ts';
import { SequenceLine } from './sequence-line-schema.ts';
import { SequenceBody, SequenceReply } from './sequence-schemas.ts';
import type { StepSegments, Streams } from '../responses/stream-response.ts';
import {
  type ComputeParts,
  type Computation,
  type ComputeRoute,
  computeRoute,
} from './compute-route.ts';
import { fileWeights, optionalTensor, readFileBody, requiredTensor } from './file-body.ts';
import { optionalWeights, weightsSource } from './weights.ts';

type Body = Static<typeof SequenceBody>;

/** What is computed, and how it is to be answered. */
interface SequenceRequest extends Computation {
  readonly layout: 'TND' | 'NTD';
  readonly outputs: readonly ('hs' | 'h')[];
}

export const SEQUENCE: ComputeRoute<Body, SequenceRequest> = {
  url: '/v1/sequence',
  operationId: 'sequence',
  summary: 'Advance a mini-batch by T steps',
  description:
    'h_t = tanh(h_{t-1} W_h + x_t W_x + b) for t = 1 … T. Accept application/x-ndjson or ' +
    'text/event-stream to be sent the steps while they are computed.',
  bodySchema: SequenceBody,
  replySchema: SequenceReply,
  readJson: requestFromJson,
  readFile: requestFromFile,
  answerOf,
};

export function sequenceRoute(app: FastifyInstance, parts: ComputeParts, streams: Streams): void {
  const stream = { streams, lineSchema: SequenceLine, toSegments: stepSegmentsOf };
  computeRoute(app, parts, { ...SEQUENCE, stream });
}

function requestFromJson(body: Body): SequenceRequest {
  const { x, h, lengths, session, layout = 'TND', outputs = ['hs', 'h'], trace = false } = body;
  const input = {
    weights: optionalWeights(body.model, body.weights && weightsSource(body.weights)),
    x: tensorFromJson('x', layout, x),
    h: h && tensorFromJson('h', 'NH', h),
    lengths,
    keepsStates: outputs.includes('hs'),
    trace,
  };
  return { input, session, layout, outputs };
}

function requestFromFile(file: SafetensorsFile): SequenceRequest {
  const fields = ['model', 'session', 'trace', 'layout', 'outputs', 'lengths'];
  const body = readFileBody(file, fields);
  const { session, layout, outputs, lengths, trace } = body;
  const input = {
    weights: optionalWeights(body.model, fileWeights(body)),
    x: requiredTensor(body, 'x', layout),
    h: optionalTensor(body, 'h', 'NH'),
    lengths,
    keepsStates: outputs.includes('hs'),
    trace,
  };
  return { input, session, layout, outputs };
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

/** In a stream a step's tensors are (N, H) and (N, O): there is no layout to choose. */
function stepSegmentsOf({ outputs }: SequenceRequest): StepSegments {
  const wantsLast = outputs.includes('h');
  return (steps, framing) => segmentsOfSteps(steps, wantsLast, framing);
}
