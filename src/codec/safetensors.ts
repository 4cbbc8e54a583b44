// Reads safetensors files. Every byte is accounted for, so a file that is accepted has one meaning:
//
//   | u64 header size | header, JSON in UTF-8 | data: the tensors, row-major, little-endian |
//
//   header: { "<name>": { "dtype", "shape", "data_offsets": [begin, end] }, "__metadata__"?: {…} }
//
// Offsets count from the first byte of the data. The tensors cover the data without gap or overlap;
// their order in the header means nothing. https://github.com/huggingface/safetensors#format
import { isUtf8 } from 'node:buffer';
import { CarryoverError } from '../errors.ts';
import { readJson } from './json-read.ts';

const HEADER_AT = 8;
const HEADER_BYTES_MAX = 100_000_000;
const OPENING_BRACE = 0x7b;
/** Names and values quoted in an error are cut here: they come from whoever made the file. */
const QUOTED_CHARACTERS_MAX = 80;

const ARRAYS = { F32: Float32Array, F64: Float64Array } as const;

export type Dtype = keyof typeof ARRAYS;

export interface SafeTensor {
  readonly dtype: Dtype;
  /** Empty for a single number. */
  readonly shape: readonly number[];
  /** Row-major; a copy, so the file's bytes may be reused. */
  readonly data: Float32Array | Float64Array;
}

/** The message names the tensor, what was found and what was expected. */
export class SafetensorsError extends Error {
  override name = 'SafetensorsError';
}

/**
 * The tensors of a file by name, in the order of their data.
 *
 * @throws SafetensorsError if the file breaks the format, or has a dtype other than F32 and F64
 */
export function readSafetensors(bytes: Uint8Array): Map<string, SafeTensor> {
  const headerBytes = readHeaderSize(bytes);
  const header = readHeader(bytes.subarray(HEADER_AT, HEADER_AT + headerBytes));
  const data = bytes.subarray(HEADER_AT + headerBytes);
  const entries = Object.entries(header)
    .filter(([name]) => name !== '__metadata__')
    .map(([name, value]) => readEntry(name, value));
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  expectCovered(entries, data.length);
  return new Map(entries.map((entry) => [entry.name, readTensor(entry, data)]));
}

