// The fused multiply-add of float32, exactly: what f32x4.relaxed_madd computes on every processor that has one (x86-64
// with FMA3, arm64). The plain reference and the self-test use it.

const { fround } = Math;

const sum = new Float64Array(1);
/** The same 64 bits, the less significant word first: Node.js runs on little-endian processors of those above. */
const words = new Uint32Array(sum.buffer);
const [LOW, HIGH] = [0, 1];

/**
 * a b + c, rounded once to float32 (to nearest, ties to even), for any float32 a, b and c.
 *
 * a b is exact in float64 (48 significant bits, exponents from -298 to 256). TwoSum (Donald Knuth, "The Art of Computer
 * Programming", volume 2, 4.2.2) gives the float64 sum nearest to a b + c and its exact error; neither overflows nor
 * underflows at these exponents. An inexact sum is then rounded to odd: of the two float64 around the exact value, that
 * whose last bit is 1. Rounding to odd keeps the information whether the exact value is above, below or on the middle
 * of two float32, because a float64 has more than 24 + 2 significant bits, so `fround` rounds as if from the exact
 * value, also to subnormal numbers (Sylvie Boldo and Guillaume Melquiond, "Emulation of FMA and correctly rounded
 * sums: proved algorithms using rounding to odd", 2008).
 */
export function fusedMultiplyAdd(a: number, b: number, c: number): number {
  const product = a * b;
  const nearest = product + c;
  const addend = nearest - product;
  const error = product - (nearest - addend) + (c - addend);
  // The error is NaN if an operand or the sum is infinite or NaN, and the sum is then the result.
  if (error === 0 || Number.isNaN(error)) return fround(nearest);
  sum[0] = nearest;
  if ((words[LOW]! & 1) === 0) {
    const isAway = error > 0 === nearest > 0;
    // An even word of low bits plus 1 has no carry; minus 1 it borrows from the high word if it is 0.
    if (isAway) words[LOW]! += 1;
    else if (words[LOW] === 0) [words[LOW], words[HIGH]] = [0xffff_ffff, words[HIGH]! - 1];
    else words[LOW]! -= 1;
  }
  return fround(sum[0]);
}
