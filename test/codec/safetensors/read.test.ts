import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { SafetensorsError } from '../../../src/codec/safetensors/header.ts';
import { readSafetensors, readSafetensorsFile } from '../../../src/codec/safetensors/read.ts';
import { fc } from '../../helpers/seed.ts';

const fixtures = join(import.meta.dirname, '../../fixtures/demo');

/** A file with any header, right or wrong. */
function file(header: unknown, data: Uint8Array = new Uint8Array(0)): Uint8Array {
  return fileOfText(JSON.stringify(header), data);
}

function fileOfText(header: string | Uint8Array, data: Uint8Array = new Uint8Array(0)) {
  const headerBytes = Buffer.from(header);
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(headerBytes.length));
  return new Uint8Array(Buffer.concat([size, headerBytes, data]));
}

const bytesOf = (array: Float32Array | Float64Array) => new Uint8Array(array.buffer);
const f32 = (shape: unknown, data_offsets: unknown) => ({ dtype: 'F32', shape, data_offsets });

function goodFile(): Uint8Array {
  const data = Buffer.concat([
    bytesOf(new Float64Array([0.1, -0, 1e300])),
    bytesOf(new Float32Array([1.5, -2.25, 3, 4])),
  ]);
  const header = {
    // Not in the order of the data, which is allowed.
    W_x: f32([2, 2], [24, 40]),
    __metadata__: { made: 'by hand' },
    b: { dtype: 'F64', shape: [3], data_offsets: [0, 24] },
  };
  return file(header, data);
}

describe('a file that keeps the format', () => {
  test('the file is read with its dtypes, shapes and exact values', () => {
    const tensors = readSafetensors(goodFile());
    expect([...tensors.keys()]).toEqual(['b', 'W_x']);
    expect(tensors.get('b')).toEqual({
      dtype: 'F64',
      shape: [3],
      data: new Float64Array([0.1, -0, 1e300]),
    });
    expect(tensors.get('W_x')).toEqual({
      dtype: 'F32',
      shape: [2, 2],
      data: new Float32Array([1.5, -2.25, 3, 4]),
    });
  });

  test('the file is read the same at any alignment in memory', () => {
    const bytes = goodFile();
    for (let shift = 0; shift < 8; shift++) {
      const memory = new Uint8Array(bytes.length + 16).fill(0xff);
      memory.set(bytes, shift);
      const shifted = memory.subarray(shift, shift + bytes.length);
      expect(readSafetensors(shifted)).toEqual(readSafetensors(bytes));
    }
  });

  test('the tensors are copies: later changes of the bytes do not reach them', () => {
    const bytes = Buffer.from(goodFile());
    const tensors = readSafetensors(bytes);
    bytes.fill(0);
    expect(tensors.get('b')!.data[0]).toBe(0.1);
  });

  test('the file may hold no tensor, a single number, tensors of size 0, spaces behind the header', () => {
    expect(readSafetensors(fileOfText('{}')).size).toBe(0);
    const header = JSON.stringify({
      none: f32([0, 5], [4, 4]),
      one: f32([], [0, 4]),
    });
    const tensors = readSafetensors(fileOfText(`${header}   `, bytesOf(new Float32Array([7]))));
    expect([...tensors.get('one')!.data]).toEqual([7]);
    expect(tensors.get('none')!.data).toHaveLength(0);
  });

  test('the header may have white space before it, and metadata that is null', () => {
    const entry = '"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}';
    const seven = bytesOf(new Float32Array([7]));
    for (const text of [` {${entry}}`, `\t\r\n {${entry}}`, `{"__metadata__":null,${entry}}`]) {
      const { tensors, metadata } = readSafetensorsFile(fileOfText(text, seven));
      expect([...tensors.get('a')!.data]).toEqual([7]);
      expect(metadata).toEqual({});
    }
  });

  test('a tensor may have any name, __proto__ included', () => {
    const tensors = readSafetensors(
      fileOfText('{"__proto__":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"":' +
        '{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}'),
    );
    expect([...tensors.keys()]).toEqual(['__proto__', '']);
  });

  test('the file that torch writes is read', () => {
    const tensors = readSafetensors(readFileSync(join(fixtures, 'sunspots.safetensors')));
    expect(tensors.get('rnn.weight_hh_l0')!.shape).toEqual([32, 32]);
    expect(tensors.get('head.bias')!.data).toHaveLength(1);
  });
});

interface HalfFormat {
  readonly dtype: string;
  readonly exponentBits: number;
  readonly fractionBits: number;
}

