/// <reference lib="esnext.disposable" preserve="true" />
// The client as programs and pages import it. It uses only what browsers and Node.js have alike.
export type { BatchItem, BatchResult } from './batch.ts';
export { Carryover, type CarryoverOptions, type Sequence, type SequenceInput, type Step, type StepInput } from './carryover.ts';
export type { CellStates, States, StatesLike } from './computation.ts';
export type { StreamItem } from './item-message.ts';
export type { StreamItems, StreamItemsOptions, StreamResult } from './item-stream.ts';
export type { ModelDescription } from './model-body.ts';
export type { ImportOptions, Models } from './models.ts';
export { type Applied, CarryoverError, type Problem } from './problem.ts';
export type { RetryOptions } from './retry.ts';
export type { StreamedEnd, StreamedStep } from './sequence-stream.ts';
export type { Session, SessionSequenceOptions } from './session.ts';
export type { SessionSequence, SessionState, SessionStep } from './session-answers.ts';
export type { SessionInputs, StreamOptions } from './session-stream.ts';
export type { SessionOptions, Sessions } from './sessions.ts';
export { type NestedArray, Tensor, type TensorLike } from './tensor.ts';
export type { GateTrace, LayersTrace, TanhTrace, Trace } from './trace.ts';
export type { LayerInfo, Layout, ModelInfo, Output, SessionInfo, SessionMark } from './types.ts';
export type { DirectedWeights, Layer, Layers, ModelSource, Readout, Weights } from './weights.ts';
