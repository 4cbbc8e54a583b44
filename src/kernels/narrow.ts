// One step of a narrow model (NARROW_MAX in layout.ts) for all active rows, by register tiles that sum in float64
// (build/tiles.ts). A tile stores its accumulators, at most 256 bytes, and they are rounded to float32 from there: V8
// joins vectors starting from pairs of stores, and it does not join the conversion of float64 to float32.
import { narrow1x16, narrow1x32, narrow1x8, narrow2x16, narrow2x8 } from './build/tiles';
import { tanhRow } from './finish';
import { JOB_B, JOB_D, JOB_H, JOB_W_H, JOB_W_X, NR, PAIR_BYTES, PAIR_TARGET } from './layout';
import { vectorBits } from './vectors';

/** Bytes of NR columns of packed float64. */
const PANEL_ROW: usize = NR << 3;
// Widths of tiles, in bytes of a state.
const WIDTH_8: usize = NR << 2;
const WIDTH_16: usize = 2 * WIDTH_8;
const WIDTH_32: usize = 4 * WIDTH_8;

/** `count` row pairs from x_t to h_t at `xPairs`, and as many from h_{t-1} to h_t, after them, at `hPairs`. */
export function stepNarrow(job: usize, xPairs: usize, hPairs: usize, count: u32): void {
  const D = load<u32>(job, JOB_D);
  const H = load<u32>(job, JOB_H);
  const W_x = <usize>load<u32>(job, JOB_W_X);
  const W_h = <usize>load<u32>(job, JOB_W_H);
  const b = <usize>load<u32>(job, JOB_B);
  const columns = <usize>((H + NR - 1) / NR) * WIDTH_8;
  const sums = (hPairs + count * PAIR_BYTES + 63) & ~63;
  const paired = count & ~1;

  if (paired > 0) {
    for (let column: usize = 0, width: usize = 0; column < columns; column += width) {
      width = widthFor(columns - column, vectorBits == 256 ? WIDTH_16 : WIDTH_8);
      const x = W_x + weightsBefore(column, D);
      const h = W_h + weightsBefore(column, H);
      const from = b + weightsBefore(column, 1);
      for (let at: usize = 0; at < paired * PAIR_BYTES; at += 2 * PAIR_BYTES) {
        const xPair = xPairs + at;
        if (width == WIDTH_16) narrow2x16(xPair, hPairs + at, x, h, from, sums, D, H);
        else narrow2x8(xPair, hPairs + at, x, h, from, sums, D, H);
        roundSums(xPair, column, sums, width);
        roundSums(xPair + PAIR_BYTES, column, sums + 2 * width, width);
      }
    }
  }

  if (paired < count) {
    const xPair = xPairs + paired * PAIR_BYTES;
    const hPair = hPairs + paired * PAIR_BYTES;
    for (let column: usize = 0, width: usize = 0; column < columns; column += width) {
      width = widthFor(columns - column, vectorBits == 256 ? WIDTH_32 : WIDTH_16);
      const x = W_x + weightsBefore(column, D);
      const h = W_h + weightsBefore(column, H);
      const from = b + weightsBefore(column, 1);
      if (width == WIDTH_32) narrow1x32(xPair, hPair, x, h, from, sums, D, H);
      else if (width == WIDTH_16) narrow1x16(xPair, hPair, x, h, from, sums, D, H);
      else narrow1x8(xPair, hPair, x, h, from, sums, D, H);
      roundSums(xPair, column, sums, width);
    }
  }

  for (let n: u32 = 0; n < count; n++) {
    const row = <usize>load<u32>(xPairs + n * PAIR_BYTES, PAIR_TARGET);
    tanhRow(row, row, columns);
  }
}

/** The widest of 32, 16 and 8 columns that exceeds neither `widest` nor the columns that are left. */
// @ts-ignore: decorator
@inline
function widthFor(left: usize, widest: usize): usize {
  if (widest == WIDTH_32 && left >= WIDTH_32) return WIDTH_32;
  return widest >= WIDTH_16 && left >= WIDTH_16 ? WIDTH_16 : WIDTH_8;
}

/** Bytes of packed weights with K rows in the columns before `column`, which is in bytes of a state. */
// @ts-ignore: decorator
@inline
function weightsBefore(column: usize, K: u32): usize {
  return (column << 1) * K;
}

/** Rounds one row's accumulators to z, float32, in the slot of its state. */
// @ts-ignore: decorator
@inline
function roundSums(pair: usize, column: usize, sums: usize, width: usize): void {
  let z = <usize>load<u32>(pair, PAIR_TARGET) + column;
  for (const end = z + width; z < end; z += 16, sums += 32) {
    const low = f32x4.demote_f64x2_zero(v128.load(sums, 0));
    const high = f32x4.demote_f64x2_zero(v128.load(sums, 16));
    v128.store(z, v128.shuffle<f32>(low, high, 0, 1, 4, 5));
  }
}

/** The trace of one row: both products and z, summed as the step sums them and each rounded once. */
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
