// The fused multiply-add of the plain reference is exact: compared with rational arithmetic, and with the kernels'.
import { describe, expect, test } from 'vitest';
import { fusedMultiplyAdd } from '../../src/wasm/fused-multiply-add.ts';
import { kernels } from '../helpers/kernels.ts';
import { runs } from '../helpers/long.ts';
import { fc } from '../helpers/seed.ts';

const { fround } = Math;
const words = new Uint32Array(1);
const float = new Float32Array(words.buffer);
const fromBits = (bits: number) => {
  words[0] = bits;
  return float[0]!;
};

/** The least positive float32. */
const LEAST = 2 ** -149;
const MAX = 3.4028234663852886e38;

/** A float32 as an integer multiple of LEAST. */
function multipleOfLeast(value: number): bigint {
  float[0] = value;
  const bits = words[0]!;
  const exponent = (bits >>> 23) & 0xff;
  const fraction = BigInt(bits & 0x7f_ffff);
  const magnitude = exponent === 0 ? fraction : (fraction | 0x80_0000n) << BigInt(exponent - 1);
  return bits >>> 31 ? -magnitude : magnitude;
}

/** a b + c, all finite, as an integer multiple of LEAST², rounded to float32 by integer arithmetic. */
function byIntegers(a: number, b: number, c: number): number {
  const exact = multipleOfLeast(a) * multipleOfLeast(b) + (multipleOfLeast(c) << 149n);
  // An exact zero has the sign of both terms if they have the same, else it is +0.
  if (exact === 0n) return a * b + c;
  const magnitude = exact < 0n ? -exact : exact;
  // The result is a multiple of 2^drop LEAST²: 24 significant bits, but no unit below LEAST.
  const drop = BigInt(Math.max(149, magnitude.toString(2).length - 24));
  const half = 1n << (drop - 1n);
  const rest = magnitude & ((1n << drop) - 1n);
  let quotient = magnitude >> drop;
  if (rest > half || (rest === half && (quotient & 1n) === 1n)) quotient += 1n;
  // Up to 2^24 times a power of two: exact in float64; beyond float32 fround makes it infinite.
  const rounded = fround(Number(quotient) * 2 ** Number(drop - 149n) * LEAST);
  return exact < 0n ? -rounded : rounded;
}

const anyFloat32 = fc.integer({ min: 0, max: 0xffff_ffff }).map(fromBits);
const finite = anyFloat32.filter(Number.isFinite);
/** c close to -a b or to the middle of two float32, where a second rounding would show. */
const close = fc.tuple(finite, finite, fc.integer({ min: -4, max: 4 }), fc.integer({ min: -30, max: 30 })).map(
  ([a, b, ulps, shift]) => {
    float[0] = -a * b * 2 ** shift;
    words[0]! += ulps;
    return [a, b, Number.isFinite(float[0]) ? float[0] : 1] as const;
  },
);
const few = fc.integer({ min: -40, max: 40 }).map((k) => k * LEAST);
const ulpsOfOne = fc.integer({ min: -9, max: 9 }).map((k) => 1 + k * 2 ** -23);
const operands = fc.oneof(
  fc.tuple(finite, finite, finite),
  close,
  fc.tuple(ulpsOfOne, few, few),
  fc.tuple(ulpsOfOne, ulpsOfOne, fc.oneof(ulpsOfOne, few, finite)),
  fc.tuple(finite, few, few),
);

describe('the fused multiply-add of the reference', () => {
  test('is rational arithmetic, rounded once', () => {
    fc.assert(
      fc.property(operands, ([a, b, c]) => {
        expect(fusedMultiplyAdd(a, b, c)).toBe(byIntegers(a, b, c));
      }),
      { numRuns: runs(20_000) },
    );
  });

  test('is that of the kernels, also for infinite operands and NaN', () => {
    fc.assert(
      fc.property(fc.oneof(operands, fc.tuple(anyFloat32, anyFloat32, anyFloat32)), ([a, b, c]) => {
        expect(kernels.multiplyAdd(a, b, c)).toBe(fusedMultiplyAdd(a, b, c));
      }),
      { numRuns: runs(20_000) },
    );
  });

  test.each([
    // A product between two float32 and a sum on the middle of two: a second rounding would go wrong.
    [1 + 2 ** -12, 1 + 2 ** -12, -1 - 2 ** -11, 2 ** -24],
    [1 + 2 ** -23, 1 + 2 ** -23, 2 ** -60, 1 + 2 ** -22],
    [2 ** 12 + 1, 2 ** 12 + 1, 0, 2 ** 24 + 2 ** 13],
    [2 ** 12 + 1, 2 ** 12 + 1, 2 ** -100, 2 ** 24 + 2 ** 13 + 2],
    [2 ** 12 + 1, 2 ** 12 + 1, -(2 ** -100), 2 ** 24 + 2 ** 13],
    [2 ** 12 + 1, 2 ** 12 - 1, LEAST, 2 ** 24 - 1],
    // The middle of 1 and the next float32, exactly, a little above and a little below.
    [2 ** -12, 2 ** -12, 1, 1],
    [2 ** -12, 2 ** -12, 1 + 2 ** -23, 1 + 2 ** -22],
    [LEAST, LEAST, 1, 1],
    [LEAST, LEAST, MAX, MAX],
    // Subnormal results, and those that are rounded to 0 or to the least float32.
    [2 ** -100, 2 ** -49, 0, LEAST],
    [2 ** -100, 2 ** -50, 0, 0],
    [2 ** -100, 2 ** -50, LEAST, 2 * LEAST],
    [2 ** -100, 3 * 2 ** -51, 0, LEAST],
    [LEAST, -LEAST, 0, -0],
    [LEAST, -LEAST, -0, -0],
    // Signed zeros.
    [0, 1, -0, 0],
    [-0, 1, -0, -0],
    [1, 1, -1, 0],
    // Overflow: the product alone, the sum, and a product that the sum brings back.
    [MAX, 2, 0, Infinity],
    [MAX, 1, MAX, Infinity],
    [MAX, 2, -MAX, MAX],
    [MAX, -MAX, MAX, -Infinity],
    [2 ** 64, 2 ** 64, -MAX, 2 ** 104],
    [Infinity, 1, -Infinity, NaN],
    [Infinity, 0, 1, NaN],
    [Infinity, -1, 1, -Infinity],
    [1, 1, Infinity, Infinity],
    [NaN, 1, 1, NaN],
    [1, 1, NaN, NaN],
  ])('%d * %d + %d = %d', (a, b, c, expected) => {
    expect(fusedMultiplyAdd(a, b, c)).toBe(expected);
    expect(kernels.multiplyAdd(a, b, c)).toBe(expected);
  });

  test('control: rounding twice gives other results for some of the random operands', () => {
    const ofFloat64 = (a: number, b: number, c: number) => fround(a * b + c);
    const differs = fc.sample(operands, 20_000).filter(([a, b, c]) => ofFloat64(a, b, c) !== byIntegers(a, b, c));
    expect(differs.length).toBeGreaterThan(10);
  });
});
