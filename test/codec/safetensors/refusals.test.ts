// Files that break the format are refused, with what was expected and what was found.
import { describe, expect, test } from 'vitest';
import { SafetensorsError } from '../../../src/codec/safetensors/header.ts';
import { readSafetensors } from '../../../src/codec/safetensors/read.ts';
import { runs } from '../../helpers/long.ts';
import { fc } from '../../helpers/seed.ts';
import { f32, file, fileOfText, goodFile } from './made-up-files.ts';

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
    { numRuns: runs(2_000) },
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
