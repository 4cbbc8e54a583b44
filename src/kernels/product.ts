// The matrix product C += A W over a list of row pairs (row of A, row of C), by register tiles, the micro-kernels of
// build/tiles.ts.
//
// The outer loop is over bands of columns and the inner one over rows, so that the panels of a band stay in the cache
// while all rows use them. Every other product goes through its bands in reverse.
import {
  accumulate1x16,
  accumulate1x32,
  accumulate1x64,
  accumulate1x8,
  accumulate2x16,
  accumulate2x32,
  accumulate3x16,
  accumulate4x16,
  accumulate4x8,
  accumulate5x16,
} from './build/tiles';
import { BLOCK_16_MAX, BLOCK_32_MAX, NR, PAIR_BYTES, WIDE } from './layout';
import { paddedBytes } from './sequence';
import { vectorBits } from './vectors';

// Widths of bands and tiles, in bytes of a row of C.
const WIDTH_8: usize = NR << 2;
const WIDTH_16: usize = WIDE << 2;
const WIDTH_32: usize = 2 * WIDTH_16;
const WIDTH_64: usize = 4 * WIDTH_16;

const CACHE_LINE: usize = 64;

/**
 * From so many bytes of W on, which are in no second-level cache, its bands are read ahead; README.md, "Register tiles", has
 * the reason and the figures. With few rows a band from the third-level cache takes longer to read ahead than it saves.
 */
const READ_AHEAD_BYTES: u64 = 8 * 1024 * 1024;
const READ_AHEAD_ROWS: u32 = 3;
const READ_AHEAD_BYTES_OF_MANY_ROWS: u64 = 3 * 1024 * 1024;
const MANY_ROWS: u32 = 16;

/**
 * Whether the current product goes through its bands from the last to the first. It alternates, so that a product
 * begins with the weights that the one before has read last, which are still cached; README.md, "Register tiles", has
 * the explanation and the figures.
 */
let isBackward: bool = false;

/**
 * a b + c by the operation of all tiles, f32x4.relaxed_madd. The self-test calls it to find out whether this processor
 * and this engine fuse it, that is, round it once.
 */
export function multiplyAdd(a: f32, b: f32, c: f32): f32 {
  return f32x4.extract_lane(f32x4.relaxed_madd(f32x4.splat(a), f32x4.splat(b), f32x4.splat(c)), 0);
}

/** C += A W. W has `K` rows and `columns` columns, packed; all columns of the last panel are computed. */
export function product(pairs: usize, count: u32, W: usize, K: u32, columns: u32): void {
  const size = paddedBytes(columns);
  const band = bandWidth();
  const isAhead = isReadAhead(count, K, size);
  isBackward = !isBackward;
  for (let done: usize = 0, width: usize = 0; done < size; done += width) {
    width = widthAt(done, size, band);
    accumulate(pairs, count, W, K, columnAt(done, size, band), width, isAhead);
  }
}

/** C += X W_x, then C += H W_h, both of `columns` columns, and both for a band of them before the next band. */
export function productsByBand(
  xPairs: usize,
  hPairs: usize,
  count: u32,
  W_x: usize,
  D: u32,
  W_h: usize,
  H: u32,
  columns: u32,
): void {
  const size = paddedBytes(columns);
  const band = bandWidth();
  const isXAhead = isReadAhead(count, D, size);
  const isHAhead = isReadAhead(count, H, size);
  isBackward = !isBackward;
  for (let done: usize = 0, width: usize = 0; done < size; done += width) {
    width = widthAt(done, size, band);
    const column = columnAt(done, size, band);
    accumulate(xPairs, count, W_x, D, column, width, isXAhead);
    accumulate(hPairs, count, W_h, H, column, width, isHAhead);
  }
}

/** Width of a band: that of the widest tile, of eight accumulators for a single row. */
// @ts-ignore: decorator
@inline
function bandWidth(): usize {
  return vectorBits == 256 ? WIDTH_64 : WIDTH_32;
}

/** The trailing columns, fewer than a band, are computed last in both directions: 32, then 16, then 8. */
// @ts-ignore: decorator
@inline
function widthAt(done: usize, size: usize, band: usize): usize {
  const left = size - done;
  if (left >= band) return band;
  if (left >= WIDTH_32) return WIDTH_32;
  return left >= WIDTH_16 ? WIDTH_16 : WIDTH_8;
}

/** Where the band begins that is computed when `done` bytes of columns are. */
// @ts-ignore: decorator
@inline
function columnAt(done: usize, size: usize, band: usize): usize {
  const bandsEnd = size & ~(band - 1);
  return isBackward && done < bandsEnd ? bandsEnd - band - done : done;
}

/** How many values of k a block of a product over K has. */
// @ts-ignore: decorator
@inline
function blockFor(K: u32): u32 {
  if (K <= <u32>BLOCK_16_MAX) return 16;
  return K <= <u32>BLOCK_32_MAX ? 32 : 64;
}