/** The value of a pattern by the definition of the format (IEEE 754), computed without bits of a float32. */
const HALVES: readonly HalfFormat[] = [
  { dtype: 'F16', exponentBits: 5, fractionBits: 10 },
  { dtype: 'BF16', exponentBits: 8, fractionBits: 7 },
];

function valueOf(half: number, { exponentBits, fractionBits }: HalfFormat): number {
  const exponentMax = 2 ** exponentBits - 1;
  const bias = 2 ** (exponentBits - 1) - 1;
  const sign = half >= 2 ** 15 ? -1 : 1;
  const exponent = Math.floor(half / 2 ** fractionBits) % 2 ** exponentBits;
  const fraction = (half % 2 ** fractionBits) / 2 ** fractionBits;
  if (exponent === exponentMax) return fraction === 0 ? sign * Infinity : NaN;
  if (exponent === 0) return sign * fraction * 2 ** (1 - bias);
  return sign * (1 + fraction) * 2 ** (exponent - bias);
}

describe('halves', () => {
  const patterns = Uint16Array.from({ length: 65_536 }, (_, half) => half);
  const read = (dtype: string, halves: Uint16Array) => {
    const { length, byteLength } = halves;
    const header = { a: { dtype, shape: [length], data_offsets: [0, byteLength] } };
    return readSafetensors(file(header, new Uint8Array(halves.buffer))).get('a')!;
  };

  test.each(HALVES)('$dtype: all 65,536 patterns have the value of the definition', (format) => {
    const tensor = read(format.dtype, patterns);
    expect(tensor.data).toBeInstanceOf(Float32Array);
    expect(tensor.data).toHaveLength(65_536);
    const isWrong = (half: number) => !Object.is(tensor.data[half], valueOf(half, format));
    expect([...patterns].filter(isWrong)).toEqual([]);
  });

  test.each(HALVES)('$dtype: a NaN keeps its sign and its payload', ({ dtype, fractionBits }) => {
    const bits = new Uint32Array(read(dtype, patterns).data.buffer);
    const fractions = 2 ** fractionBits;
    for (let fraction = 1; fraction < fractions; fraction++) {
      const half = 2 ** 15 - fractions + fraction;
      const wide = 0x7f800000 + fraction * 2 ** (23 - fractionBits);
      expect([bits[half], bits[half + 2 ** 15]]).toEqual([wide, wide + 2 ** 31]);
    }
  });

  test('patterns of known meaning are read, in both formats', () => {
    const numbers = (dtype: string, ...halves: number[]) => [
      ...read(dtype, Uint16Array.from(halves)).data,
    ];
    expect(numbers('F16', 0x3c00, 0xc000, 0x3555, 0x7bff, 0x0001, 0x8000, 0xfc00)).toEqual([
      1, -2, 0.333251953125, 65504, 2 ** -24, -0, -Infinity,
    ]);
    expect(numbers('BF16', 0x3f80, 0xc000, 0x4049, 0x7f7f, 0x0001, 0x8000, 0xff80)).toEqual([
      1, -2, 3.140625, 3.3895313892515355e38, 2 ** -133, -0, -Infinity,
    ]);
  });
});

const data = (count: number) => new Uint8Array(count);
const size = (bytes: bigint) => new Uint8Array(new BigUint64Array([bytes]).buffer);

