import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readSafetensors, readSafetensorsFile } from '../../../src/codec/safetensors/read.ts';
import { bytesOf, f32, fileOfText, goodFile } from './made-up-files.ts';

const fixtures = join(import.meta.dirname, '../../fixtures/demo');

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