/** Whether the bands of a W of K rows and `size` bytes of columns are read ahead for `count` rows. */
// @ts-ignore: decorator
@inline
function isReadAhead(count: u32, K: u32, size: usize): bool {
  const bytes = <u64>K * <u64>size;
  if (count >= MANY_ROWS) return bytes >= READ_AHEAD_BYTES_OF_MANY_ROWS;
  return count >= READ_AHEAD_ROWS && bytes >= READ_AHEAD_BYTES;
}

/**
 * Loads a word of every cache line of a band, and does nothing with it: the lines of four panels, which are on four pages,
 * are on their way from memory at once, where a tile reads one panel.
 */
function readAhead(panel: usize, stream: usize, width: usize): void {
  if (width != WIDTH_64) {
    for (const end = panel + (width / WIDTH_16) * stream; panel < end; panel += CACHE_LINE) load<u32>(panel);
    return;
  }
  const second = panel + stream;
  for (; panel < second; panel += CACHE_LINE) {
    load<u32>(panel);
    load<u32>(panel + stream);
    load<u32>(panel + 2 * stream);
    load<u32>(panel + 3 * stream);
  }
}

/** C += A W for all rows and the `width` bytes of columns from `column` on. */
function accumulate(
  pairs: usize,
  count: u32,
  W: usize,
  K: u32,
  column: usize,
  width: usize,
  isAhead: bool,
): void {
  const block = blockFor(K);
  const stream = <usize>K * WIDTH_16;
  if (isAhead) readAhead(W + column * K, stream, width);
  if (width == WIDTH_8) {
    accumulatePanel8(pairs, count, W + column * K, stream, column, K, block);
    return;
  }
  const end = column + width;
  const isJoined = vectorBits == 256;
  const fives: u32 = isJoined ? rowsOfFives(count) : 0;
  const left = (count - fives) & (isJoined ? 3 : 1);
  const fivesEnd = pairs + fives * PAIR_BYTES;
  const trailing = pairs + (count - left) * PAIR_BYTES;
  if (trailing > pairs) {
    for (let c = column; c < end; c += WIDTH_16) {
      const panel = W + c * K;
      let pair = pairs;
      for (; pair < fivesEnd; pair += 5 * PAIR_BYTES) accumulate5x16(pair, panel, stream, c, K, block);
      if (isJoined) {
        for (; pair < trailing; pair += 4 * PAIR_BYTES) accumulate4x16(pair, panel, stream, c, K, block);
      } else {
        for (; pair < trailing; pair += 2 * PAIR_BYTES) accumulate2x16(pair, panel, stream, c, K, block);
      }
    }
  }
  if (left > 0) accumulateTrailingRows(trailing, left, W, stream, column, width, K, block);
}

/** How many of `count` rows tiles of five rows compute, so that tiles of four rows compute the others; 0 if they cannot. */
// @ts-ignore: decorator
@inline
function rowsOfFives(count: u32): u32 {
  const others: u32 = 4 * ((5 - (count % 5)) % 5);
  return count >= others ? count - others : 0;
}

/** The one to three trailing rows after those of the batch tiles, or all rows if there are no more. */
// @ts-ignore: decorator
@inline
function accumulateTrailingRows(
  pairs: usize,
  rows: u32,
  W: usize,
  stream: usize,
  column: usize,
  width: usize,
  K: u32,
  block: u32,
): void {
  const panel = W + column * K;
  if (rows == 1) {
    if (width == WIDTH_64) accumulate1x64(pairs, panel, stream, column, K, block);
    else if (width == WIDTH_32) accumulate1x32(pairs, panel, stream, column, K, block);
    else accumulate1x16(pairs, panel, stream, column, K, block);
  } else if (rows == 2 && width == WIDTH_16) {
    accumulate2x16(pairs, panel, stream, column, K, block);
  } else if (rows == 2) {
    for (const end = column + width; column < end; column += WIDTH_32) {
      accumulate2x32(pairs, W + column * K, stream, column, K, block);
    }
  } else {
    for (const end = column + width; column < end; column += WIDTH_16) {
      accumulate3x16(pairs, W + column * K, stream, column, K, block);
    }
  }
}

/** C += A W for all rows and a last panel of 8 columns. */
function accumulatePanel8(
  pairs: usize,
  count: u32,
  panel: usize,
  stream: usize,
  column: usize,
  K: u32,
  block: u32,
): void {
  const end = pairs + count * PAIR_BYTES;
  const trailing = pairs + (count & ~3) * PAIR_BYTES;
  let pair = pairs;
  for (; pair < trailing; pair += 4 * PAIR_BYTES) accumulate4x8(pair, panel, stream, column, K, block);
  for (; pair < end; pair += PAIR_BYTES) accumulate1x8(pair, panel, stream, column, K, block);
}
