// Safetensors files: the bodies of requests and answers as bytes.
//
//   | u64 header size | header, JSON in UTF-8 | data: the tensors, row-major, little-endian |
//
// https://github.com/huggingface/safetensors#format
import { Tensor } from './tensor.ts';

const SIZE_BYTES = 8;
const F32_BYTES = Float32Array.BYTES_PER_ELEMENT;

export interface TensorFile {
  readonly tensors: Readonly<Record<string, Tensor>>;
  /** The strings of `__metadata__`. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** A file that is none, or has other tensors than those of float32. */
export class TensorFileError extends Error {}

/** The file with these tensors in float32; those that are undefined, and such metadata, are left out. */
export function writeTensorFile(
  tensors: Readonly<Record<string, Tensor | undefined>>,
  metadata: Readonly<Record<string, string | undefined>>,
): Uint8Array<ArrayBuffer> {
  const present = Object.entries(tensors).filter((entry): entry is [string, Tensor] => entry[1] !== undefined);
  let end = 0;
  const entries = present.map(([name, { shape, data }]) => {
    const begin = end;
    end += data.length * F32_BYTES;
    return [name, { dtype: 'F32', shape, data_offsets: [begin, end] }] as const;
  });
  const header = encodeHeader(JSON.stringify({ __metadata__: metadata, ...Object.fromEntries(entries) }));
  const dataAt = SIZE_BYTES + header.length;
  const file = new Uint8Array(dataAt + end);
  new DataView(file.buffer).setUint32(0, header.length, true);
  file.set(header, SIZE_BYTES);
  const numbers = new Float32Array(file.buffer, dataAt);
  let at = 0;
  for (const [, { data }] of present) {
    numbers.set(data, at);
    at += data.length;
  }
  return file;
}

/** With spaces behind it, so that the data begins at a multiple of 8. */
function encodeHeader(text: string): Uint8Array {
  const bytes = new TextEncoder().encode(text);
  const padded = new Uint8Array(Math.ceil(bytes.length / 8) * 8).fill(0x20);
  padded.set(bytes);
  return padded;
}

/**
 * The tensors of a file. They share its memory where their place allows it.
 *
 * @throws TensorFileError
 */
export function readTensorFile(bytes: Uint8Array<ArrayBuffer>): TensorFile {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < SIZE_BYTES) throw new TensorFileError(`a file of ${bytes.length} bytes`);
  const headerBytes = view.getUint32(0, true);
  if (view.getUint32(4, true) !== 0 || headerBytes > bytes.length - SIZE_BYTES) {
    throw new TensorFileError('a file that is shorter than its header');
  }
  const dataAt = SIZE_BYTES + headerBytes;
  const { __metadata__: metadata = {}, ...entries } = parseHeader(bytes.subarray(SIZE_BYTES, dataAt));
  const data = bytes.subarray(dataAt);
  const tensors = Object.entries(entries).map(([name, entry]) => [name, readTensor(name, entry, data)] as const);
  return { tensors: Object.fromEntries(tensors), metadata: expectTexts(metadata) };
}

function parseHeader(bytes: Uint8Array): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    if (isObject(value)) return value;
  } catch (cause) {
    throw new TensorFileError('a file whose header is no JSON', { cause });
  }
  throw new TensorFileError('a file whose header is no object');
}

function readTensor(name: string, entry: unknown, data: Uint8Array<ArrayBuffer>): Tensor {
  const { dtype, shape, data_offsets: offsets } = isObject(entry) ? entry : {};
  if (dtype !== 'F32') throw new TensorFileError(`a file whose tensor ${name} is not F32`);
  const [begin, end, ...more] = isSizes(offsets) ? offsets : [];
  if (!isSizes(shape) || begin === undefined || end === undefined || more.length > 0 || end > data.length) {
    throw new TensorFileError(`a file without all of its tensor ${name}`);
  }
  const count = shape.reduce((product, size) => product * size, 1);
  if (end - begin !== count * F32_BYTES) throw new TensorFileError(`a file whose tensor ${name} has not the size of its shape`);
  const start = data.byteOffset + begin;
  const numbers =
    start % F32_BYTES === 0
      ? new Float32Array(data.buffer, start, count)
      : new Float32Array(data.buffer.slice(start, start + count * F32_BYTES));
  return new Tensor(shape, numbers);
}

function expectTexts(metadata: unknown): Record<string, string> {
  if (isObject(metadata) && Object.values(metadata).every((value) => typeof value === 'string')) {
    return metadata as Record<string, string>;
  }
  throw new TensorFileError('a file whose metadata are no strings');
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
