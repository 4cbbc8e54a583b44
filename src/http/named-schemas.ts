// The schemas that routes refer to by name. They are registered once, so the OpenAPI document shows each under
// its name, and the validator compiles each once.
import { BatchBody, BatchReply } from './batch/batch-schemas.ts';
import {
  SequenceBody,
  SequenceLayersTrace,
  SequenceLine,
  SequenceReply,
  SequenceTrace,
} from './compute/sequence-schemas.ts';
import { StepBody, StepLayersTrace, StepReply, StepTrace } from './compute/step-schemas.ts';
import { ModelBody, ModelInfo, ModelList, PointBody } from './models/schemas.ts';
import { Problem } from './schemas/problem.ts';
import { LAYER_SCHEMAS } from './schemas/layers.ts';
import { Weights } from './schemas/tensor.ts';
import {
  CreateSessionBody,
  RewindBody,
  SessionInfo,
  SessionList,
  SessionMark,
  SessionWithState,
  StateBody,
} from './sessions/schemas.ts';
import { SocketCall } from './sessions/socket-schemas.ts';
import { INFERENCE_SCHEMAS } from './v2/schemas.ts';

export const NAMED_SCHEMAS = [
  Weights,
  ...LAYER_SCHEMAS,
  ModelBody,
  ModelInfo,
  ModelList,
  PointBody,
  CreateSessionBody,
  SessionInfo,
  SessionMark,
  SessionWithState,
  SessionList,
  StateBody,
  RewindBody,
  SocketCall,
  StepBody,
  StepReply,
  StepTrace,
  StepLayersTrace,
  SequenceBody,
  SequenceReply,
  SequenceTrace,
  SequenceLayersTrace,
  SequenceLine,
  BatchBody,
  BatchReply,
  Problem,
  ...INFERENCE_SCHEMAS,
];
