import { describe, expect, test } from 'vitest';
import { shortest } from '../../src/codec/float32.ts';
import { sized } from '../helpers/long.ts';
import { fc } from '../helpers/seed.ts';

const bits = new Uint32Array(1);
const float = new Float32Array(bits.buffer);
const float32 = (pattern: number): number => {
  bits[0] = pattern;
  return float[0]!;
};

/** The digits of a decimal without sign, point, leading and trailing zeros, or exponent. */
const digitsOf = (text: string): number =>
  text.replace(/e.*$/, '').replace(/[-.]/g, '').replace(/^0+/, '').replace(/0+$/, '').length;

/** By trial: the smallest number of digits with which any decimal reads back to `value`. */
function fewestDigits(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    if (Math.fround(Number(value.toPrecision(digits))) === value) return digits;
  }
  return 9;
}

/** Those that are not printed so. An assertion for each of thousands takes longer than to print them. */
function notShortest(values: Iterable<number>): string[] {
  const wrong: string[] = [];
  for (const value of values) {
    const text = String(shortest(value));
    if (Math.fround(Number(text)) !== value || digitsOf(text) > fewestDigits(value)) wrong.push(text);
  }
  return wrong;
}

describe('shortest', () => {
  test('well-known values are printed as people write them', () => {
    const examples = [0.1, -0.2, 0.3, 1, 1e-7, 123.456, 16777216, 3.4028235e38, 1e-45, 0.5];
    for (const value of examples) {
      expect(String(shortest(Math.fround(value)))).toBe(String(value));
    }
    expect(Object.is(shortest(-0), -0)).toBe(true);
  });

  test('the shortest is found above a power of two where it is not the nearest of its length', () => {
    const examples = [1.2621775e-29, 1.5474251e26, 1.2379401e27];
    for (const value of examples) {
      expect(String(shortest(Math.fround(value)))).toBe(String(value));
      expect(shortest(Math.fround(-value))).toBe(-value);
    }
  });

  const STEP = sized({ short: 99_991, long: 19_997 });

  test(`every ${STEP}th float32 is printed with the fewest digits that read back to it`, () => {
    const all = Array.from({ length: Math.ceil(0x7f800000 / STEP) }, (_, k) => float32(k * STEP));
    expect(notShortest(all)).toEqual([]);
  });

  test('powers of two and their neighbours, where the spacing changes, are printed with the fewest digits', () => {
    const patterns = Array.from({ length: 255 }, (_, exponent) => [-2, -1, 0, 1, 2].map((offset) => exponent * 0x800000 + offset));
    const all = patterns.flat().filter((pattern) => pattern >= 0 && pattern < 0x7f800000);
    expect(notShortest(all.map(float32))).toEqual([]);
  });

  test('the sign is kept', () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true, noDefaultInfinity: true }), (value) => {
        expect(Object.is(shortest(-value), -shortest(value))).toBe(true);
      }),
    );
  });
});
