// tanh, sigmoid and exp of a float32. tanh32 has the bits of the kernel; sigmoid32 and exp32 are computed in float64 and
// rounded once.
const f32 = Math.fround;

const E0 = 0.9999997615814209;
const E1 = 0.666660726070404;
const E2 = 0.3333595097064972;
const E3 = 0.13390623033046722;
const E4 = 0.04389810189604759;
const D0 = 3.00000262260437;
const D1 = 1.1999585628509521;
const D2 = -0.005528781563043594;
const SPLIT = 0.625;
const TOP = 9.010913848876953;
const RATE = 2.885390043258667;
const STEP = 0.3465735912322998;
const MAGIC = 12583039;

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/**
 * tanh(x), the same bits as the kernel for every input (any NaN for NaN). Every arithmetic step is rounded to float32 at
 * once, in the kernel's order; the method and the constants are explained there (kernels/tanh.ts).
 */
export function tanh32(x: number): number {
  const v = f32(x);
  if (v !== v) return v;
  const a = Math.min(Math.abs(v), TOP);
  let y: number;
  if (a < SPLIT) {
    const u = f32(a * a);
    const d = f32(f32(f32(f32(D2 * u) + D1) * u) + D0);
    y = f32(a - f32(f32(a * u) / d));
  } else {
    const t = f32(MAGIC - f32(a * RATE));
    float[0] = t;
    bits[0]! <<= 23;
    const s = float[0];
    const g = f32(a + f32(f32(t - MAGIC) * STEP));
    const gg = f32(g * g);
    const low = f32(f32(E1 * g) + E0);
    const high = f32(f32(f32(E3 * g) + E2) + f32(E4 * gg));
    const tail = f32(gg * f32(low + f32(high * gg)));
    const d = f32(f32(f32(f32(s * 0.5) + 0.5) + g) + tail);
    y = f32(1 - f32(s / d));
  }
  return v < 0 || Object.is(v, -0) ? -y : y;
}

/** sigma(x) = 1 / (1 + exp(-x)). */
export function sigmoid32(x: number): number {
  const e = Math.exp(-Math.abs(x));
  return f32((x < 0 ? e : 1) / (1 + e));
}

/** exp(x). */
export function exp32(x: number): number {
  return f32(Math.exp(x));
}
