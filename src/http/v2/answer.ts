// The answer to an inference request: JSON, and behind it the tensors that are wanted as bytes.
import type { FastifyReply, FastifyRequest } from 'fastify';
import { UNSLICED_NUMBERS_MAX, copyTensors, copyTensorsInSlices } from '../../codec/copy-tensors.ts';
import { SegmentWriter } from '../../codec/json/segments.ts';
import type { RecurrenceTensors } from '../../engine/result.ts';
import { invalidRequest } from '../../errors.ts';
import type { TensorView } from '../../tensor.ts';
import { JSON_TYPE } from '../media-types.ts';
import { HEADER_LENGTH } from '../responses/inference-headers.ts';
import { type ResponseWriter, sendBytes } from '../responses/response-writer.ts';
import type { InferenceRequest } from './request.ts';

/** Models have one version: other weights are another model, whose id is another. */
export const VERSION = '1';

const BYTES_TYPE = 'application/octet-stream';
const F32_BYTES = Float32Array.BYTES_PER_ELEMENT;

export interface InferenceAnswer {
  readonly bytes: Buffer;
  /** Bytes of the JSON; undefined if it is all of the answer. */
  readonly jsonBytes: number | undefined;
}

interface Output {
  readonly name: string;
  readonly view: TensorView;
  readonly isBinary: boolean;
}

/**
 * @param result valid until this has settled
 * @throws invalid_request if the model has no such output · as ResponseWriter.write
 */
export async function writeInferenceAnswer(
  responses: ResponseWriter,
  request: FastifyRequest,
  model: string,
  inference: InferenceRequest,
  result: RecurrenceTensors,
): Promise<InferenceAnswer> {
  const outputs = outputsOf(inference, result);
  const json = await responses.writeJson(request, segmentsOf(model, inference.id, outputs));
  const views = outputs.filter(({ isBinary }) => isBinary).map(({ view }) => view);
  if (views.length === 0) return { bytes: json, jsonBytes: undefined };
  const numbers = views.reduce((sum, { shape }) => sum + countOf(shape), 0);
  const bytes = responses.allocate(request, json.length + numbers * F32_BYTES);
  bytes.set(json);
  if (numbers <= UNSLICED_NUMBERS_MAX) copyTensors(views, bytes, json.length);
  else await copyTensorsInSlices(views, bytes, json.length);
  return { bytes, jsonBytes: json.length };
}

export function sendInferenceAnswer(reply: FastifyReply, { bytes, jsonBytes }: InferenceAnswer): Promise<FastifyReply> {
  if (jsonBytes === undefined) return sendBytes(reply, JSON_TYPE, bytes);
  return sendBytes(reply.header(HEADER_LENGTH, jsonBytes), BYTES_TYPE, bytes);
}

/** The outputs that are wanted, in the order in which they are. @throws invalid_request */
function outputsOf({ outputs, isBinary, input }: InferenceRequest, result: RecurrenceTensors): Output[] {
  const computed = tensorsOf(result);
  if (!outputs) return [...computed].map(([name, view]) => ({ name, view, isBinary }));
  return outputs.map(({ name, isBinary: isOwnBinary }, k) => {
    const view = computed.get(name);
    if (view) return { name, view, isBinary: isOwnBinary };
    const ofSteps = (name === 'hs' || name === 'ys') && !input.x.axes.includes('T');
    const why = ofSteps ? 'x has no axis T' : `the outputs of this model are ${[...computed.keys()].join(', ')}`;
    throw invalidRequest(`outputs[${k}] is ${JSON.stringify(name.slice(0, 40))}, but ${why}.`, `/outputs/${k}`);
  });
}

function tensorsOf({ hs, states, ys, y }: RecurrenceTensors): ReadonlyMap<string, TensorView> {
  const tensors = new Map<string, TensorView>();
  if (hs) tensors.set('hs', hs);
  const nameOf = (letter: string, k: number) => (states.length === 1 ? letter : `${letter}.${k}`);
  for (const [k, { h }] of states.entries()) tensors.set(nameOf('h', k), h);
  for (const [k, { c }] of states.entries()) if (c) tensors.set(nameOf('c', k), c);
  if (ys) tensors.set('ys', ys);
  if (y) tensors.set('y', y);
  return tensors;
}

function segmentsOf(model: string, id: string | undefined, outputs: readonly Output[]) {
  const json = new SegmentWriter();
  const member = (name: string, value: unknown) => {
    json.key(name);
    json.text(JSON.stringify(value));
  };
  json.open();
  member('model_name', model);
  member('model_version', VERSION);
  if (id !== undefined) member('id', id);
  json.key('outputs');
  json.text('[');
  for (const [k, { name, view, isBinary }] of outputs.entries()) {
    if (k > 0) json.text(',');
    json.open();
    member('name', name);
    member('datatype', 'FP32');
    member('shape', view.shape);
    if (isBinary) member('parameters', { binary_data_size: countOf(view.shape) * F32_BYTES });
    else {
      json.key('data');
      json.tensor(view);
    }
    json.close();
  }
  json.text(']');
  json.close();
  return json.segments();
}

function countOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}
