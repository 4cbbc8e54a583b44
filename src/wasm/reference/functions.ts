// tanh, sigmoid and exp of a float32, the same bits as the kernels for every input (any NaN for NaN): every operation
// is rounded to float32, in the order of the kernels. The methods and the constants are explained there
// (kernels/tanh.ts, kernels/sigmoid.ts, kernels/exp.ts).
import { fusedMultiplyAdd as fma } from '../fused-multiply-add.ts';

const f32 = Math.fround;

const float = new Float32Array(1);
const word = new Int32Array(float.buffer);

function bitsOf(x: number): number {
  float[0] = x;
  return word[0]!;
}

/** The float whose exponent is the low bits of n: 2^(n - 127) for n from 1 to 254. */
function powerOf(n: number): number {
  word[0] = n << 23;
  return float[0]!;
}

/** c_0 + c_1 g + c_2 g^2 + c_3 g^3 + c_4 g^4, its two halves apart. */
function polynomial(c: readonly number[], g: number, gg: number): number {
  const low = fma(c[1]!, g, c[0]!);
  const high = fma(c[4]!, gg, fma(c[3]!, g, c[2]!));
  return fma(high, gg, low);
}

const TANH = {
  TOP: 9.010913848876953,
  RATE: -2.885390043258667,
  MAGIC: 12583039,
  STEP: 0.3465735912322998,
  E: [0.9999997615814209, 0.666660726070404, 0.3333595097064972, 0.13390623033046722, 0.04389810189604759],
  D: [-3.00000262260437, -1.1999585628509521, 0.005528781563043594],
  SPLIT: 0.625,
} as const;

/** tanh x */
export function tanh32(x: number): number {
  const v = f32(x);
  if (Number.isNaN(v)) return v;
  const { TOP, RATE, MAGIC, STEP, E, D, SPLIT } = TANH;
  const a = Math.min(Math.abs(v), TOP);
  let y: number;
  if (a < SPLIT) {
    const u = f32(a * a);
    const d = fma(fma(D[2], u, D[1]), u, D[0]);
    y = fma(f32(u / d), a, a);
  } else {
    const t = fma(a, RATE, MAGIC);
    const s = powerOf(bitsOf(t));
    const g = fma(f32(t - MAGIC), STEP, a);
    const gg = f32(g * g);
    const d = fma(gg, polynomial(E, g, gg), f32(fma(s, 0.5, 0.5) + g));
    y = f32(1 - f32(s / d));
  }
  return v < 0 || Object.is(v, -0) ? -y : y;
}

const RATE = 1.4426950216293335;
const STEP = -0.6931471824645996;
const STEP_LOW = 1.9046542121259336e-9;
const E = [0.4999999403953552, 0.16666509211063385, 0.04166800528764725, 0.00837003719061613, 0.001384891103953123];

const SIGMOID = { TOP: 17.5, BOTTOM: -104, MAGIC: 12583103, P: E.map((c, j) => (j % 2 === 0 ? -c : c)) } as const;

/** 1 / (1 + exp(-x)) */
export function sigmoid32(x: number): number {
  const v = f32(x);
  if (Number.isNaN(v)) return v;
  const { TOP, BOTTOM, MAGIC, P } = SIGMOID;
  const a = Math.max(Math.min(v, TOP), BOTTOM);
  const t = fma(a, RATE, MAGIC);
  const n = f32(t - MAGIC);
  const g = fma(n, STEP_LOW, fma(n, STEP, a));
  const gg = f32(g * g);
  const p = polynomial(P, g, gg);
  const s64 = powerOf(bitsOf(t));
  const s = f32(s64 * 2 ** -64);

  const c = f32(-s - 1);
  const low = f32(f32(-s - c) - 1);
  const tail = fma(gg, p, low);
  const r = f32(-1 / fma(gg, p, f32(c + g)));
  const rest = fma(tail, r, fma(g, r, fma(c, r, 1)));
  const y64 = f32(r * s64);
  return f32(fma(y64, rest, y64) * 2 ** -64);
}

const EXP = { TOP: 89, BOTTOM: -104, MAGIC: 12583166 } as const;

/** e^x */
export function exp32(x: number): number {
  const v = f32(x);
  if (Number.isNaN(v)) return v;
  const { TOP, BOTTOM, MAGIC } = EXP;
  const a = Math.max(Math.min(v, TOP), BOTTOM);
  const t = fma(a, RATE, MAGIC);
  const n = f32(t - MAGIC);
  const g = fma(n, STEP_LOW, fma(n, STEP, a));
  const gg = f32(g * g);
  const y = f32(fma(gg, polynomial(E, g, gg), g) + 1);
  const bits = bitsOf(t);
  const half = bits >> 1;
  return f32(f32(y * powerOf(half)) * powerOf(bits - half));
}
