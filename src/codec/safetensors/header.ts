// Reads the header of a safetensors file. Every byte is accounted for, so an accepted file has one meaning only:
//
//   | u64 header size | header, JSON in UTF-8 | data: the tensors, row-major, little-endian |
//
//   header: { "<name>": { "dtype", "shape", "data_offsets": [begin, end] }, "__metadata__"?: {…} }
//
// Offsets count from the first byte of the data. The tensors cover the data without gap or overlap, in any order
// in the header. https://github.com/huggingface/safetensors#format
import { isUtf8 } from 'node:buffer';
import { CarryoverError } from '../../errors.ts';
import { type Dtype, FLOAT_DTYPES } from '../../tensor.ts';
import { ELEMENT_BYTES } from '../dtypes.ts';
import { parseJson } from '../json/parse.ts';
import { identifyFormat } from './file-signatures.ts';
import { quote, quoteValue } from './quote.ts';

const HEADER_AT = 8;
/**
 * The format allows 100 MB. The header of a thousand tensors is smaller than this, and whatever is in a header
 * of this size is parsed within some milliseconds.
 */
const HEADER_BYTES_MAX = 128 * 1024;
const OPENING_BRACE = 0x7b;
/** Of JSON: space, tab, line feed, carriage return. */
const WHITE_SPACE: readonly number[] = [0x20, 0x09, 0x0a, 0x0d];

/** The error malformed_safetensors. Its message names the tensor, what was found and what was expected. */
export class SafetensorsError extends CarryoverError {
  /** The name of the tensor that is wrong, if it is one. */
  readonly tensor: string | undefined;

  constructor(detail: string, { tensor, cause }: { tensor?: string; cause?: unknown } = {}) {
    super('malformed_safetensors', { detail, cause });
    this.tensor = tensor;
  }
}

/** A tensor as the header describes it. */
export interface TensorEntry {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Elements. */
  readonly count: number;
  /** Offsets in the data, in bytes. */
  readonly begin: number;
  readonly end: number;
}

export interface SafetensorsHeader {
  /** In the order of their data, which they cover. */
  readonly entries: readonly TensorEntry[];
  /** `__metadata__`; empty if there is none. */
  readonly metadata: Readonly<Record<string, string>>;
  /** The data of the file, in place. */
  readonly data: Uint8Array;
}

/** Whether a file begins with the size of a header that may be; a file of another format hardly does. */
export function mayBeSafetensors(file: Uint8Array): boolean {
  if (file.length < HEADER_AT) return true;
  const headerBytes = sizeIn(file);
  return headerBytes > 0n && headerBytes <= HEADER_BYTES_MAX;
}

/**
 * @param dtypes that tensors may have
 * @throws SafetensorsError if the file breaks the format, or has another dtype
 */
export function readHeader(file: Uint8Array, dtypes: readonly Dtype[] = FLOAT_DTYPES): SafetensorsHeader {
  const headerBytes = readHeaderSize(file);
  const headerText = file.subarray(HEADER_AT, HEADER_AT + headerBytes);
  if (!isObjectText(headerText)) throw notSafetensors(file, "The header must begin with '{'.");
  const { __metadata__: metadata, ...tensors } = parseHeader(headerText);
  const data = file.subarray(HEADER_AT + headerBytes);
  const entries = Object.entries(tensors).map(([name, value]) => readEntry(name, value, dtypes));
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  expectCovered(entries, data.length);
  return { entries, metadata: (metadata ?? {}) as Record<string, string>, data };
}

