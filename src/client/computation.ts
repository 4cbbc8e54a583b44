// Steps and sequences as they are sent and answered: as JSON or as safetensors files, with the same content.
import { jsonText, parseJson, parseText } from './json.ts';
import { unreadable } from './problem.ts';
import { type TensorFile, TensorFileError, readTensorFile, writeTensorFile } from './safetensors.ts';
import { type NestedArray, Tensor, type TensorLike, nameOf, withoutShape } from './tensor.ts';
import { type Trace, traceOfJson } from './trace.ts';
import { type Body, FILE_TYPE, JSON_TYPE } from './transport.ts';
import { type Layout, type Output, type SessionMark, markOf } from './types.ts';
import type { Layers, Weights } from './weights.ts';

/** h of one recurrent layer (N, H); of several a list with an entry for each layer and direction. */
export type States = Tensor | Tensor[];
/** c in the same form, null where a layer has none. */
export type CellStates = Tensor | (Tensor | null)[];
/** States as callers give them. */
export type StatesLike = TensorLike | readonly (TensorLike | null)[];

/** A request, in the fields of the service's JSON. */
export interface Computation {
  readonly model?: string | undefined;
  readonly weights?: Weights | Layers | undefined;
  readonly session?: string | undefined;
  readonly x: TensorLike;
  readonly h?: StatesLike | undefined;
  readonly c?: StatesLike | undefined;
  readonly lengths?: readonly number[] | undefined;
  readonly layout?: Layout | undefined;
  readonly outputs?: readonly Output[] | undefined;
  readonly trace?: boolean | undefined;
}

/** All that an answer to it may have. */
export interface Result {
  readonly hs?: Tensor;
  readonly h?: States;
  readonly c?: CellStates;
  readonly ys?: Tensor;
  readonly y?: Tensor;
  readonly trace?: Trace;
  readonly session?: SessionMark;
  /** What else stands beside the tensors. */
  readonly fields: Readonly<Record<string, unknown>>;
}

/** JSON up to here takes less time than a file, and can be read in the tools of a browser. */
const JSON_NUMBERS_MAX = 256;

/** The body of a request, and the type of the answer to ask for. @throws RangeError · TypeError as Tensor.from() and jsonText() */
export function encode(computation: Computation): { readonly body: Body; readonly accept: string } {
  expectX(computation);
  const accept = isForJson(computation) ? JSON_TYPE : FILE_TYPE;
  const { weights, x, h, c } = computation;
  const isShort = [x, h, c].every((tensors) => tensors === undefined || isShortArray(tensors));
  if (weights === undefined && !isShort) return { body: { type: FILE_TYPE, data: encodeFile(computation) }, accept };
  return { body: { type: JSON_TYPE, data: jsonText(computation) }, accept };
}

/** Of a call whose types nobody has checked. @param place of x in it @throws TypeError */
export function expectX(computation: Partial<Computation> | undefined, place = 'x'): void {
  const x: unknown = computation?.x;
  if (Array.isArray(x) || x instanceof Tensor) return;
  if (ArrayBuffer.isView(x)) throw new TypeError(`${place} is ${withoutShape(x)}.`);
  const wanted = computation?.session === undefined ? '{ model or weights, x }' : 'x';
  throw new TypeError(`Expected ${wanted}, with x a Tensor or nested arrays of numbers; ${place} is ${x === undefined || x === null ? 'missing' : nameOf(x)}.`);
}

/** A file has neither the layers of a trace nor, without h, the number of entries of c. */
export function isForJson({ trace, outputs }: Pick<Computation, 'trace' | 'outputs'>): boolean {
  return trace === true || (outputs !== undefined && outputs.includes('c') && !outputs.includes('h'));
}

/** @param fields of a message on a WebSocket @throws RangeError · TypeError as Tensor.from() */
export function encodeFile(
  { model, session, x, h, c, lengths, layout, outputs, trace }: Computation,
  fields: Readonly<Record<string, string | undefined>> = {},
): Uint8Array<ArrayBuffer> {
  const tensors = { x: Tensor.from(x), ...fileStates('h', h), ...fileStates('c', c) };
  const options = { layout, outputs: outputs?.join(), lengths: lengths?.join(), ...(trace && { trace: 'true' }) };
  return writeTensorFile(tensors, { model, session, ...options, ...fields });
}

