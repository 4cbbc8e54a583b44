// The client's own codec of safetensors files, against the one of the service and against damage.
import { describe, expect, test } from 'vitest';
import { TensorFileError, readTensorFile, writeTensorFile } from '../../src/client/safetensors.ts';
import { Tensor } from '../../src/client/tensor.ts';
import { readSafetensorsFile } from '../../src/codec/safetensors/read.ts';
import { writeSafetensors } from '../../src/codec/safetensors/write.ts';
import { runs } from '../helpers/long.ts';
import { fc } from '../helpers/seed.ts';

const shapes = fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 4 });
const tensors = shapes.chain((shape) => {
  const count = shape.reduce((product, size) => product * size, 1);
  return fc.float32Array({ minLength: count, maxLength: count }).map((data) => new Tensor(shape, data));
});
const names = fc.string({ minLength: 1 }).filter((name) => name !== '__metadata__' && name !== '__proto__');
const files = fc.record({
  tensors: fc.dictionary(names, tensors, { maxKeys: 4, noNullPrototype: true }),
  metadata: fc.dictionary(names, fc.string({ unit: 'grapheme' }), { maxKeys: 3, noNullPrototype: true }),
});

/** -0 and NaN are told apart, as their bits are. */
const bitsOf = ({ shape, data }: Tensor) => ({ shape: [...shape], bits: [...new Uint32Array(data.slice().buffer)] });

describe('a file', () => {
  test('that the client writes is read by the service, and by itself, with the same bits', () => {
    const property = fc.property(files, (file) => {
      const bytes = writeTensorFile(file.tensors, file.metadata);
      const theirs = readSafetensorsFile(bytes);
      expect(theirs.metadata).toEqual(file.metadata);
      const ours = readTensorFile(bytes);
      expect(ours.metadata).toEqual(file.metadata);
      expect(Object.keys(ours.tensors).toSorted()).toEqual(Object.keys(file.tensors).toSorted());
      for (const [name, tensor] of Object.entries(file.tensors)) {
        const { shape, data } = theirs.tensors.get(name)!;
        expect(bitsOf(new Tensor(shape, data))).toEqual(bitsOf(tensor));
        expect(bitsOf(ours.tensors[name]!)).toEqual(bitsOf(tensor));
      }
    });
    fc.assert(property, { numRuns: runs(200) });
  });

  test('that the service writes is read by the client, wherever it begins in memory', () => {
    const property = fc.property(files, fc.integer({ min: 0, max: 7 }), ({ tensors, metadata }, offset) => {
      const views = Object.entries(tensors).map(([name, { shape, data }]) => {
        const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1));
        return [name, { shape, strides, data }];
      });
      const file = writeSafetensors(Object.fromEntries(views), metadata);
      const moved = new Uint8Array(file.length + offset);
      moved.set(file, offset);
      const read = readTensorFile(moved.subarray(offset));
      expect(read.metadata).toEqual(metadata);
      for (const [name, tensor] of Object.entries(tensors)) expect(bitsOf(read.tensors[name]!)).toEqual(bitsOf(tensor));
    });
    fc.assert(property, { numRuns: runs(200) });
  });
});

describe('a damaged file', () => {
  const file = writeTensorFile({ h: new Tensor([2, 3], [1, 2, 3, 4, 5, 6]), 'c.1': new Tensor([1, 2], [7, 8]) }, { model: 'm' });

  test('is refused wherever it is cut off', () => {
    for (let end = 0; end < file.length; end++) {
      expect(() => readTensorFile(file.slice(0, end)), `${end} bytes`).toThrow(TensorFileError);
    }
  });

  test('is read or refused, whatever its bytes are', () => {
    const places = fc.array(fc.tuple(fc.nat(file.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
    let refused = 0;
    fc.assert(
      fc.property(places, (changes) => {
        const damaged = file.slice();
        for (const [at, byte] of changes) damaged[at] = byte;
        try {
          const { tensors } = readTensorFile(damaged);
          for (const { shape, data } of Object.values(tensors)) expect(data).toHaveLength(shape.reduce((product, size) => product * size, 1));
        } catch (error) {
          refused++;
          expect(error).toBeInstanceOf(TensorFileError);
        }
      }),
      { numRuns: runs(2_000) },
    );
    expect(refused).toBeGreaterThan(0);
  });

  test.each([
    ['another dtype', { h: { dtype: 'F16', shape: [1], data_offsets: [0, 4] } }],
    ['another size', { h: { dtype: 'F32', shape: [2], data_offsets: [0, 4] } }],
    ['a negative size', { h: { dtype: 'F32', shape: [-1], data_offsets: [0, 4] } }],
    ['sizes whose product is beyond all memory', { h: { dtype: 'F32', shape: [2 ** 40, 2 ** 40], data_offsets: [0, 4] } }],
    ['offsets backwards', { h: { dtype: 'F32', shape: [1], data_offsets: [4, 0] } }],
    ['offsets behind the end', { h: { dtype: 'F32', shape: [1], data_offsets: [4, 8] } }],
    ['three offsets', { h: { dtype: 'F32', shape: [1], data_offsets: [0, 4, 4] } }],
    ['no entry', { h: null }],
    ['metadata that are no strings', { __metadata__: { t: 1 } }],
    ['a header that is a list', []],
  ])('with %s is refused', (_, header) => {
    const text = JSON.stringify(header);
    const bytes = new Uint8Array(8 + text.length + 4);
    new DataView(bytes.buffer).setUint32(0, text.length, true);
    bytes.set(new TextEncoder().encode(text), 8);
    expect(() => readTensorFile(bytes)).toThrow(TensorFileError);
  });
});

describe('a tensor', () => {
  test('is made of nested arrays and into them', () => {
    const nested = fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })).chain(([n, d]) =>
      fc.array(fc.array(fc.float({ noNaN: true }), { minLength: d, maxLength: d }), { minLength: n, maxLength: n }),
    );
    fc.assert(fc.property(nested, (rows) => {
      const tensor = Tensor.from(rows);
      expect(tensor.shape).toEqual([rows.length, rows[0]!.length]);
      expect(tensor.toArray()).toEqual(rows);
      expect(JSON.stringify({ x: tensor })).toBe(JSON.stringify({ x: rows }));
      for (const [n, row] of rows.entries()) for (const [d, value] of row.entries()) expect(tensor.at(n, d)).toBe(value);
    }), { numRuns: runs(100) });
  });

  test.each([
    ['a ragged array', [[1, 2], [3]], RangeError],
    ['an array whose axes differ', [[1], 2], RangeError],
    ['a text', [['1']], TypeError],
    ['null', null, TypeError],
    ['a list of tensors', [new Tensor([1], [1])], TypeError],
  ])('is not made of %s', (_, nested, kind) => {
    expect(() => Tensor.from(nested as never)).toThrow(kind);
  });

  test('has as many numbers as its shape says, and no others', () => {
    expect(() => new Tensor([2, 2], [1, 2, 3])).toThrow(RangeError);
    expect(() => new Tensor([-1, -1], [1])).toThrow(RangeError);
    const tensor = new Tensor([2, 2], [1, 2, 3, 4]);
    expect(tensor.at(1, 0)).toBe(3);
    for (const place of [[1], [0, 2], [-1, 0], [0.5, 0], [0, 0, 0]]) expect(() => tensor.at(...place)).toThrow(RangeError);
  });
});
