// Reads safetensors files. Every byte is accounted for, so a file that is accepted has one meaning:
//
//   | u64 header size | header, JSON in UTF-8 | data: the tensors, row-major, little-endian |
//
//   header: { "<name>": { "dtype", "shape", "data_offsets": [begin, end] }, "__metadata__"?: {…} }
//
// Offsets count from the first byte of the data. The tensors cover the data without gap or overlap;
// their order in the header means nothing. https://github.com/huggingface/safetensors#format
import { isUtf8 } from 'node:buffer';
import { CarryoverError, clientClosed } from '../../errors.ts';
import type { Dtype } from '../../tensor.ts';
import { describe, quote } from './quote.ts';
import { ELEMENT_BYTES, copiedNumbers, numbersIn } from '../dtypes.ts';
import { identifyFormat } from './file-signatures.ts';
import { parseJson } from '../json/parse.ts';

const HEADER_AT = 8;
/**
 * The format allows 100 MB. A thousand tensors have less than this, one layer has a few; whatever is in a
 * header of this size is read within some milliseconds.
 */
const HEADER_BYTES_MAX = 128 * 1024;
const OPENING_BRACE = 0x7b;
/** Of JSON: space, tab, line feed, carriage return. */
const WHITE_SPACE: readonly number[] = [0x20, 0x09, 0x0a, 0x0d];

export interface SafeTensor {
  readonly dtype: Dtype;
  /** Empty for a single number. */
  readonly shape: readonly number[];
  /**
   * Row-major; unless said otherwise a copy, so the file's bytes may be reused. F64 stays float64; F16 and
   * BF16, each of which is a float32, are made one.
   */
  readonly data: Float32Array | Float64Array;
  /** The bytes of the file that it is read from, in place; absent if they may have been reused. */
  readonly bytes?: Uint8Array | undefined;
}

/** The message names the tensor, what was found and what was expected. */
export class SafetensorsError extends CarryoverError {
  /** The name of the tensor concerned, if it is one. */
  readonly tensor: string | undefined;

  constructor(detail: string, { tensor, cause }: { tensor?: string; cause?: unknown } = {}) {
    super('malformed_safetensors', { detail, cause });
    this.tensor = tensor;
  }
}

/**
 * The tensors of a file by name, in the order of their data.
 *
 * @throws SafetensorsError if the file breaks the format, or has a dtype that is no Dtype
 */
export function readSafetensors(bytes: Uint8Array): Map<string, SafeTensor> {
  return readSafetensorsFile(bytes).tensors;
}

export interface SafetensorsFile {
  readonly tensors: Map<string, SafeTensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * The tensors, as readSafetensors() has them, and the metadata of a file.
 *
 * @param isHeld if given, tensors are read where they are, whenever they are asked for, as long as this says
 *   that the bytes are still the file's; then they throw client_closed
 */
export function readSafetensorsFile(bytes: Uint8Array, isHeld?: () => boolean): SafetensorsFile {
  const headerBytes = readHeaderSize(bytes);
  const headerText = bytes.subarray(HEADER_AT, HEADER_AT + headerBytes);
  if (!isObjectText(headerText)) {
    throw notSafetensors(bytes, "The header must begin with '{'.");
  }
  const header = readHeader(headerText);
  const data = bytes.subarray(HEADER_AT + headerBytes);
  const entries: Entry[] = [];
  for (const name of Object.keys(header)) {
    if (name !== '__metadata__') entries.push(readEntry(name, header[name]));
  }
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  expectCovered(entries, data.length);
  return {
    tensors: new Map(entries.map((entry) => [entry.name, readTensor(entry, data, isHeld)])),
    metadata: (header['__metadata__'] ?? {}) as Record<string, string>,
  };
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
    throw notSafetensors(
      bytes,
      `The header's size is ${headerBytes} bytes, expected at most ` +
        `${Math.min(rest, HEADER_BYTES_MAX)}: ${rest} bytes follow, and no header of more than ` +
        `${HEADER_BYTES_MAX} is read.`,
    );
  }
  return Number(headerBytes);
}

/** The file may be of another format: then that is what is wrong with it. */
function notSafetensors(file: Uint8Array, problem: string): SafetensorsError {
  const format = identifyFormat(file);
  return new SafetensorsError(
    format === undefined ? problem : `Expected a safetensors file. ${format}`,
  );
}

/** The format allows spaces behind the object only; some writers put them before it as well. */
function isObjectText(bytes: Uint8Array): boolean {
  let at = 0;
  while (WHITE_SPACE.includes(bytes[at]!)) at++;
  return bytes[at] === OPENING_BRACE;
}

function readHeader(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  if (!isUtf8(bytes)) throw new SafetensorsError('The header is not valid UTF-8.');
  const header = readHeaderJson(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
  // mlx writes null where there is none.
  if (header['__metadata__'] === null) delete header['__metadata__'];
  if (header['__metadata__'] !== undefined) expectMetadata(header['__metadata__']);
  return header;
}

/** JSON that begins with '{' is an object. */
function readHeaderJson(bytes: Buffer): Record<string, unknown> {
  try {
    return parseJson(bytes) as Record<string, unknown>;
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

const DTYPES_EXPECTED = 'F32, F64, F16 or BF16';

function readDtype(name: string, dtype: unknown): Dtype {
  if (typeof dtype === 'string' && Object.hasOwn(ELEMENT_BYTES, dtype)) return dtype as Dtype;
  throw refusal(name, `has dtype ${describe(dtype)}`, DTYPES_EXPECTED);
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
  const expected = count * ELEMENT_BYTES[dtype];
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

function readTensor(
  { dtype, shape, begin, end }: Entry,
  bytes: Uint8Array,
  isHeld: (() => boolean) | undefined,
): SafeTensor {
  const data = bytes.subarray(begin, end);
  return isHeld
    ? new TensorInPlace(dtype, shape, data, isHeld)
    : { dtype, shape, data: copiedNumbers(data, dtype) };
}

class TensorInPlace implements SafeTensor {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly #bytes: Uint8Array;
  readonly #isHeld: () => boolean;

  constructor(
    dtype: Dtype,
    shape: readonly number[],
    bytes: Uint8Array,
    isHeld: () => boolean,
  ) {
    this.dtype = dtype;
    this.shape = shape;
    this.#bytes = bytes;
    this.#isHeld = isHeld;
  }

  /** @throws client_closed */
  get data(): Float32Array | Float64Array {
    return numbersIn(this.bytes, this.dtype);
  }

  /** @throws client_closed */
  get bytes(): Uint8Array {
    if (!this.#isHeld()) throw clientClosed();
    return this.#bytes;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function refusal(name: string, found: string, expected: string): SafetensorsError {
  const message = `Tensor ${quote(name)} ${found}, expected ${expected}.`;
  return new SafetensorsError(message, { tensor: name });
}
