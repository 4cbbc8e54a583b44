import { describe, expect, test } from 'vitest';
import { PrintJob } from '../../src/wasm/print-job.ts';
import { kernels, memory } from '../helpers/kernels.ts';
import { FINITE_END, brokenPromises, checkDecimals } from './decimal-check.ts';

describe('printed decimals', () => {
  test('every 1,009th float32 is read back, and its decimal is the shortest and the nearest', () => {
    const findings = checkDecimals(0, FINITE_END, 1_009);
    expect(findings.numbers).toBe(2 * Math.ceil(FINITE_END / 1_009));
    expect(brokenPromises(findings)).toEqual({});
  });

  test('powers of two and their neighbours, the smallest and the largest are read back as well', () => {
    for (let exponent = 0; exponent < 255; exponent++) {
      const pattern = exponent * 0x80_0000;
      expect(brokenPromises(checkDecimals(Math.max(0, pattern - 3), pattern + 4, 1))).toEqual({});
    }
    expect(brokenPromises(checkDecimals(0, 10_000, 1))).toEqual({});
    expect(brokenPromises(checkDecimals(FINITE_END - 10_000, FINITE_END, 1))).toEqual({});
  });

  test('a decimal that reading rounds twice is read back: 7.038531e-26 is not the nearer of its floats', () => {
    expect(brokenPromises(checkDecimals(0x15ae_43f0, 0x15ae_4410, 1))).toEqual({});
  });

  test('numbers are printed the same alone, among others and with a stride between them', () => {
    // From below 2^-16 to above 1, of both signs: four neighbours of one kind are printed at once.
    const data = Float32Array.from({ length: 40_000 }, (_, i) => (-1) ** i * 2 ** (i / 2_000 - 18));
    const together = printed(data, [data.length], [1]);
    expect(together).toHaveLength(data.length);
    expect(printed(data, [data.length, 1], [1, 1])).toEqual(together);
    const everyThird = together.filter((_, i) => i % 3 === 0);
    expect(printed(data, [everyThird.length], [3])).toEqual(everyThird);
  });

  test('control: a wrong digit is found, and a decimal that is not the nearest', () => {
    // From '{"x":[' on, the first number is 0.5, or one that is printed with eight digits.
    const broken = (first: number, decimal: string) =>
      Object.keys(
        brokenPromises(
          checkDecimals(first, first + 1, 1, { damage: (text) => void text.write(decimal, 6) }),
        ),
      );
    expect(broken(0x3f00_0000, '0.5')).toEqual([]);
    expect(broken(0x3f00_0000, '0.6')).toContain('notRead');
    expect(broken(0x3f00_0001, '0.50000006')).toEqual([]);
    expect(broken(0x3f00_0001, '0.50000005')).toContain('notNearest');
  });
});

function printed(data: Float32Array, shape: number[], strides: number[]): readonly string[] {
  const job = new PrintJob(memory, [{ text: '', tensor: { shape, strides, data } }]);
  kernels.run(job.ptr);
  const text = Buffer.from(job.view()).toString();
  job.release();
  return text.match(/[^[\],]+/g) ?? [];
}