function readHeaderSize(bytes: Uint8Array): number {
  if (bytes.length < HEADER_AT) {
    throw new SafetensorsError(
      `The file has ${bytes.length} bytes, expected at least ${HEADER_AT}: the size of the header.`,
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_AT);
  const headerBytes = view.getBigUint64(0, true);
  const rest = bytes.length - HEADER_AT;
  if (headerBytes > HEADER_BYTES_MAX || headerBytes > rest) {
    throw new SafetensorsError(
      `The header's size is ${headerBytes} bytes, expected at most ` +
        `${Math.min(rest, HEADER_BYTES_MAX)}: ${rest} bytes follow, and the format allows ` +
        `${HEADER_BYTES_MAX}.`,
    );
  }
  return Number(headerBytes);
}

function readHeader(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  // The format allows spaces behind the object, but nothing before it.
  if (bytes[0] !== OPENING_BRACE) throw new SafetensorsError("The header must begin with '{'.");
  if (!isUtf8(bytes)) throw new SafetensorsError('The header is not valid UTF-8.');
  const header = readHeaderJson(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
  if (header['__metadata__'] !== undefined) expectMetadata(header['__metadata__']);
  return header;
}

/** JSON that begins with '{' is an object. */
function readHeaderJson(bytes: Buffer): Record<string, unknown> {
  try {
    return readJson(bytes) as Record<string, unknown>;
  } catch (cause) {
    if (!(cause instanceof CarryoverError)) throw cause;
    throw new SafetensorsError(`The header is not the JSON expected: ${cause.message}`, { cause });
  }
}

function expectMetadata(metadata: unknown): void {
  if (isObject(metadata) && Object.values(metadata).every((value) => typeof value === 'string')) {
    return;
  }
  throw new SafetensorsError(
    `__metadata__ is ${describe(metadata)}, expected an object whose values are strings.`,
  );
}

interface Entry {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly count: number;
  readonly begin: number;
  readonly end: number;
}

function readEntry(name: string, value: unknown): Entry {
  if (!isObject(value)) throw refusal(name, `is ${describe(value)}`, 'an object');
  const unknown = Object.keys(value).find((key) => !FIELDS.includes(key));
  if (unknown !== undefined) {
    throw refusal(name, `has the field ${quote(unknown)}`, `only ${FIELDS.join(', ')}`);
  }
  const dtype = readDtype(name, value['dtype']);
  const shape = readShape(name, value['shape']);
  const [begin, end] = readOffsets(name, value['data_offsets']);
  const entry = { name, dtype, shape, count: countElements(name, shape), begin, end };
  expectSize(entry);
  return entry;
}

const FIELDS: readonly string[] = ['dtype', 'shape', 'data_offsets'];

function readDtype(name: string, dtype: unknown): Dtype {
  if (typeof dtype === 'string' && Object.hasOwn(ARRAYS, dtype)) return dtype as Dtype;
  throw refusal(name, `has dtype ${describe(dtype)}`, Object.keys(ARRAYS).join(' or '));
}

function readShape(name: string, shape: unknown): readonly number[] {
  if (Array.isArray(shape) && shape.every(isSize)) return shape;
  throw refusal(name, `has shape ${describe(shape)}`, 'an array of integers, each at least 0');
}

function readOffsets(name: string, offsets: unknown): readonly [number, number] {
  if (Array.isArray(offsets) && offsets.length === 2 && offsets.every(isSize)) {
    const [begin, end] = offsets as [number, number];
    if (begin <= end) return [begin, end];
  }
  const expected = 'two integers, 0 ≤ begin ≤ end';
  throw refusal(name, `has data_offsets ${describe(offsets)}`, expected);
}

function countElements(name: string, shape: readonly number[]): number {
  let count = 1;
  for (const size of shape) {
    count *= size;
    // Beyond here products are rounded, and a rounded one could fit by chance.
    if (!Number.isSafeInteger(count)) {
      throw refusal(name, `has shape ${describe(shape)}`, 'fewer than 2^53 elements');
    }
  }
  return count;
}

function expectSize({ name, dtype, shape, count, begin, end }: Entry): void {
  const found = end - begin;
  const expected = count * ARRAYS[dtype].BYTES_PER_ELEMENT;
  if (found === expected) return;
  const why = `${dtype} of shape ${describe(shape)}`;
  throw refusal(name, `has ${found} bytes of data`, `${expected} for ${why}`);
}

/** @param entries in the order of their data */
function expectCovered(entries: readonly Entry[], dataBytes: number): void {
  let covered = 0;
  for (const { name, begin, end } of entries) {
    if (begin !== covered) {
      const problem = begin < covered ? 'overlaps other data' : 'leaves a gap';
      throw refusal(name, `begins at ${begin} and ${problem}`, `byte ${covered} of the data`);
    }
    if (end > dataBytes) {
      throw refusal(name, `ends at ${end}, beyond the file`, `at most ${dataBytes} bytes of data`);
    }
    covered = end;
  }
  if (covered !== dataBytes) {
    throw new SafetensorsError(
      `The file has ${dataBytes} bytes of data, expected ${covered}: the rest is in no tensor.`,
    );
  }
}

/** The data may begin at any byte of the file; the copy is aligned. */
function readTensor({ dtype, shape, count, begin, end }: Entry, bytes: Uint8Array): SafeTensor {
  const data = new ARRAYS[dtype](count);
  // Little-endian as all of linear memory is; Node.js with WebAssembly SIMD runs on nothing else.
  new Uint8Array(data.buffer).set(bytes.subarray(begin, end));
  return { dtype, shape, data };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function refusal(name: string, found: string, expected: string): SafetensorsError {
  return new SafetensorsError(`Tensor ${quote(name)} ${found}, expected ${expected}.`);
}

/** Never deeper than one array: JSON.stringify would run out of stack on hostile nesting. */
function describe(value: unknown): string {
  if (!Array.isArray(value)) return describeItem(value);
  const shown = value.slice(0, 8).map(describeItem);
  return `[${[...shown, ...(value.length > 8 ? ['…'] : [])].join(', ')}]`;
}

function describeItem(value: unknown): string {
  if (typeof value === 'string') return quote(value);
  if (Array.isArray(value)) return 'an array';
  if (isObject(value)) return 'an object';
  if (value === undefined) return '(missing)';
  return typeof value === 'number' ? String(value) : JSON.stringify(value);
}

function quote(text: string): string {
  const cut = text.length > QUOTED_CHARACTERS_MAX;
  return JSON.stringify(cut ? `${text.slice(0, QUOTED_CHARACTERS_MAX)}…` : text);
}
