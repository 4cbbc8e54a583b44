// POST /v1/step: one step of a mini-batch, as JSON or as a safetensors file.
import type { Static } from 'typebox';
import type { Answer } from '../../codec/response-body.ts';
import { tensorFromJson } from '../../codec/json/tensor.ts';
import type { SafetensorsFile } from '../../codec/safetensors/read.ts';
import type { RecurrenceResult } from '../../engine/engine.ts';
import type { TensorView } from '../../tensor.ts';
import { StepBody, StepReply } from './step-schemas.ts';
import type { Computation, ComputeRoute } from './compute-route.ts';
import { fileWeights, optionalTensor, readFileBody, requiredTensor } from './file-body.ts';
import { optionalWeights, weightsSource } from './weights.ts';

type Body = Static<typeof StepBody>;

export const STEP: ComputeRoute<Body, Computation> = {
  url: '/v1/step',
  operationId: 'step',
  summary: 'Advance a mini-batch by one step',
  description: 'h = tanh(h W_h + x W_x + b)',
  bodySchema: StepBody,
  replySchema: StepReply,
  readJson: computationFromJson,
  readFile: computationFromFile,
  answerOf,
};

function computationFromJson(body: Body): Computation {
  const { x, h, session, trace = false } = body;
  const input = {
    weights: optionalWeights(body.model, body.weights && weightsSource(body.weights)),
    x: tensorFromJson('x', 'ND', x),
    h: h && tensorFromJson('h', 'NH', h),
    keepsStates: false,
    trace,
  };
  return { input, session };
}

function computationFromFile(file: SafetensorsFile): Computation {
  const body = readFileBody(file, ['model', 'session', 'trace']);
  const { session, trace } = body;
  const input = {
    weights: optionalWeights(body.model, fileWeights(body)),
    x: requiredTensor(body, 'x', 'ND'),
    h: optionalTensor(body, 'h', 'NH'),
    keepsStates: false,
    trace,
  };
  return { input, session };
}

function answerOf({ h, y, trace }: RecurrenceResult): Answer {
  return {
    tensors: { h, y },
    trace: trace && {
      h_W_h: onlyStep(trace.h_W_h),
      x_W_x: onlyStep(trace.x_W_x),
      z: onlyStep(trace.z),
    },
  };
}

/** Of a sequence of one step, the only step: (1, N, H) → (N, H). */
function onlyStep({ shape, strides, data }: TensorView): TensorView {
  return { shape: shape.slice(1), strides: strides.slice(1), data };
}
