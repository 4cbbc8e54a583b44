// Messages of a stream: a step or a sequence, as JSON or as a safetensors file.
import type { ResponseBody } from '../../codec/response-body.ts';
import { type SafetensorsFile, readSafetensorsFile } from '../../codec/safetensors/read.ts';
import type { RecurrenceTensors } from '../../engine/result.ts';
import type { ErrorCode } from '../../error-kinds.ts';
import { CarryoverError, escapePointer, invalidRequest } from '../../errors.ts';
import type { JsonCodec } from '../../engine/json-codec.ts';
import type { Lifetime } from '../../lifetime.ts';
import { DTYPES } from '../../tensor.ts';
import type { ByteBlock } from '../../wasm/byte-block.ts';
import { ref } from '../schemas/ref.ts';
import { SocketCall } from './socket-schemas.ts';
import type { Computation, ComputationFormat } from '../compute/computation.ts';
import { SEQUENCE } from '../compute/sequence.ts';
import { STEP } from '../compute/step.ts';

/** A message, with the fields of its step or sequence (`body`) apart from those of the stream (`call`). */
export interface SocketMessage extends Disposable {
  readonly id: unknown;
  readonly call: { readonly id: unknown; readonly key: unknown; readonly if_match: unknown };
  readonly body: unknown;
  readonly isFile: boolean;
  /** Axes of x; 0 if it is no tensor. */
  readonly rank: number;
  /** Frees the memory of its tensors; to be called when it has been answered. */
  readonly [Symbol.dispose]: () => void;
}

/** @throws invalid_request */
export type Validate = (schema: object, value: unknown) => void;

export interface MessageComputation {
  readonly computation: Computation;
  readonly responseBodyOf: (result: RecurrenceTensors) => ResponseBody;
}

const CALL_SCHEMA = ref(SocketCall);
const STEP_SCHEMA = ref(STEP.bodySchema);
const SEQUENCE_SCHEMA = ref(SEQUENCE.bodySchema);

/** @throws malformed_safetensors · memory_full, and what JsonCodec.parse throws */
export async function openMessage(
  jsonCodec: JsonCodec,
  data: Buffer,
  isFile: boolean,
  lifetime: Lifetime,
): Promise<SocketMessage> {
  const placed = jsonCodec.allocateCopy(data);
  const block = placed instanceof Promise ? await placed : placed;
  if (isFile) return lifetime.record.measure('readMs', () => openFile(block));
  const parsed = await jsonCodec.parse(block, lifetime);
  return messageOf(parsed.value, () => parsed.release());
}

/** @param value of JSON · @param release frees the memory of its tensors */
export function messageOf(value: unknown, release: () => void): SocketMessage {
  const common = { isFile: false, [Symbol.dispose]: release };
  if (!isObject(value)) return { id: undefined, call: NO_CALL, body: value, rank: 0, ...common };
  const { id, key, if_match, ...body } = value;
  return { id, call: { id, key, if_match }, body, rank: depthOf(body.x), ...common };
}

/** The tensors are views of the block. @throws malformed_safetensors */
function openFile(block: ByteBlock): SocketMessage {
  let isBodyHeld = true;
  const release = () => {
    if (isBodyHeld) block.release();
    isBodyHeld = false;
  };
  try {
    const { tensors, metadata } = readSafetensorsFile(block.view(), () => isBodyHeld, DTYPES);
    const { id, key, if_match, ...rest } = metadata;
    const body: SafetensorsFile = { tensors, metadata: rest };
    const rank = tensors.get('x')?.shape.length ?? 0;
    return { id, call: { id, key, if_match }, body, isFile: true, rank, [Symbol.dispose]: release };
  } catch (error) {
    release();
    throw error;
  }
}

/**
 * A message whose x has more axes than that of a step is a sequence.
 *
 * @param stepAxes 2 of (N, D), or 1 of (N) row numbers of an embedding
 * @throws what the POST routes throw
 */
export function readComputation(message: SocketMessage, stepAxes: 1 | 2, validate: Validate): MessageComputation {
  return message.rank > stepAxes
    ? readAs(SEQUENCE, SEQUENCE_SCHEMA, message, validate)
    : readAs(STEP, STEP_SCHEMA, message, validate);
}

/** @throws invalid_request */
export function readCall({ call }: SocketMessage, validate: Validate) {
  validate(CALL_SCHEMA, call);
  return call as { id?: string | number; key?: string; if_match?: string };
}

/** Of every message, and what a session has itself. */
const MESSAGE_FIELDS = ['session', 'id', 'key', 'if_match'];
const OF_SESSION = ['weights', 'model', 'h', 'c'];

const NO_CALL = { id: undefined, key: undefined, if_match: undefined };

function readAs<JsonBody, Request extends Computation>(
  format: ComputationFormat<JsonBody, Request>,
  schema: object,
  { body, isFile }: SocketMessage,
  validate: Validate,
): MessageComputation {
  if (!isFile) {
    expectKnown(body, format.bodySchema);
    validate(schema, body);
  }
  const computation = isFile
    ? format.readFile(body as SafetensorsFile)
    : format.readJson(body as JsonBody);
  return { computation, responseBodyOf: (result) => format.responseBodyOf(result, computation) };
}

/**
 * What a message may have is less than the body of a POST: weights, model and states are the session's.
 *
 * @throws invalid_request
 */
function expectKnown(body: unknown, schema: object): void {
  const known = Object.keys((schema as { readonly properties: object }).properties);
  const name = Object.keys(body ?? {}).find((one) => !known.includes(one));
  if (name === undefined) return;
  const fields = [...MESSAGE_FIELDS, ...known.filter((one) => !MESSAGE_FIELDS.includes(one) && !OF_SESSION.includes(one))];
  const shown = name.slice(0, 40);
  throw invalidRequest(`/${shown} is not a known field; expected ${fields.join(', ')}.`, `/${escapePointer(shown)}`);
}

function depthOf(value: unknown): number {
  let depth = 0;
  for (let inner = value; Array.isArray(inner) && depth < 3; inner = inner[0]) depth++;
  return depth;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether a message of these bytes can never have been applied. */
export function isUnreadable(error: unknown): boolean {
  const codes: readonly ErrorCode[] = [
    'malformed_json',
    'duplicate_key',
    'malformed_safetensors',
    // The tensors of a long message are checked while it is read.
    'invalid_request',
    'ragged_array',
    'out_of_range',
  ];
  return error instanceof CarryoverError && codes.includes(error.code);
}

/** Whether an id of a message can be repeated in its answer. */
export function isTag(id: unknown): id is string | number {
  if (typeof id === 'number') return Math.abs(id) <= Number.MAX_SAFE_INTEGER;
  return typeof id === 'string' && id.length <= 128;
}
