// The Open Inference Protocol, version 2 (KServe, Triton), under /v2. Its routes have a context of their own: the bodies are
// read whatever their type is said to be. openapi/open-inference-protocol.md describes it by examples.
import type { ReceiverParts } from '../bodies/receive-body.ts';
import type { HttpServer } from '../http-server.ts';
import { parseInferenceBodies } from './body.ts';
import { type InferParts, inferRoutes } from './infer.ts';
import { type InferenceModelParts, inferenceModelRoutes } from './models.ts';
import { type InferenceServerParts, inferenceServerRoutes } from './server.ts';

export interface InferenceProtocolParts extends InferenceServerParts, InferenceModelParts, InferParts, ReceiverParts {}

export async function inferenceProtocol(app: HttpServer, parts: InferenceProtocolParts): Promise<void> {
  parseInferenceBodies(app, parts);
  inferenceServerRoutes(app, parts);
  inferenceModelRoutes(app, parts);
  inferRoutes(app, parts);
}
