/**
 * The sigmoid 1 / (1 + exp(-x)) of four float32 lanes, within 1 ulp of the correctly rounded result.
 *
 * Method. With k = round(x / ln 2), s = 2^k and g = x - k ln 2, exp(-x) = exp(-g) / s, so that for every x, positive or
 * negative,
 *
 *   sigmoid(x) = s / D      D = s + exp(-g) = (s + 1) - g + g^2 E(-g)
 *
 * E is that of exp.ts, exp(g) = 1 + g + g^2 E(g); below, P(g) = -E(-g).
 *
 * Precision. D rounded to float32 would shift the result by up to 1 ulp, and the rounded division comes on top. So D
 * is kept as a sum of three floats, D = -(c + g + tail):
 *
 *   c = -(s + 1), rounded              exact for |k| < 24
 *   tail = g^2 P(g) + low              low = -(s + 1) - c, as far as 2^-24 of the result matters
 *
 * R = 1 / D is divided with D rounded, off by 2^-23 or so, and refined by a step of Newton's method, R + R rest with
 * rest = 1 - D R. The three products of rest are added by fused multiply-adds, the largest first: each is exact, and
 * their sums get so small that rounding them does not matter, but for the first one with c, an error of at most 2^-26.
 * So the result has the error of its last rounding, of g (2^-26 at most, see exp.ts) and of 1 + c R. For a small x all
 * of these but the last vanish, which keeps the result monotonic where neighbours are closest.
 *
 * 2^k takes no conversion: t = MAGIC + x RATE has the integer k + 64 + 127 in its low bits, and a shift by 23 moves
 * these into the exponent of a float and all others out. That gives s 2^64, a normal float for every k from -150 to 25.
 * s itself is multiplied from it (a subnormal s is exact, and s = 2^-150 is lost in D anyhow). In the result,
 * multiplying by 2^-64 comes last, so that subnormal results, too, are rounded once.
 *
 * x is limited to BOTTOM, where the sigmoid rounds to 0, and to TOP, where it rounds to 1. The limits pass NaN on.
 *
 * Checked for all 2^32 inputs (npm run verify:functions):
 *   - largest distance from the correctly rounded float: 1 ulp; not correctly rounded: 4,232,654 of 2^32 results;
 *   - largest error against the exact value: 0.9987 ulp at x = -17.3299389 (0xc18aa3b7), where low lacks an s of 2^-25;
 *   - non-decreasing from -infinity, where it is 0, to infinity, where it is 1; 1 for exactly those x for which
 *     the correctly rounded sigmoid is 1; 1/2 for +-0; NaN returns NaN.
 *
 * One half of 1 + tanh(x / 2) would be as fast but 12 ulp off at x = -5. tanh.ts says why the constants are loaded from
 * memory.
 */
const K: usize = memory.data<f32>([
  17.5, // TOP = 0x418c0000
  -104.0, // BOTTOM = 0xc2d00000
  1.4426950216293335, // RATE = 0x3fb8aa3b, log2(e)
  12583103.0, // MAGIC = 0x4b4000bf, 1.5 * 2^23 + 127 + 64
  -0.6931471824645996, // STEP = 0xbf317218, -ln(2)
  1.9046542121259336e-9, // STEP_LOW = 0x3102e308, -ln(2) - STEP
  -0.4999999403953552, // P0 = 0xbefffffe, ~ -1/2
  0.16666509211063385, // P1 = 0x3e2aaa41, ~ 1/6
  -0.04166800528764725, // P2 = 0xbd2aac12, ~ -1/24
  0.00837003719061613, // P3 = 0x3c09227b, ~ 1/120
  -0.001384891103953123, // P4 = 0xbab5853c, ~ -1/720
  5.421010862427522e-20, // DOWN = 0x1f800000, 2^-64
  -5.421010862427522e-20, // MINUS_DOWN = 0x9f800000, -2^-64
  1.0, // ONE = 0x3f800000
  -1.0, // MINUS_ONE = 0xbf800000
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
@inline const P0: usize = 24;
// @ts-ignore: decorator
@inline const P1: usize = 28;
// @ts-ignore: decorator
@inline const P2: usize = 32;
// @ts-ignore: decorator
@inline const P3: usize = 36;
// @ts-ignore: decorator
@inline const P4: usize = 40;
// @ts-ignore: decorator
@inline const DOWN: usize = 44;
// @ts-ignore: decorator
@inline const MINUS_DOWN: usize = 48;
// @ts-ignore: decorator
@inline const ONE: usize = 52;
// @ts-ignore: decorator
@inline const MINUS_ONE: usize = 56;

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
export function sigmoidF32x4(v: v128): v128 {
  // pmin(b, c) is c < b ? c : b and pmax(b, c) is b < c ? c : b, so both keep a NaN in b
  const x = f32x4.pmax(f32x4.pmin(v, k(TOP)), k(BOTTOM));
  const t = fma(x, k(RATE), k(MAGIC));
  const n = f32x4.sub(t, k(MAGIC));
  const g = fma(n, k(STEP_LOW), fma(n, k(STEP), x));
  const s64 = i32x4.shl(t, 23);
  const minusS = f32x4.mul(s64, k(MINUS_DOWN));

  // P(g), with its two halves side by side
  const gg = f32x4.mul(g, g);
  const high = fma(k(P4), gg, fma(k(P3), g, k(P2)));
  const p = fma(high, gg, fma(k(P1), g, k(P0)));

  // -D = c + g + tail
  const c = f32x4.sub(minusS, k(ONE));
  const low = f32x4.sub(f32x4.sub(minusS, c), k(ONE));
  const tail = fma(gg, p, low);

  const r = f32x4.div(k(MINUS_ONE), fma(gg, p, f32x4.add(c, g)));
  const rest = fma(tail, r, fma(g, r, fma(c, r, k(ONE))));
  const y64 = f32x4.mul(r, s64);
  return f32x4.mul(fma(y64, rest, y64), k(DOWN));
}

/** Replaces z by σ(z + b) in `size` bytes, a multiple of 32. */
export function sigmoidInPlace(z: usize, b: usize, size: usize): void {
  // Both halves are computed before either is stored: only then does V8 join them into 256 bits.
  for (const end = z + size; z < end; z += 32, b += 32) {
    const y0 = sigmoidF32x4(f32x4.add(v128.load(z, 0), v128.load(b, 0)));
    const y1 = sigmoidF32x4(f32x4.add(v128.load(z, 16), v128.load(b, 16)));
    v128.store(z, y0, 0);
    v128.store(z, y1, 16);
  }
}
