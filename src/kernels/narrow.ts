// The sums of a narrow layer (NARROW_MAX in layout.ts) for all active rows, by register tiles that sum in float64
// (build/tiles.ts). A tile stores its accumulators, at most 256 bytes, and they are rounded to float32 from there: V8
// joins vectors starting from pairs of stores, and it does not join the conversion of float64 to float32.
import { narrow1x16, narrow1x32, narrow1x8, narrow2x16, narrow2x8 } from './build/tiles';
import { NR, PAIR_BYTES, PAIR_TARGET } from './layout';
import { vectorBits } from './vectors';

/** Bytes of NR columns of packed float64. */
const PANEL_ROW: usize = NR << 3;
// Widths of tiles, in bytes of float32.
const WIDTH_8: usize = NR << 2;
const WIDTH_16: usize = 2 * WIDTH_8;
const WIDTH_32: usize = 4 * WIDTH_8;

/**
 * Writes z = (x W_x + h W_h) + b, rounded once, for `count` rows.
 *
 * @param xPairs row pairs from x to the gates · @param hPairs as many from h, after them, followed by SCRATCH_PAIRS
 * @param size bytes of float32 of the columns, a multiple of 32 · @param at the first one's place in the gates, in bytes
 */
export function sumNarrow(
  xPairs: usize,
  hPairs: usize,
  count: u32,
  W_x: usize,
  D: u32,
  W_h: usize,
  H: u32,
  b: usize,
  at: usize,
  size: usize,
): void {
  const sums = (hPairs + count * PAIR_BYTES + 63) & ~63;
  const paired = count & ~1;

  if (paired > 0) {
    for (let column: usize = 0, width: usize = 0; column < size; column += width) {
      width = widthFor(size - column, vectorBits == 256 ? WIDTH_16 : WIDTH_8);
      const x = W_x + narrowWeightsBefore(column, D);
      const h = W_h + narrowWeightsBefore(column, H);
      const from = b + narrowWeightsBefore(column, 1);
      for (let pair: usize = 0; pair < paired * PAIR_BYTES; pair += 2 * PAIR_BYTES) {
        const xPair = xPairs + pair;
        if (width == WIDTH_16) narrow2x16(xPair, hPairs + pair, x, h, from, sums, D, H);
        else narrow2x8(xPair, hPairs + pair, x, h, from, sums, D, H);
        roundSums(xPair, at + column, sums, width);
        roundSums(xPair + PAIR_BYTES, at + column, sums + 2 * width, width);
      }
    }
  }

  if (paired < count) {
    const xPair = xPairs + paired * PAIR_BYTES;
    const hPair = hPairs + paired * PAIR_BYTES;
    for (let column: usize = 0, width: usize = 0; column < size; column += width) {
      width = widthFor(size - column, vectorBits == 256 ? WIDTH_32 : WIDTH_16);
      const x = W_x + narrowWeightsBefore(column, D);
      const h = W_h + narrowWeightsBefore(column, H);
      const from = b + narrowWeightsBefore(column, 1);
      if (width == WIDTH_32) narrow1x32(xPair, hPair, x, h, from, sums, D, H);
      else if (width == WIDTH_16) narrow1x16(xPair, hPair, x, h, from, sums, D, H);
      else narrow1x8(xPair, hPair, x, h, from, sums, D, H);
      roundSums(xPair, at + column, sums, width);
    }
  }
}

/** The widest of 32, 16 and 8 columns that exceeds neither `widest` nor the columns that are left. */
// @ts-ignore: decorator
@inline
function widthFor(left: usize, widest: usize): usize {
  if (widest == WIDTH_32 && left >= WIDTH_32) return WIDTH_32;
  return widest >= WIDTH_16 && left >= WIDTH_16 ? WIDTH_16 : WIDTH_8;
}

/** Bytes of packed weights with K rows in the columns before `column`, which is in bytes of float32. */
// @ts-ignore: decorator
@inline
export function narrowWeightsBefore(column: usize, K: u32): usize {
  return (column << 1) * K;
}

/** Rounds one row's accumulators to z, float32, in the gates. */
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

/** Products and z of a narrow layer for one row and `columns` columns, summed as by sumNarrow, each rounded once. */
export function traceNarrow(
  x: usize,
  h: usize,
  W_x: usize,
  D: u32,
  W_h: usize,
  H: u32,
  b: usize,
  columns: u32,
  h_W_h: usize,
  x_W_x: usize,
  z: usize,
): void {
  for (let j: u32 = 0; j < columns; j++) {
    const at = <usize>j << 2;
    const xSum = sumColumn(0, x, D, W_x, j);
    store<f32>(h_W_h + at, <f32>sumColumn(0, h, H, W_h, j));
    store<f32>(x_W_x + at, <f32>xSum);
    store<f32>(z + at, <f32>(sumColumn(xSum, h, H, W_h, j) + load<f64>(b + (<usize>j << 3))));
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