function readHeaderSize(bytes: Uint8Array): number {
  if (bytes.length < HEADER_AT) {
    throw new SafetensorsError(
      `The file has ${bytes.length} bytes, expected at least ${HEADER_AT}: the size of the header.`,
    );
  }
  const headerBytes = sizeIn(bytes);
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

function sizeIn(file: Uint8Array): bigint {
  return new DataView(file.buffer, file.byteOffset, HEADER_AT).getBigUint64(0, true);
}

/** An error that says of which other format the file is; if that is not known, the problem. */
function notSafetensors(file: Uint8Array, problem: string): SafetensorsError {
  const format = identifyFormat(file);
  return new SafetensorsError(
    format === undefined ? problem : `Expected a safetensors file. ${format}`,
  );
}

/** The format allows spaces after the object only, but some writers put them before it. */
function isObjectText(bytes: Uint8Array): boolean {
  let at = 0;
  while (WHITE_SPACE.includes(bytes[at]!)) at++;
  return bytes[at] === OPENING_BRACE;
}

function parseHeader(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  if (!isUtf8(bytes)) throw new SafetensorsError('The header is not valid UTF-8.');
  const header = parseHeaderJson(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
  // mlx writes null if it has no metadata.
  if (header['__metadata__'] === null) delete header['__metadata__'];
  if (header['__metadata__'] !== undefined) expectMetadata(header['__metadata__']);
  return header;
}

/** JSON that begins with '{' is an object. */
function parseHeaderJson(bytes: Buffer): Record<string, unknown> {
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
    `__metadata__ is ${quoteValue(metadata)}, expected an object whose values are strings.`,
  );
}

function readEntry(name: string, value: unknown, dtypes: readonly Dtype[]): TensorEntry {
  if (!isObject(value)) throw refusal(name, `is ${quoteValue(value)}`, 'an object');
  const unknown = Object.keys(value).find((key) => !FIELDS.includes(key));
  if (unknown !== undefined) {
    throw refusal(name, `has the field ${quote(unknown)}`, `only ${FIELDS.join(', ')}`);
  }
  const dtype = readDtype(name, value['dtype'], dtypes);
  const shape = readShape(name, value['shape']);
  const [begin, end] = readOffsets(name, value['data_offsets']);
  const entry = { name, dtype, shape, count: countElements(name, shape), begin, end };
  expectSize(entry);
  return entry;
}

const FIELDS: readonly string[] = ['dtype', 'shape', 'data_offsets'];

function readDtype(name: string, dtype: unknown, dtypes: readonly Dtype[]): Dtype {
  const found = dtypes.find((known) => known === dtype);
  if (found !== undefined) return found;
  throw refusal(name, `has dtype ${quoteValue(dtype)}`, `${dtypes.slice(0, -1).join(', ')} or ${dtypes.at(-1)}`);
}

function readShape(name: string, shape: unknown): readonly number[] {
  if (Array.isArray(shape) && shape.every(isSize)) return shape;
  throw refusal(name, `has shape ${quoteValue(shape)}`, 'an array of integers, each at least 0');
}

function readOffsets(name: string, offsets: unknown): readonly [number, number] {
  if (Array.isArray(offsets) && offsets.length === 2 && offsets.every(isSize)) {
    const [begin, end] = offsets as [number, number];
    if (begin <= end) return [begin, end];
  }
  const expected = 'two integers, 0 ≤ begin ≤ end';
  throw refusal(name, `has data_offsets ${quoteValue(offsets)}`, expected);
}

function countElements(name: string, shape: readonly number[]): number {
  let count = 1;
  for (const size of shape) {
    count *= size;
    // A larger product is rounded, and a rounded one could match the size of the data by chance.
    if (!Number.isSafeInteger(count)) {
      throw refusal(name, `has shape ${quoteValue(shape)}`, 'fewer than 2^53 elements');
    }
  }
  return count;
}

function expectSize({ name, dtype, shape, count, begin, end }: TensorEntry): void {
  const found = end - begin;
  const expected = count * ELEMENT_BYTES[dtype];
  if (found === expected) return;
  const why = `${dtype} of shape ${quoteValue(shape)}`;
  throw refusal(name, `has ${found} bytes of data`, `${expected} for ${why}`);
}

/** Throws unless the entries, in the order of their data, cover the data exactly. */
function expectCovered(entries: readonly TensorEntry[], dataBytes: number): void {
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
