// One step of a narrow model (layout.ts, NARROW_MAX) for all rows at work: register tiles of two rows
// and eight columns, summed in float64 (build/tiles.ts).
import { narrow1x8, narrow2x8 } from './build/tiles';
import { JOB_B, JOB_D, JOB_H, JOB_W_H, JOB_W_X, NR, PAIR_BYTES } from './layout';

/** Bytes of NR columns of packed float64. */
const PANEL_ROW: usize = NR << 3;

/** `xPairs` lead from x_t to h_t, `hPairs` from h_{t-1} to h_t, `count` of each. */
export function stepNarrow(job: usize, xPairs: usize, hPairs: usize, count: u32): void {
  const D = load<u32>(job, JOB_D);
  const H = load<u32>(job, JOB_H);
  const columnsEnd = <usize>((H + NR - 1) / NR) * (NR << 2);
  let W_x = <usize>load<u32>(job, JOB_W_X);
  let W_h = <usize>load<u32>(job, JOB_W_H);
  let b = <usize>load<u32>(job, JOB_B);
  for (let column: usize = 0; column < columnsEnd; column += NR << 2) {
    let n: u32 = 0;
    for (; n + 2 <= count; n += 2) {
      narrow2x8(xPairs + n * PAIR_BYTES, hPairs + n * PAIR_BYTES, W_x, W_h, b, column, D, H);
    }
    if (n < count) {
      narrow1x8(xPairs + n * PAIR_BYTES, hPairs + n * PAIR_BYTES, W_x, W_h, b, column, D, H);
    }
    W_x += <usize>D * PANEL_ROW;
    W_h += <usize>H * PANEL_ROW;
    b += PANEL_ROW;
  }
}

/** The trace of one row: each product, and z as the step sums it, rounded once each. */
export function traceNarrow(job: usize, x: usize, h: usize, h_W_h: usize, size: usize): void {
  const D = load<u32>(job, JOB_D);
  const H = load<u32>(job, JOB_H);
  const W_x = <usize>load<u32>(job, JOB_W_X);
  const W_h = <usize>load<u32>(job, JOB_W_H);
  const b = <usize>load<u32>(job, JOB_B);
  for (let j: u32 = 0; j < H; j++) {
    const xSum = sumColumn(0, x, D, W_x, j);
    const z = sumColumn(xSum, h, H, W_h, j) + load<f64>(b + (<usize>j << 3));
    const at = h_W_h + (<usize>j << 2);
    store<f32>(at, <f32>sumColumn(0, h, H, W_h, j));
    store<f32>(at + size, <f32>xSum);
    store<f32>(at + 2 * size, <f32>z);
  }
}

/** start + a_0 W[0][j] + a_1 W[1][j] + … */
function sumColumn(start: f64, a: usize, K: u32, W: usize, j: u32): f64 {
  let sum = start;
  let w = W + <usize>(j / NR) * K * PANEL_ROW + (<usize>(j % NR) << 3);
  for (let k: u32 = 0; k < K; k++) {
    sum += <f64>load<f32>(a + (<usize>k << 2)) * load<f64>(w);
    w += PANEL_ROW;
  }
  return sum;
}
