// The reader of NumPy's files: every dtype and order, and nothing but a clear error of files that are damaged.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readJsonArrays } from '../../src/cli/check/json-arrays.ts';
import { readNpy } from '../../src/cli/check/npy.ts';
import { readNpz } from '../../src/cli/check/npz.ts';
import { CliError } from '../../src/cli/cli-error.ts';
import { runs } from '../helpers/long.ts';
import { fc } from '../helpers/seed.ts';

const FOLDER = join(import.meta.dirname, '../fixtures/npz');
const BYTES_MAX = 2 ** 20;

const ELEMENTS = {
  '<f2': {
    bytes: 2,
    write: (data: DataView, at: number, value: number) => data.setUint16(at, value === 0 ? 0 : 0x3c00, true),
  },
  '<f4': { bytes: 4, write: (data: DataView, at: number, value: number) => data.setFloat32(at, value, true) },
  '<f8': { bytes: 8, write: (data: DataView, at: number, value: number) => data.setFloat64(at, value, true) },
  '<i4': { bytes: 4, write: (data: DataView, at: number, value: number) => data.setInt32(at, value, true) },
  '<i8': { bytes: 8, write: (data: DataView, at: number, value: number) => data.setBigInt64(at, BigInt(value), true) },
} as const;

/** A .npy file as the format describes it. @param version of the format */
function npy(
  descr: keyof typeof ELEMENTS,
  shape: readonly number[],
  values: readonly number[],
  { order = 'False', version = 1 } = {},
): Buffer {
  const text = `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': (${shape.join(', ')}${shape.length === 1 ? ',' : ''}), }`;
  const sizeBytes = version === 1 ? 2 : 4;
  const length = Math.ceil((8 + sizeBytes + text.length + 1) / 64) * 64 - 8 - sizeBytes;
  const head = Buffer.alloc(8 + sizeBytes);
  head.write('\x93NUMPY', 'latin1');
  head[6] = version;
  head.writeUIntLE(length, 8, sizeBytes);
  const { bytes, write } = ELEMENTS[descr];
  const data = Buffer.alloc(values.length * bytes);
  for (const [i, value] of values.entries()) write(new DataView(data.buffer, data.byteOffset), i * bytes, value);
  return Buffer.concat([head, Buffer.from(`${text.padEnd(length - 1)}\n`), data]);
}

describe('an array', () => {
  test.each(Object.keys(ELEMENTS) as (keyof typeof ELEMENTS)[])('of %s is read, at any address', (descr) => {
    const file = npy(descr, [2, 3], [0, 1, 1, 0, 0, 1]);
    const moved = Buffer.concat([Buffer.alloc(3), file]).subarray(3);
    expect(readNpy(moved, 'x')).toMatchObject({ shape: [2, 3], isHalf: descr === '<f2' });
    expect([...readNpy(moved, 'x').data]).toEqual([0, 1, 1, 0, 0, 1]);
  });

  test('in Fortran order is read row by row', () => {
    // Element (i, j, k) is 100 i + 10 j + k, the first index innermost.
    const values = [0, 100, 10, 110, 20, 120, 1, 101, 11, 111, 21, 121];
    const { data } = readNpy(npy('<i4', [2, 3, 2], values, { order: 'True' }), 'x');
    expect([...data]).toEqual([0, 1, 10, 11, 20, 21, 100, 101, 110, 111, 120, 121]);
  });

  test.each([1, 2, 3])('of version %i of the format is read', (version) => {
    expect([...readNpy(npy('<f8', [2], [1.5, -2], { version }), 'x').data]).toEqual([1.5, -2]);
  });

  test('without axes, and without elements, is read', () => {
    expect(readNpy(npy('<f4', [], [2]), 'x').shape).toEqual([]);
    expect(readNpy(npy('<f4', [0, 3], []), 'x').shape).toEqual([0, 3]);
  });

  test.each([
    ['no array', Buffer.from('not an array'), 'is no array of NumPy'],
    ['another version', npy('<f4', [1], [1], { version: 4 }), 'is no array of NumPy'],
    ['fewer elements', npy('<f4', [2], [1]), 'has 4 bytes of elements, expected 8 for the shape (2,)'],
    ['a shape beyond all memory', npy('<f4', [99_999_999, 99_999_999, 99_999_999], [1]), 'has 4 bytes of elements'],
    [
      'a structure',
      npy('<f4', [1], [1]).fill("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", 10, 70),
      'expected a dtype, an order and a shape',
    ],
    ['a long header', npy('<f4', [1], [1]).fill(0xff, 8, 10), 'has a header of 65535 bytes'],
  ])('with %s is refused', (_, file, message) => {
    expect(() => readNpy(file, 'x')).toThrow(message);
  });
});

test('a list of states in JSON is an array for each, but where a layer has none', () => {
  const read = (text: string) => [...readJsonArrays(Buffer.from(text), 'a.json')].map(([name, { shape }]) => [name, shape]);
  expect(read('{"c":[[[1,2]],null,[[3]]],"h0":[[1]]}')).toEqual([
    ['c.0', [1, 2]],
    ['c.2', [1, 1]],
    ['h0', [1, 1]],
  ]);
});

describe('an archive', () => {
  const file = (name: string) => readFileSync(join(FOLDER, `${name}.npz`));

  test('is read with its arrays, compressed or not', async () => {
    expect([...(await readNpz(file('tokens'), 'tokens.npz', BYTES_MAX)).keys()]).toEqual([
      'x',
      'lengths',
      'hs',
      'h',
      'c',
      'ys',
      'y',
    ]);
    expect((await readNpz(file('lstm-bidirectional'), 'a.npz', BYTES_MAX)).get('hs')).toMatchObject({ shape: [3, 6, 26] });
  });

  test('of more bytes than may be inflated is refused before it is', async () => {
    await expect(readNpz(file('tokens'), 'tokens.npz', 4_096)).rejects.toThrow(
      'The arrays of "tokens.npz" have more than 4096 bytes',
    );
  });

  test('control: an element that is changed is noticed by its checksum', async () => {
    const changed = file('gru-tails');
    changed[400]! ^= 1;
    await expect(readNpz(changed, 'changed.npz', BYTES_MAX)).rejects.toThrow('has another checksum');
  });

  test('that is damaged anywhere is read or refused, with no other error', async () => {
    const names = fc.constantFrom('gru-tails', 'lstm-bidirectional', 'half', 'refused-objects');
    const changes = fc.array(
      fc.tuple(fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), fc.integer({ min: 0, max: 255 })),
      { minLength: 1, maxLength: 4 },
    );
    await fc.assert(
      fc.asyncProperty(names, changes, fc.integer({ min: 0, max: 40 }), async (name, edits, cut) => {
        const bytes = file(name);
        for (const [at, value] of edits) bytes[Math.floor(at * bytes.length)] = value;
        const error: unknown = await readNpz(bytes.subarray(0, bytes.length - cut), 'x.npz', BYTES_MAX).catch(
          (caught: unknown) => caught,
        );
        if (error instanceof Error) expect(error).toBeInstanceOf(CliError);
        else expect(error).toBeInstanceOf(Map);
      }),
      { numRuns: runs(300) },
    );
  });
});
