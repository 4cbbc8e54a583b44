// Tensors of F16 and BF16, which are read as float32.
import { describe, expect, test } from 'vitest';
import { readSafetensors } from '../../../src/codec/safetensors/read.ts';
import { file } from './made-up-files.ts';

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
