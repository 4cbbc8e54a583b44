/**
 * Derives the constants of the float32 kernels of tanh, sigmoid and exp (src/kernels/tanh.ts, sigmoid.ts, exp.ts).
 *
 * Three weighted minimax fits (Remez exchange) are made in double precision. The targets are
 * analytic on the fitted interval and are evaluated without cancellation, so double precision
 * leaves more than 20 spare bits over float32.
 *
 * A fitted coefficient cannot be used before it is rounded to float32. Rounding all of them at
 * once would lose accuracy, so they are settled one at a time, lowest power first: fit all, round
 * the lowest, subtract its term from the target, fit the others again.
 */
type Real = (x: number) => number;

/** Where the kernel of tanh changes from the small-argument form to the exponential form. */
const SPLIT = 0.625;

/** The reduced argument of the exponential form of tanh: |g| <= ln(2) / 4, and a margin. */
const REDUCED = 0.175;

/** The reduced argument of exp and sigmoid: |g| <= ln(2) / 2, and a margin. */
const EXP_REDUCED = 0.35;

/** ln 2 minus the float32 nearest to it. The last summand is ln 2 - Math.LN2. */
const LN2_LOW = Math.LN2 - Math.fround(Math.LN2) + 2.319046813846299e-17;

/** Solves m c = b by elimination with row pivoting; both arguments are consumed. */
function solve(m: number[][], b: number[]): number[] {
  const n = b.length;
  for (let i = 0; i < n; i++) {
    let pivot = i;
    for (let r = i + 1; r < n; r++) {
      if (Math.abs(m[r]![i]!) > Math.abs(m[pivot]![i]!)) pivot = r;
    }
    [m[i], m[pivot]] = [m[pivot]!, m[i]!];
    [b[i], b[pivot]] = [b[pivot]!, b[i]!];
    for (let r = i + 1; r < n; r++) {
      const q = m[r]![i]! / m[i]![i]!;
      for (let c = i; c < n; c++) m[r]![c]! -= q * m[i]![c]!;
      b[r]! -= q * b[i]!;
    }
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let c = i + 1; c < n; c++) b[i]! -= m[i]![c]! * b[c]!;
    b[i]! /= m[i]![i]!;
  }
  return b;
}

/** Minimises max |w (f - sum c_j x^(from + j))| on [lo, hi] over the n coefficients c. */
function remez(f: Real, w: Real, n: number, from: number, lo: number, hi: number) {
  const grid = 4000;
  const xs: number[] = [];
  for (let i = 0; i <= grid; i++) {
    xs.push((lo + hi) / 2 - ((hi - lo) / 2) * Math.cos((Math.PI * i) / grid));
  }
  const fs = xs.map(f);
  const ws = xs.map(w);
  let nodes: number[] = [];
  for (let i = 0; i <= n; i++) nodes.push(Math.round((grid * (i + 0.5)) / (n + 1)));
  let c: number[] = [];
  for (let round = 0; round < 30; round++) {
    const rows = nodes.map((k, i) => {
      const row: number[] = [];
      for (let j = 0; j < n; j++) row.push(ws[k]! * xs[k]! ** (from + j));
      row.push(i & 1 ? -1 : 1);
      return row;
    });
    c = solve(rows, nodes.map((k) => ws[k]! * fs[k]!)).slice(0, n);
    const err = xs.map((x, k) => {
      let s = 0;
      for (let j = n - 1; j >= 0; j--) s = s * x + c[j]!;
      return ws[k]! * (s * x ** from - fs[k]!);
    });
    // the largest error of every run of one sign; the surplus is dropped from the ends
    const peaks: number[] = [];
    for (let k = 0; k <= grid; k++) {
      const last = peaks.at(-1)!;
      if (peaks.length > 0 && err[k]! * err[last]! > 0) {
        if (Math.abs(err[k]!) > Math.abs(err[last]!)) peaks[peaks.length - 1] = k;
      } else if (err[k]! !== 0) {
        peaks.push(k);
      }
    }
    while (peaks.length > n + 1) {
      if (Math.abs(err[peaks[0]!]!) < Math.abs(err[peaks.at(-1)!]!)) peaks.shift();
      else peaks.pop();
    }
    if (peaks.length < n + 1 || peaks.every((k, i) => k === nodes[i]!)) break;
    nodes = peaks;
  }
  return c;
}

