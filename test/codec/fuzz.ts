// Compares the JSON codec, with its kernels, to JSON.parse, Math.fround and tensorToJson(): the same bodies are
// accepted, with the same bits, or refused with the same errors, and the same JSON is printed.
import { stripByteOrderMark } from '../../src/codec/json/encoding.ts';
import { hasFloat32 } from '../../src/codec/float32.ts';
import { checkJson } from '../../src/codec/json/check.ts';
import { parseJson } from '../../src/codec/json/parse.ts';
import { tensorToJson } from '../../src/codec/json/print.ts';
import { visitMembers } from '../../src/codec/json/visit-members.ts';
import { LIST_NAMES, TENSOR_NAMES, tensorOf, numbersOf } from '../../src/codec/json/placeholders.ts';
import { toJsonSegments } from '../../src/codec/response-body.ts';
import { JsonCodec } from '../../src/engine/json-codec.ts';
import type { ParsedJson } from '../../src/engine/parsed-json.ts';
import type { CarryoverError } from '../../src/errors.ts';
import { compileKernels, instantiateKernels } from '../../src/wasm/load.ts';
import { GuardedMemory } from '../helpers/guarded-memory.ts';
import { lifetimeOf } from '../helpers/lifetime.ts';
import { MadeUpJson } from './made-up-json.ts';

export interface FuzzFindings {
  bodies: number;
  accepted: number;
  /** Of the accepted ones, those that are refused as long bodies, for a fault of a tensor. */
  declined: number;
  /** Tensors, and their numbers, read by the kernel. */
  tensors: number;
  numbers: number;
  printed: number;
  /** The first ten differences. */
  readonly wrong: string[];
  bytesLeft: number;
}

const memory = new GuardedMemory(64 * 1024 * 1024);
const kernels = instantiateKernels(compileKernels(), memory.memory);
const scheduler = {
  run: async (work: { split(count: number): readonly number[] }) => work.split(1).forEach(kernels.run),
};
export const jsonCodec = new JsonCodec({ memory, kernels, scheduler, wholeBytesMax: 0 });
/** Parses every body as it does long ones, by jobs. */
export const jobCodec = new JsonCodec({ memory, kernels, scheduler, wholeBytesMax: 0, inlineBytesMax: 0 });

export async function fuzz(
  count: number,
  seed: number,
  onProgress: (part: number) => void = () => {},
): Promise<FuzzFindings> {
  const json = new MadeUpJson(seed);
  const findings: FuzzFindings = {
    bodies: 0, accepted: 0, declined: 0, tensors: 0, numbers: 0, printed: 0, wrong: [], bytesLeft: 0,
  };
  const bytesIdle = memory.bytesUsed;
  for (let i = 0; i < count && findings.wrong.length < 10; i++) {
    await fuzzReading(json.body(), findings);
    if (i % 4 === 0) await fuzzPrinting(json, findings);
    if (i % 1_000 === 0) onProgress(i / count);
  }
  findings.bytesLeft = memory.bytesUsed - bytesIdle;
  return findings;
}

async function fuzzReading(bytes: Buffer, findings: FuzzFindings): Promise<void> {
  findings.bodies++;
  const expected = outcomeOf(() => parseExpected(bytes));
  const body = await parseBody(jsonCodec, bytes).catch((error: Error) => ({ error }));
  checkGrammar(bytes, findings);
  await fuzzByJob(bytes, expected, findings);
  if ('error' in expected || 'error' in body) {
    const same = 'error' in expected && 'error' in body && expected.error.message === body.error.message;
    if (!same) findings.wrong.push(`refused differently: ${bytes.toString('latin1')}`);
  } else {
    findings.accepted++;
    const path = difference(expected.value, body.value, '', findings);
    if (path !== undefined) findings.wrong.push(`read differently at ${path}: ${bytes.toString()}`);
  }
  if (!('error' in body)) body.release();
}

function parseExpected(bytes: Buffer): unknown {
  const text = Buffer.from(bytes);
  stripByteOrderMark(text);
  return parseJson(text);
}

/** Rejects with every error, also with one that is thrown synchronously. */
async function parseBody(reader: JsonCodec, bytes: Buffer): Promise<ParsedJson> {
  const text = reader.allocate(bytes.length);
  text.append(bytes);
  return reader.parse(text, lifetimeOf());
}

/** A long body is parsed without making values of its tensors. It must be accepted or refused as a short one. */
async function fuzzByJob(bytes: Buffer, expected: Outcome, findings: FuzzFindings): Promise<void> {
  const body = await parseBody(jobCodec, bytes).catch((error: Error) => ({ error }));
  const isFine = 'value' in expected && areTensorsFine(expected.value);
  if ('value' in body) {
    body.release();
    if (!isFine) findings.wrong.push(`read as a long body: ${bytes.toString('latin1')}`);
    return;
  }
  const { error } = body;
  if ('value' in expected) findings.declined++;
  const isSame = 'error' in expected ? error.message === expected.error.message : hasPlace(error, expected.value);
  if (isFine || !isSame) {
    findings.wrong.push(`refused differently as a long body: ${bytes.toString('latin1')}: ${error.message}`);
  }
}

/**
 * Whether all tensors of a body are rectangular, of one to three axes, of numbers within float32, and all entries of lists
 * of tensors such a tensor or null.
 */