/** `h`, or `h.0`, `h.1` … without those that are null. */
function fileStates(name: string, states: StatesLike | undefined): Record<string, Tensor> {
  if (states === undefined) return {};
  if (states instanceof Tensor || !isList(states)) return { [name]: Tensor.from(states) };
  const present = states.flatMap((state, k) => (state === null ? [] : [[`${name}.${k}`, Tensor.from(state)] as const]));
  return Object.fromEntries(present);
}

/** Whether it is a list of matrices, and not one. */
function isList(states: readonly unknown[]): states is readonly (TensorLike | null)[] {
  const first = states.find((state) => state !== null);
  return first === undefined || first instanceof Tensor || (Array.isArray(first) && Array.isArray(first[0]));
}

export function isShortArray(tensors: StatesLike): boolean {
  let count = 1;
  for (let inner: unknown = tensors; Array.isArray(inner); inner = inner[0]) {
    if (inner.some((element) => element instanceof Tensor)) return false;
    count *= inner.length;
  }
  return !(tensors instanceof Tensor) && count <= JSON_NUMBERS_MAX;
}

/** @throws CarryoverError unreadable_answer */
export function decode(contentType: string | null, bytes: Uint8Array<ArrayBuffer>): Result {
  const type = contentType?.split(';')[0]!.trim();
  if (type === FILE_TYPE) return decodeFile(bytes);
  if (type === JSON_TYPE) return decodeJson(parseJson(bytes));
  throw unreadable(`an answer of type ${type ?? 'none'}, expected tensors`);
}

/** @throws CarryoverError unreadable_answer */
export function decodeFile(bytes: Uint8Array<ArrayBuffer>): Result {
  const { tensors, metadata } = readFile(bytes);
  const { session, ...fields } = metadata;
  return resultOf(tensors, { ...fields, ...(session !== undefined && { session: parseText(session) }) });
}

/** @param fields those that are no tensors @throws CarryoverError unreadable_answer */
export function resultOf(tensors: TensorFile['tensors'], { session, ...fields }: Readonly<Record<string, unknown>>): Result {
  const { hs, ys, y } = tensors;
  const h = statesOfFile('h', tensors);
  const c = cellStatesOfFile(tensors, Array.isArray(h) ? h.length : 0);
  return {
    ...(hs && { hs }),
    ...(h && { h }),
    ...(c && { c }),
    ...(ys && { ys }),
    ...(y && { y }),
    ...(session !== undefined && { session: markOf(session) }),
    fields,
  };
}

/** @throws CarryoverError unreadable_answer */
export function readFile(bytes: Uint8Array<ArrayBuffer>): TensorFile {
  try {
    return readTensorFile(bytes);
  } catch (error) {
    throw error instanceof TensorFileError ? unreadable(error.message, error) : error;
  }
}

function statesOfFile(name: string, tensors: TensorFile['tensors']): States | undefined {
  if (tensors[name]) return tensors[name];
  const list: Tensor[] = [];
  for (let state = tensors[`${name}.0`]; state; state = tensors[`${name}.${list.length}`]) list.push(state);
  return list.length > 0 ? list : undefined;
}

function cellStatesOfFile(tensors: TensorFile['tensors'], length: number): CellStates | undefined {
  if (tensors['c']) return tensors['c'];
  const list = Array.from({ length }, (_, k) => tensors[`c.${k}`] ?? null);
  return list.some((state) => state !== null) ? list : undefined;
}

/** @throws CarryoverError unreadable_answer */
export function decodeJson(value: unknown): Result {
  if (typeof value !== 'object' || value === null) throw unreadable('an answer that is no object');
  const { hs, h, c, ys, y, trace, session, ...fields } = value as Record<string, unknown>;
  try {
    return {
      ...(hs !== undefined && { hs: tensorOf(hs) }),
      ...(h !== undefined && { h: statesOfJson(h) as States }),
      ...(c !== undefined && { c: statesOfJson(c) }),
      ...(ys !== undefined && { ys: tensorOf(ys) }),
      ...(y !== undefined && { y: tensorOf(y) }),
      ...(trace !== undefined && { trace: traceOfJson(trace) }),
      ...(session !== undefined && { session: markOf(session) }),
      fields,
    };
  } catch (error) {
    throw error instanceof RangeError || error instanceof TypeError ? unreadable('an answer whose tensors are none', error) : error;
  }
}

function statesOfJson(value: unknown): CellStates {
  if (!Array.isArray(value) || !isList(value)) return tensorOf(value);
  return value.map((state) => (state === null ? null : tensorOf(state)));
}

function tensorOf(value: unknown): Tensor {
  return Tensor.from(value as NestedArray);
}