/** A fit with float32 coefficients: the lowest is rounded, the others are fitted again. */
function fitRounded(f: Real, w: Real, n: number, lo: number, hi: number) {
  const c: number[] = [];
  const rest: Real = (x) => {
    let r = f(x);
    for (let j = 0; j < c.length; j++) r -= c[j]! * x ** j;
    return r;
  };
  while (c.length < n) {
    const [lowest] = remez(rest, w, n - c.length, c.length, lo, hi);
    c.push(Math.fround(lowest!));
  }
  return c;
}

/** (exp(g) - 1 - g) / g^2 = sum g^j / (j + 2)! */
function expTail(g: number): number {
  let term = 1;
  let sum = 0;
  for (let j = 0; j < 24; j++) {
    sum += term / ((j + 1) * (j + 2));
    term *= g / (j + 1);
  }
  return sum;
}

/**
 * D(u) = -a u / (a - tanh a) with u = a^2. From tanh = sinh / cosh both numerator and denominator
 * have series with terms of one sign: -D = sum u^j / (2j)! / sum (2j + 2) u^j / (2j + 3)!.
 */
function denominator(u: number): number {
  let num = 0;
  let den = 0;
  let term = 1;
  for (let j = 0; j < 12; j++) {
    num += term;
    den += term / ((2 * j + 1) * (2 * j + 3));
    term *= u / ((2 * j + 1) * (2 * j + 2));
  }
  return -num / den;
}

/** E of tanh: (exp(2g) - 1 - 2g) / (2g^2). */
const tanhTail: Real = (g) => 2 * expTail(2 * g);

/** How an error of E reaches the result of tanh, in the worst octave s = 1/4, in units of 2^-24. */
const tanhTailWeight: Real = (g) => ((g * g) / (Math.exp(2 * g) + 0.25) ** 2) * 2 ** 24;

/** How an error of D reaches the result of tanh, relative to it, in units of 2^-24. */
const denominatorWeight: Real = (u) => {
  const d = denominator(u);
  return (u / (d * d) / (1 + u / d)) * 2 ** 24;
};

/** How an error of E reaches the result of exp, relative to it, in units of 2^-24. */
const expTailWeight: Real = (g) => ((g * g) / Math.exp(g)) * 2 ** 24;

/** Every derived constant of the kernels by its name there. */
export function deriveConstants(): Record<'tanh' | 'sigmoid' | 'exp', Record<string, number>> {
  const tanhE = fitRounded(tanhTail, tanhTailWeight, 5, -REDUCED, REDUCED);
  const D = fitRounded(denominator, denominatorWeight, 3, 0, SPLIT * SPLIT);
  const E = fitRounded(expTail, expTailWeight, 5, -EXP_REDUCED, EXP_REDUCED);
  // P(g) = -E(-g)
  const P = E.map((value, j) => (j % 2 === 0 ? -value : value));
  const STEP = -Math.fround(Math.LN2);
  const reduction = { RATE: Math.fround(Math.LOG2E), STEP, STEP_LOW: Math.fround(-LN2_LOW) };
  return {
    tanh: {
      ...named('E', tanhE),
      ...named('D', D),
      SPLIT,
      RATE: Math.fround(-2 * Math.LOG2E),
      STEP: Math.fround(Math.LN2 / 2),
      MAGIC: 1.5 * 2 ** 23 + 127,
    },
    sigmoid: { ...named('P', P), ...reduction, MAGIC: 1.5 * 2 ** 23 + 127 + 64 },
    exp: { ...named('E', E), ...reduction, MAGIC: 1.5 * 2 ** 23 + 2 * 127 },
  };
}

function named(name: string, values: readonly number[]): Record<string, number> {
  return Object.fromEntries(values.map((value, j) => [`${name}${j}`, value]));
}
