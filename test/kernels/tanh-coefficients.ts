/**
 * Derives the constants of the float32 tanh kernel (src/kernels/tanh.ts).
 *
 * Two weighted minimax fits (Remez exchange) are made in double precision. Both targets are
 * analytic on the fitted interval and are evaluated without cancellation, so double precision
 * leaves more than 20 spare bits over float32.
 *
 * A fitted coefficient cannot be used before it is rounded to float32. Rounding all of them at
 * once would lose accuracy, so they are settled one at a time, lowest power first: fit all, round
 * the lowest, subtract its term from the target, fit the others again.
 */
type Real = (x: number) => number;

/** Where the kernel changes from the small-argument form to the exponential form. */
const SPLIT = 0.625;

/** The reduced argument of the exponential form: |g| <= ln(2) / 4, and a margin. */
const REDUCED = 0.175;

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

/** E(g) = (exp(2g) - 1 - 2g) / (2g^2) = sum (2g)^j / ((j + 1) (j + 2) j!). */
function expTail(g: number): number {
  let term = 1;
  let sum = 0;
  for (let j = 0; j < 24; j++) {
    sum += term / ((j + 1) * (j + 2));
    term *= (2 * g) / (j + 1);
  }
  return 2 * sum;
}

/**
 * D(u) = a u / (a - tanh a) with u = a^2. From tanh = sinh / cosh both numerator and denominator
 * have series with positive terms: D = sum u^j / (2j)! / sum (2j + 2) u^j / (2j + 3)!.
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
  return num / den;
}

/** How an error of E reaches the result, in the worst octave s = 1/4, in units of 2^-24. */
const expWeight: Real = (g) => ((g * g) / (Math.exp(2 * g) + 0.25) ** 2) * 2 ** 24;

/** How an error of D reaches the result, relative to it, in units of 2^-24. */
const denWeight: Real = (u) => {
  const d = denominator(u);
  return (u / (d * d) / (1 - u / d)) * 2 ** 24;
};

/** Every derived constant of the kernel by its name there. */
export function deriveConstants(): Record<string, number> {
  const e = fitRounded(expTail, expWeight, 5, -REDUCED, REDUCED);
  const d = fitRounded(denominator, denWeight, 3, 0, SPLIT * SPLIT);
  return {
    ...Object.fromEntries(e.map((value, j) => [`E${j}`, value])),
    ...Object.fromEntries(d.map((value, j) => [`D${j}`, value])),
    SPLIT,
    RATE: Math.fround(2 * Math.LOG2E),
    STEP: Math.fround(Math.LN2 / 2),
    MAGIC: 1.5 * 2 ** 23 + 127,
  };
}
