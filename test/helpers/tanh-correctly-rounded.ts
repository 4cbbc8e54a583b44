/**
 * The float32 nearest to the exact tanh(x), for float32 x.
 *
 * - |x| <= 2^-12: x itself. 0 < x - tanh(x) < x^3 / 3, which is below 2^-25 x, and the rounding
 *   midpoint next to x towards zero is at least 2^-25 x away.
 * - |x| >= 10: 1. 1 - tanh(x) < 2 exp(-20), less than the 2^-25 that rounds to 1.
 * - Otherwise the double y = Math.tanh(x) is used. The low 29 bits of its significand say where it
 *   lies between two floats; 2^28 is the midpoint. If y is farther than MARGIN double ulps from
 *   it, rounding y is right, provided that the error of Math.tanh is below MARGIN ulps: with
 *   MARGIN = 1024 that is a far weaker demand than the 1 or 2 ulps of an ordinary libm.
 * - The few that are left are decided in integers, see `decide`.
 */
const MARGIN = 1024;

const double = new Float64Array(1);
const word = new Uint32Array(double.buffer);
const float = new Float32Array(1);
const floatBits = new Uint32Array(float.buffer);

/** Fixed point: an integer n stands for n / 2^SCALE. */
const SCALE = 320n;
const ONE = 1n << SCALE;

/** exp(-z) is raised from exp(-z / 2^HALVINGS). */
const HALVINGS = 12n;

/** Bound of the fixed-point error of `tanhFixed`. */
const DOUBT = 1n << 64n;

/** The exact value of a positive normal float as (integer) * 2^(exponent). */
function parts(x: number): [bigint, number] {
  float[0] = x;
  const exponent = (floatBits[0]! >>> 23) - 150;
  return [BigInt((floatBits[0]! & 0x7fffff) | 0x800000), exponent];
}

function fixed(x: number): bigint {
  const [m, e] = parts(x);
  const shift = SCALE + BigInt(e);
  return shift >= 0n ? m << shift : m >> -shift;
}

/**
 * tanh(x) = (1 - q) / (1 + q) with q = exp(-2x), 2^-12 < x < 10.
 *
 * 2x is exact (its last bit is 2^-35 or higher). The series of exp(-2x / 2^12) has an argument
 * below 2^-7 and stops when a term is 0; each of its < 50 steps errs by less than 2 units of
 * 2^-320. Every one of the 12 squarings at most doubles the error and adds a unit, which leaves
 * less than 2^20 units; the quotient's derivative by q is at most 2. 2^64 is a generous bound.
 */
function tanhFixed(x: number): bigint {
  const z = (2n * fixed(x)) >> HALVINGS;
  let term = ONE;
  let q = 0n;
  for (let n = 1n; term !== 0n; n++) {
    q += term;
    term = -((term * z) >> SCALE) / n;
  }
  for (let i = 0n; i < HALVINGS; i++) q = (q * q) >> SCALE;
  return ((ONE - q) << SCALE) / (ONE + q);
}

/** The float nearest to tanh(x), from two neighbouring floats known to enclose it. */
function decide(x: number, below: number, above: number): number {
  const distance = 2n * tanhFixed(x) - fixed(below) - fixed(above);
  if (distance > DOUBT) return above;
  if (distance < -DOUBT) return below;
  throw new Error(`undecided at ${x}`);
}

export function tanhCorrectlyRounded(x: number): number {
  const a = Math.abs(x);
  if (!(a > 0.000244140625)) return x;
  if (a >= 10) return x < 0 ? -1 : 1;
  const y = Math.tanh(a);
  double[0] = y;
  const offset = (word[0]! & 0x1fffffff) - 0x10000000;
  let r: number;
  if (offset > MARGIN || offset < -MARGIN) {
    r = Math.fround(y);
  } else {
    word[0]! &= 0xe0000000;
    const below = double[0];
    float[0] = below;
    floatBits[0]!++;
    r = decide(a, below, float[0]);
  }
  return x < 0 ? -r : r;
}