const REFUSALS: [reason: string, bytes: Uint8Array, message: RegExp][] = [
  ['an empty file', data(0), /has 0 bytes, expected at least 8/],
  ['a file too short for the header size', data(7), /has 7 bytes, expected at least 8/],
  ['a header of no bytes', data(8), /must begin with '\{'/],
  ['a header beyond the file', size(1n), /size is 1 bytes, expected at most 0/],
  ['a header size of 2^64 - 1', size(2n ** 64n - 1n), /size is 18446744073709551615 bytes/],
  ['spaces in place of a header', fileOfText('  '), /must begin with '\{'/],
  ['a header that is an array', file([]), /must begin with '\{'/],
  ['a header that is null', file(null), /must begin with '\{'/],
  ['a header that is not JSON', fileOfText('{"a":}'), /not the JSON expected: .*JSON/],
  ['a header that goes on', fileOfText('{}{}'), /not the JSON expected: .*JSON/],
  [
    'a header that is not UTF-8',
    fileOfText(Buffer.from('{"\xff":1}', 'latin1')),
    /not valid UTF-8/,
  ],
  [
    'a name that appears twice',
    fileOfText('{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"\\u0061":' +
      '{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}'),
    /"a" appears more than once/,
  ],
  [
    'a field that appears twice',
    fileOfText('{"a":{"dtype":"F64","dtype":"F32","shape":[0],"data_offsets":[0,0]}}'),
    /"dtype" appears more than once/,
  ],
  ['metadata that is no object', file({ __metadata__: 3 }), /__metadata__ is 3/],
  ['metadata that is not text', file({ __metadata__: { a: 1 } }), /__metadata__ is an object/],
  ['an entry that is no object', file({ a: null }), /Tensor "a" is null, expected an object/],
  ['an entry that is an array', file({ a: [] }), /Tensor "a" is \[\], expected an object/],
  [
    'a field that is unknown',
    file({ a: { ...f32([0], [0, 0]), order: 'F' } }),
    /"a" has the field "order"/,
  ],
  [
    'no dtype',
    file({ a: { shape: [0], data_offsets: [0, 0] } }),
    /has dtype \(missing\), expected F32, F64, F16 or BF16/,
  ],
  [
    'an unknown dtype',
    file({ a: { ...f32([1], [0, 1]), dtype: 'F8_E4M3' } }, data(1)),
    /Tensor "a" has dtype "F8_E4M3", expected F32, F64, F16 or BF16/,
  ],
  [
    'integers',
    file({ a: { ...f32([1], [0, 8]), dtype: 'I64' } }, data(8)),
    /Tensor "a" has dtype "I64", expected F32, F64, F16 or BF16/,
  ],
  [
    'a dtype in lower case',
    file({ a: { ...f32([1], [0, 2]), dtype: 'f16' } }, data(2)),
    /Tensor "a" has dtype "f16"/,
  ],
  [
    'a dtype that is the name of a method',
    file({ a: { ...f32([0], [0, 0]), dtype: 'toString' } }),
    /has dtype "toString"/,
  ],
  ['no shape', file({ a: { dtype: 'F32', data_offsets: [0, 0] } }), /has shape \(missing\)/],
  ['a shape that is a number', file({ a: f32(1, [0, 4]) }, data(4)), /has shape 1/],
  ['a negative size', file({ a: f32([-1, -1], [0, 4]) }, data(4)), /has shape \[-1, -1\]/],
  ['a size that is a fraction', file({ a: f32([0.5, 2], [0, 4]) }, data(4)), /shape \[0.5, 2\]/],
  ['a size that is text', file({ a: f32(['1'], [0, 4]) }, data(4)), /has shape \["1"\]/],
  ['a size beyond 2^53', file({ a: f32([2 ** 53], [0, 0]) }), /has shape \[9007199254740992\]/],
  [
    'more elements than can be counted',
    file({ a: f32([2 ** 32, 2 ** 32], [0, 0]) }),
    /expected fewer than 2\^53 elements/,
  ],
  ['no offsets', file({ a: { dtype: 'F32', shape: [0] } }), /has data_offsets \(missing\)/],
  ['one offset', file({ a: f32([0], [0]) }), /has data_offsets \[0\]/],
  ['three offsets', file({ a: f32([0], [0, 0, 0]) }), /has data_offsets \[0, 0, 0\]/],
  ['an end before the begin', file({ a: f32([1], [4, 0]) }, data(4)), /has data_offsets \[4, 0\]/],
  ['a negative offset', file({ a: f32([1], [-4, 0]) }, data(4)), /has data_offsets \[-4, 0\]/],
  [
    'too few bytes for the shape',
    file({ a: f32([2, 3], [0, 20]) }, data(20)),
    /Tensor "a" has 20 bytes of data, expected 24 for F32 of shape \[2, 3\]/,
  ],
  [
    'four bytes for each number of two',
    file({ a: { ...f32([3], [0, 12]), dtype: 'BF16' } }, data(12)),
    /Tensor "a" has 12 bytes of data, expected 6 for BF16 of shape \[3\]/,
  ],
  [
    'half a number',
    file({ a: { ...f32([3], [0, 5]), dtype: 'F16' } }, data(5)),
    /Tensor "a" has 5 bytes of data, expected 6 for F16 of shape \[3\]/,
  ],
  [
    'too many bytes for the shape',
    file({ a: f32([2], [0, 12]) }, data(12)),
    /"a" has 12 bytes of data, expected 8/,
  ],
  ['data beyond the file', file({ a: f32([2], [0, 8]) }, data(4)), /"a" ends at 8, beyond/],
  [
    'tensors that overlap',
    file({ a: f32([2], [0, 8]), b: f32([2], [4, 12]) }, data(12)),
    /"b" begins at 4 and overlaps other data, expected byte 8/,
  ],
  [
    'two tensors over the same data',
    file({ a: f32([1], [0, 4]), b: f32([1], [0, 4]) }, data(4)),
    /"b" begins at 0 and overlaps/,
  ],
  [
    'a gap before the first tensor',
    file({ a: f32([1], [4, 8]) }, data(8)),
    /"a" begins at 4 and leaves a gap, expected byte 0/,
  ],
  [
    'a gap between tensors',
    file({ a: f32([1], [0, 4]), b: f32([1], [8, 12]) }, data(12)),
    /"b" begins at 8 and leaves a gap, expected byte 4/,
  ],
  [
    'bytes behind the last tensor',
    file({ a: f32([1], [0, 4]) }, data(5)),
    /The file has 5 bytes of data, expected 4/,
  ],
  ['data without a tensor', file({}, data(1)), /has 1 bytes of data, expected 0/],
];

