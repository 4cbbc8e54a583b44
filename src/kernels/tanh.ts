/**
 * tanh of four float32 lanes, within 1 ulp of the correctly rounded result.
 *
 * Method. Only |x| is computed with, and the sign is put back last, so the result is odd to the
 * bit. Two forms are evaluated in every lane and one is chosen:
 *
 *   a < SPLIT    tanh a = a + a (u / D(u)), with u = a^2. Lambert's continued fraction, tanh a =
 *                a / (1 + u / F) with F = 3 + u / (5 + ...), gives D = -(F + u), a function so
 *                nearly linear (its poles are at u < -20) that a polynomial of three
 *                coefficients does. Only the correction, at most 0.12 a, has rounding errors.
 *
 *   a >= SPLIT   tanh a = 1 - 2 / (exp(2a) + 1). With k = round(2a / ln 2), s = 2^-k and
 *                g = a - k ln(2) / 2 this is 1 - s / d, d = (s + exp(2g)) / 2, and from
 *                exp(2g) = 1 + 2g + 2 g^2 E(g) follows d = (s / 2 + 1 / 2) + g + g^2 E(g).
 *
 * Why no extended precision is needed in the second form:
 *   - STEP = ln(2) / 2 rounded to 21 significant bits happens to be off by 2^-28.4 only. The fused
 *     multiply-add gives a - k STEP exactly, so that g is wrong by a constant of each k, which
 *     shifts the result by 0.02 ulp or less.
 *   - (s / 2 + 1 / 2) + g is exact for the k that matter, and g^2 E(g) is small and added to it by
 *     a fused multiply-add. The computed d is therefore a rounded non-decreasing function of a; so
 *     are s / d and 1 - s / d, rounding being monotonic. Only the steps from k to k + 1 and the
 *     change of form could break it.
 *   - The errors of s / d count less in the result, by the factor s / d < 0.45.
 *
 * 2^-k takes no conversion: t = MAGIC + a RATE has the integer 127 - k in its low bits, and a
 * shift by 23 moves these into the exponent of a float and all others out.
 *
 * a is limited to TOP, the least float whose tanh rounds to 1. The limit passes NaN on.
 *
 * Checked for all 2^32 inputs (npm run verify:functions):
 *   - largest distance from the correctly rounded float: 1 ulp; not correctly rounded:
 *     7,236,762 of 2^32 results;
 *   - largest error against the exact value: 1.1544 ulp at x = 0.625107765 (0x3f200710);
 *   - non-decreasing from -infinity to infinity; odd; 1 exactly from TOP on, as is correct;
 *     +-0 and subnormals return themselves, NaN returns NaN.
 *
 * Thresholds: TOP was found by stepping the correctly rounded tanh over the floats near 9. SPLIT
 * must be above atanh(1/2) = 0.5493, as below it the result has a finer ulp than s / d; a larger
 * SPLIT lessens the largest error, that of 1 - s / d at SPLIT, but more results near SPLIT are
 * not correctly rounded.
 * E and D are minimax fits with successively rounded coefficients, weighted by their effect on
 * the result; fitting them shifts the result by 0.02 ulp (E) and 0.1 ulp (D) at most.
 *
 * The constants are loaded and splatted by one instruction each, from the segment of 16 floats
 * below, instead of being literals: engines tend to rebuild a v128 literal at each of its uses,
 * inside of loops too, by a chain of three instructions that takes more time than the arithmetic.
 * A load is cheap, and a splatting load also suits the widening of two v128 to one 256-bit value.
 */
const K: usize = memory.data<f32>([
  9.010913848876953, // TOP = 0x41102cb4, least a with tanh a -> 1
  -2.885390043258667, // RATE = 0xc038aa3b, -2 log2(e)
  12583039.0, // MAGIC = 0x4b40007f, 1.5 * 2^23 + 127
  0.3465735912322998, // STEP = 0x3eb17218, ln(2) / 2
  0.9999997615814209, // E0 = 0x3f7ffffc, ~ 1
  0.666660726070404, // E1 = 0x3f2aaa47, ~ 2/3
  0.3333595097064972, // E2 = 0x3eaaae19, ~ 1/3
  0.13390623033046722, // E3 = 0x3e091eb7, ~ 2/15
  0.04389810189604759, // E4 = 0x3d33ce7f, ~ 2/45
  -3.00000262260437, // D0 = 0xc040000b, ~ -3
  -1.1999585628509521, // D1 = 0xbf99983e, ~ -6/5
  0.005528781563043594, // D2 = 0x3bb52ac8, ~ 1/175
  0.625, // SPLIT = 0x3f200000
  0.5, // HALF = 0x3f000000
  1.0, // ONE = 0x3f800000
  -0.0, // SIGN = 0x80000000
]);

// @ts-ignore: decorator
@inline const TOP: usize = 0;
// @ts-ignore: decorator
@inline const RATE: usize = 4;
// @ts-ignore: decorator
@inline const MAGIC: usize = 8;
// @ts-ignore: decorator
@inline const STEP: usize = 12;
// @ts-ignore: decorator
@inline const E0: usize = 16;
// @ts-ignore: decorator
@inline const E1: usize = 20;
// @ts-ignore: decorator
@inline const E2: usize = 24;
// @ts-ignore: decorator
@inline const E3: usize = 28;
// @ts-ignore: decorator
@inline const E4: usize = 32;
// @ts-ignore: decorator
@inline const D0: usize = 36;
// @ts-ignore: decorator
@inline const D1: usize = 40;
// @ts-ignore: decorator
@inline const D2: usize = 44;
// @ts-ignore: decorator
@inline const SPLIT: usize = 48;
// @ts-ignore: decorator
@inline const HALF: usize = 52;
// @ts-ignore: decorator
@inline const ONE: usize = 56;
// @ts-ignore: decorator
@inline const SIGN: usize = 60;

// @ts-ignore: decorator
@inline
function k(offset: usize): v128 {
  return v128.load32_splat(K + offset);
}

/** a b + c, rounded once. */
// @ts-ignore: decorator
@inline
function fma(a: v128, b: v128, c: v128): v128 {
  return f32x4.relaxed_madd(a, b, c);
}

// @ts-ignore: decorator
@inline
export function tanhF32x4(v: v128): v128 {
  // pmin(b, c) is c < b ? c : b and so keeps a NaN in b
  const a = f32x4.pmin(v128.andnot(v, k(SIGN)), k(TOP));

  // a + a (u / D(u))
  const u = f32x4.mul(a, a);
  const d = fma(fma(k(D2), u, k(D1)), u, k(D0));
  const small = fma(f32x4.div(u, d), a, a);

  // 1 - s / ((s / 2 + 1 / 2) + g + g^2 E(g)), with the two halves of E side by side
  const t = fma(a, k(RATE), k(MAGIC));
  const s = i32x4.shl(t, 23);
  const g = fma(f32x4.sub(t, k(MAGIC)), k(STEP), a);
  const gg = f32x4.mul(g, g);
  const high = fma(k(E4), gg, fma(k(E3), g, k(E2)));
  const e = fma(high, gg, fma(k(E1), g, k(E0)));
  const base = fma(s, k(HALF), k(HALF));
  const large = f32x4.sub(k(ONE), f32x4.div(s, fma(gg, e, f32x4.add(base, g))));

  // Relaxed SIMD leaves open how a lane of mixed bits selects; these lanes are all ones or all zeros.
  const y = i32x4.relaxed_laneselect(small, large, f32x4.lt(a, k(SPLIT)));
  return v128.or(y, v128.and(v, k(SIGN)));
}