function areTensorsFine(body: unknown): boolean {
  let areFine = true;
  visitMembers(body, (key, member) => {
    if (!TENSOR_NAMES.includes(key) || !Array.isArray(member)) return true;
    const [first] = member as readonly unknown[];
    const isList = first === null || (Array.isArray(first) && Array.isArray(first[0]));
    const tensors = LIST_NAMES.includes(key) && isList ? member.filter((entry) => entry !== null) : [member];
    areFine &&= tensors.every(isTensorFine);
    return false;
  });
  return areFine;
}

function isTensorFine(tensor: unknown): boolean {
  if (!Array.isArray(tensor)) return false;
  const shape: number[] = [];
  for (let inner: unknown = tensor; Array.isArray(inner); inner = inner[0]) shape.push(inner.length);
  const isFine = (value: unknown, axis: number): boolean => {
    if (axis === shape.length) return typeof value === 'number' && hasFloat32(value);
    return Array.isArray(value) && value.length === shape[axis] && value.every((one) => isFine(one, axis + 1));
  };
  return shape.length <= 3 && !shape.includes(0) && isFine(tensor, 0);
}

/** Whether an error is about a tensor, and its pointer is that of a value of the body. */
function hasPlace(error: Error, body: unknown): boolean {
  const { code, errors } = error as CarryoverError;
  let value = body;
  for (const step of errors[0]!.pointer.split('/').slice(1)) {
    const key = step.replaceAll('~1', '/').replaceAll('~0', '~');
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return false;
    value = Reflect.get(value, key);
  }
  return ['invalid_request', 'ragged_array', 'out_of_range'].includes(code);
}

/** checkJson() must refuse as not JSON exactly what JSON.parse refuses. */
function checkGrammar(bytes: Buffer, { wrong }: FuzzFindings): void {
  const text = bytes.toString();
  const parsed = outcomeOf(() => JSON.parse(text));
  const checked = outcomeOf(() => checkJson(Buffer.from(text)));
  const isRefused = 'error' in checked && (checked.error as CarryoverError).code === 'malformed_json';
  if ('error' in parsed !== isRefused) wrong.push(`grammar differs: ${text}`);
}

type Outcome = { value: unknown } | { error: Error };

function outcomeOf(read: () => unknown): Outcome {
  try {
    return { value: read() };
  } catch (error) {
    return { error: error as Error };
  }
}

/** The path of the first difference; tensors are compared by shape and bits. */
function difference(
  expected: unknown,
  actual: unknown,
  path: string,
  findings: FuzzFindings,
): string | undefined {
  if (typeof expected !== 'object' || expected === null) {
    return Object.is(expected, actual) ? undefined : path;
  }
  if (typeof actual !== 'object' || actual === null) return path;
  const parsed = tensorOf(actual);
  if (parsed) {
    const numbers = numbersOf(parsed);
    findings.tensors++;
    findings.numbers += numbers.length;
    return sameTensor(expected, parsed.shape, numbers) ? undefined : path;
  }
  if (Array.isArray(expected) !== Array.isArray(actual)) return path;
  const keys = Object.keys(expected);
  if (Object.keys(actual).join() !== keys.join()) return path;
  for (const key of keys) {
    const [one, other] = [Reflect.get(expected, key), Reflect.get(actual, key)];
    const found = difference(one, other, `${path}/${key}`, findings);
    if (found !== undefined) return found;
  }
  return undefined;
}

function sameTensor(expected: unknown, shape: readonly number[], numbers: Float32Array): boolean {
  let next = 0;
  const visit = (value: unknown, axis: number): boolean => {
    if (axis === shape.length) return Object.is(numbers[next++], Math.fround(value as number));
    if (!Array.isArray(value) || value.length !== shape[axis]) return false;
    return value.every((one) => visit(one, axis + 1));
  };
  return visit(expected, 0) && next === numbers.length;
}

async function fuzzPrinting(json: MadeUpJson, findings: FuzzFindings): Promise<void> {
  const shape = Array.from({ length: 1 + json.below(3) }, () => 1 + json.below(5));
  const data = new Float32Array(200);
  const words = new Uint32Array(data.buffer);
  for (let i = 0; i < data.length; i++) {
    words[i] = json.chance(2) ? json.below(0x7f80_0000) : 0x3000_0000 + json.below(0x1000_0000);
    if (json.chance(2)) words[i]! |= 0x8000_0000;
  }
  // The strides of a row-major tensor with padding behind its rows, with its axes in any order.
  let stride = 1;
  const strides = shape.toReversed().map((size) => {
    const step = stride;
    stride *= size + json.below(2);
    return step;
  });
  if (json.chance(2)) strides.reverse();
  const tensor = { shape, strides, data };
  const trace = json.chance(2) ? { z: tensor } : undefined;
  const segments = toJsonSegments({ tensors: { h: tensor, y: undefined }, trace });
  const printed = (
    await jsonCodec.stringifyToBuffer(segments, lifetimeOf())
  ).toString();
  findings.printed += shape.reduce((product, size) => product * size, 1);
  const plain = tensorToJson(tensor);
  const expected = [`{"h":${plain}}`, `{"h":${plain},"trace":{"z":${plain}}}`];
  if (!expected.includes(printed)) findings.wrong.push(`printed differently: ${printed}`);
}