describe('a file that breaks the format', () => {
  test.each(REFUSALS)('the file is refused: %s', (_, bytes, message) => {
    expect(() => readSafetensors(bytes)).toThrow(SafetensorsError);
    expect(() => readSafetensors(bytes)).toThrow(message);
  });

  test('a header over 128 KiB is refused, even if the file has it', () => {
    const bytes = new Uint8Array(131_082);
    bytes.set(size(131_073n));
    expect(() => readSafetensors(bytes)).toThrow(/expected at most 131072/);
  });

  test('a header nested so deep that a recursive reader would overflow the stack is refused', () => {
    const deep = `${'['.repeat(200_000)}${']'.repeat(200_000)}`;
    for (const header of [
      `{"a":${deep}}`,
      `{"a":{"dtype":${deep},"shape":[],"data_offsets":[0,4]}}`,
      `{"a":{"dtype":"F32","shape":[${deep}],"data_offsets":[0,4]}}`,
    ]) {
      expect(() => readSafetensors(fileOfText(header))).toThrow(SafetensorsError);
    }
  });

  test('a file that is truncated at any byte is refused', () => {
    const bytes = goodFile();
    for (let end = 0; end < bytes.length; end++) {
      expect(() => readSafetensors(bytes.subarray(0, end))).toThrow(SafetensorsError);
    }
  });
});

test('an error quotes no more of the file than a line', () => {
  const name = 'x'.repeat(100_000);
  const shape = Array(100_000).fill(-1);
  const error = errorOf(file({ [name]: f32(shape, [0, 0]) }));
  expect((error as Error).message.length).toBeLessThan(300);
});

test('damaged and random bytes are read, or refused with a SafetensorsError', () => {
  const changes = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 4 });
  const changed = changes.map((places) => {
    const bytes = goodFile();
    for (const [at, value] of places) bytes[at % bytes.length] = value;
    return bytes;
  });
  const madeUp = fc.json().map((text) => fileOfText(text, data(16)));
  fc.assert(
    fc.property(fc.oneof(changed, madeUp, fc.uint8Array({ maxLength: 64 })), (bytes) => {
      const error = errorOf(bytes);
      expect(error === undefined || error instanceof SafetensorsError).toBe(true);
    }),
    { numRuns: 2_000 },
  );
});

function errorOf(bytes: Uint8Array): unknown {
  try {
    readSafetensors(bytes);
    return undefined;
  } catch (error) {
    return error;
  }
}

describe('a file that is read in place', () => {
  test.each([0, 1, 2, 3])('the numbers are those of a copy, at any byte of memory (+ %i)', (shift) => {
    const whole = goodFile();
    const memory = new Uint8Array(shift + whole.length);
    memory.set(whole, shift);
    const { tensors } = readSafetensorsFile(memory.subarray(shift), () => true);
    const copied = readSafetensors(whole);
    expect([...tensors.keys()]).toEqual([...copied.keys()]);
    for (const [name, { data, shape, dtype }] of copied) {
      expect(tensors.get(name)!.data).toEqual(data);
      expect(tensors.get(name)).toMatchObject({ shape, dtype });
    }
  });

  test('the file is refused once its bytes were released', () => {
    let isHeld = true;
    const { tensors } = readSafetensorsFile(goodFile(), () => isHeld);
    const [tensor] = tensors.values();
    expect(tensor!.data.length).toBeGreaterThan(0);
    isHeld = false;
    expect(() => tensor!.data).toThrow(expect.objectContaining({ code: 'client_closed' }));
  });
});
