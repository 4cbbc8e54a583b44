/**
 * exp of four float32 lanes, within 1 ulp of the correctly rounded result.
 *
 * Method. With k = round(x / ln 2) and g = x - k ln 2, exp(x) = 2^k exp(g), and exp(g) = 1 + (g + g^2 E(g)), where the
 * polynomial E of five coefficients is fitted for |g| <= ln(2) / 2.
 *
 * Why no extended precision is needed:
 *   - STEP is -ln 2 rounded to 24 bits. x + k STEP is a multiple of 2^-25 and less than 1/2 (unless k = 0, |x| is
 *     above 1/4, where floats are such multiples), so the fused multiply-add gives it exactly. Only the one with
 *     STEP_LOW, the rest of -ln 2, rounds g, by at most 2^-26.
 *   - g + g^2 E(g) is rounded once, by at most 2^-26 again, and its sum with 1 by half an ulp, 2^-25 below 1 and 2^-24
 *     above. All other errors are those of g^2 E(g), which is below 0.07.
 *   - g + g^2 E(g) is a rounded non-decreasing function of x: near x = 0, where neighbours are closest, the errors of
 *     g^2 E(g) are small against g. Rounding and adding 1 are monotonic; only the steps from k to k + 1 could break it.
 *
 * 2^k takes no conversion: t = MAGIC + x RATE has the integer n = k + 254 in its low bits. 2^k is not a float for all
 * results, the largest and the subnormal ones, so it is a product of two: shifted by 23, n >> 1 and n - (n >> 1) become
 * the exponents of 2^(k >> 1) and of the rest. The first product is exact; the second rounds to infinity and to
 * subnormal numbers where it must.
 *
 * x is limited to BOTTOM, where exp rounds to 0, and to TOP, where it rounds to infinity. The limits pass NaN on.
 *
 * Checked for all 2^32 inputs (npm run verify:functions):
 *   - largest distance from the correctly rounded float: 1 ulp; not correctly rounded: 17,391,799 of 2^32 results;
 *   - largest error against the exact value: 1.0352 ulp at x = -5.85925484 (0xc0bb7f04);
 *   - non-decreasing from -infinity, where it is 0, to infinity, where it is infinity; infinity from the same x on as
 *     the correctly rounded exp, and 1 wherever that is 1; NaN returns NaN.
 *
 * E is a minimax fit with successively rounded coefficients; fitting shifts the result by 0.06 * 2^-24 at most
 * (test/kernels/function-coefficients.ts). tanh.ts says why the constants are loaded from memory.
 */
const K: usize = memory.data<f32>([
  89.0, // TOP = 0x42b20000
  -104.0, // BOTTOM = 0xc2d00000
  1.4426950216293335, // RATE = 0x3fb8aa3b, log2(e)
  12583166.0, // MAGIC = 0x4b4000fe, 1.5 * 2^23 + 254
  -0.6931471824645996, // STEP = 0xbf317218, -ln(2)
  1.9046542121259336e-9, // STEP_LOW = 0x3102e308, -ln(2) - STEP
  0.4999999403953552, // E0 = 0x3efffffe, ~ 1/2
  0.16666509211063385, // E1 = 0x3e2aaa41, ~ 1/6
  0.04166800528764725, // E2 = 0x3d2aac12, ~ 1/24
  0.00837003719061613, // E3 = 0x3c09227b, ~ 1/120
  0.001384891103953123, // E4 = 0x3ab5853c, ~ 1/720
  1.0, // ONE = 0x3f800000
]);

// @ts-ignore: decorator
@inline const TOP: usize = 0;
// @ts-ignore: decorator
@inline const BOTTOM: usize = 4;
// @ts-ignore: decorator
@inline const RATE: usize = 8;
// @ts-ignore: decorator
@inline const MAGIC: usize = 12;
// @ts-ignore: decorator
@inline const STEP: usize = 16;
// @ts-ignore: decorator
@inline const STEP_LOW: usize = 20;
// @ts-ignore: decorator
@inline const E0: usize = 24;
// @ts-ignore: decorator
@inline const E1: usize = 28;
// @ts-ignore: decorator
@inline const E2: usize = 32;
// @ts-ignore: decorator
@inline const E3: usize = 36;
// @ts-ignore: decorator
@inline const E4: usize = 40;
// @ts-ignore: decorator
@inline const ONE: usize = 44;

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
export function expF32x4(v: v128): v128 {
  // pmin(b, c) is c < b ? c : b and pmax(b, c) is b < c ? c : b, so both keep a NaN in b
  const x = f32x4.pmax(f32x4.pmin(v, k(TOP)), k(BOTTOM));
  const t = fma(x, k(RATE), k(MAGIC));
  const n = f32x4.sub(t, k(MAGIC));
  const g = fma(n, k(STEP_LOW), fma(n, k(STEP), x));

  // E(g), with its two halves side by side
  const gg = f32x4.mul(g, g);
  const high = fma(k(E4), gg, fma(k(E3), g, k(E2)));
  const e = fma(high, gg, fma(k(E1), g, k(E0)));
  const y = f32x4.add(fma(gg, e, g), k(ONE));

  const half = i32x4.shr_s(t, 1);
  const first = i32x4.shl(half, 23);
  const second = i32x4.shl(i32x4.sub(t, half), 23);
  return f32x4.mul(f32x4.mul(y, first), second);
}
