/**
 * The float32 nearest to the exact exp(x), sigmoid(x) and tanh(x), for float32 x.
 *
 * The float64 y of JavaScript's Math is within DOUBT y of the exact value: an ordinary library errs by 1 or 2 units in
 * the last place, 2^-52 y each, and the few operations on top by one more each; DOUBT = 2^-42 is a far weaker demand.
 * If both ends of that interval round to the same float32, it is the result, rounding being monotonic. The few inputs
 * that are left, one in 100,000, are decided in integers of 320 bits.
 */
const DOUBT = 2 ** -42;
const [LESS, MORE] = [1 - DOUBT, 1 + DOUBT];

const { fround } = Math;

export interface RoundedFunction {
  /** Of every element of x to the same of y, NaN for NaN. */
  readonly round: (x: Float32Array, y: Float32Array) => void;
  /** To float64, off by DOUBT of it at most. */
  readonly close: (x: number) => number;
}

/** Fixed point: an integer n stands for n / 2^SCALE. */
const SCALE = 320n;
const ONE = 1n << SCALE;

/** exp(z) is raised from exp(z / 2^HALVINGS). */
const HALVINGS = 12n;

/** The exact value of a positive float, a multiple of 2^-149; infinity stands for 2^128, the next after the largest. */
function fixed(x: number): bigint {
  if (x === Infinity) return 1n << (SCALE + 128n);
  return BigInt(x * 2 ** 149) << (SCALE - 149n);
}

/**
 * exp(x), -104 <= x <= 89, off by 2^-160 of it at most.
 *
 * The series of exp(x / 2^12) has an argument below 2^-5 and stops when a term is 0; each of its < 70 steps errs by
 * less than 2 units of 2^-320. Every one of the 12 squarings doubles the relative error and adds at most a unit, which
 * is less than 2^-169 of any power, none being smaller than exp(-104) > 2^-151.
 */
function expFixed(x: number): bigint {
  const z = (x < 0 ? -fixed(-x) : fixed(x)) >> HALVINGS;
  let term = ONE;
  let power = 0n;
  for (let n = 1n; term !== 0n && term !== -1n; n++) {
    power += term;
    term = ((term * z) >> SCALE) / n;
  }
  for (let i = 0n; i < HALVINGS; i++) power = (power * power) >> SCALE;
  return power;
}

/**
 * Which of two neighbouring positive floats (or 0 and the first one) is nearer to the exact value between them.
 *
 * @param exact of x in fixed point, off by 2^-150 of it at most
 */
function decide(x: number, exact: (x: number) => bigint, below: number, above: number): number {
  if (Number.isNaN(x)) return x;
  const value = exact(x);
  const distance = 2n * value - fixed(below) - fixed(above);
  const doubt = value >> 150n;
  if (distance > doubt) return above;
  if (distance < -doubt) return below;
  throw new Error(`undecided at ${x}`);
}

function sigmoidFixed(x: number): bigint {
  const e = expFixed(-Math.abs(x));
  return ((x < 0 ? e : ONE) << SCALE) / (ONE + e);
}

/** Of a positive x. */
function tanhFixed(x: number): bigint {
  const e = expFixed(-2 * x);
  return ((ONE - e) << SCALE) / (ONE + e);
}

// Each function has a loop of its own, which V8 compiles for this function alone: a check of all float32 takes several
// times as long if the loop calls one of three. Most floats are so small or so large that nothing has to be computed.

/** |x| <= 2^-26: exp(x) is closer to 1 than 2^-25, half the distance to the float below. */
export const exp: RoundedFunction = {
  round: (x, y) => {
    for (let i = 0; i < x.length; i++) {
      const v = x[i]!;
      if (v <= -104) y[i] = 0;
      else if (v >= 89) y[i] = Infinity;
      else if (Math.abs(v) <= 2 ** -26) y[i] = 1;
      else {
        const e = Math.exp(v);
        const below = fround(e * LESS);
        const above = fround(e * MORE);
        y[i] = below === above ? below : decide(v, expFixed, below, above);
      }
    }
  },
  close: Math.exp,
};

function sigmoidClose(x: number): number {
  const e = Math.exp(-Math.abs(x));
  return (x < 0 ? e : 1) / (1 + e);
}

/**
 * |x| <= 2^-25: the sigmoid is closer to 1/2 than x / 4 = 2^-27, and 2^-26 is half the distance to the float below.
 * x >= 18: it is closer to 1 than exp(-18) < 2^-25.
 */
export const sigmoid: RoundedFunction = {
  round: (x, y) => {
    for (let i = 0; i < x.length; i++) {
      const v = x[i]!;
      if (v <= -104) y[i] = 0;
      else if (v >= 18) y[i] = 1;
      else if (Math.abs(v) <= 2 ** -25) y[i] = 0.5;
      else {
        const close = sigmoidClose(v);
        const below = fround(close * LESS);
        const above = fround(close * MORE);
        y[i] = below === above ? below : decide(v, sigmoidFixed, below, above);
      }
    }
  },
  close: sigmoidClose,
};

/**
 * |x| <= 2^-12: 0 < x - tanh(x) < x^3 / 3 for a positive x, which is below 2^-25 x, and the middle between x and the
 * float below is at least 2^-25 x away. |x| >= 10: 1 - tanh(x) < 2 exp(-20) < 2^-25.
 */
export const tanh: RoundedFunction = {
  round: (x, y) => {
    for (let i = 0; i < x.length; i++) {
      const v = x[i]!;
      const a = Math.abs(v);
      if (a <= 2 ** -12) y[i] = v;
      else if (a >= 10) y[i] = Math.sign(v);
      else {
        const close = Math.tanh(a);
        const below = fround(close * LESS);
        const above = fround(close * MORE);
        const nearest = below === above ? below : decide(a, tanhFixed, below, above);
        y[i] = v < 0 ? -nearest : nearest;
      }
    }
  },
  close: Math.tanh,
};
