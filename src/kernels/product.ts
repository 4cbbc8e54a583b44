// C += A W over a list of (row of A, row of C) pairs, cut into register tiles (build/tiles.ts).
//
// Bands of columns are the outer loop and rows the inner one: the panels of a band stay in a cache while
// all rows pass over them. The bands are gone through forwards and backwards in turn.
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
} from './build/tiles';
import { LONG_BLOCK, NR, PAIR_BYTES, SHORT_BLOCK, SHORT_MAX, WIDE } from './layout';
import { vectorBits } from './vectors';

// Widths are in bytes of a row of C.
const WIDTH_8: usize = NR << 2;
const WIDTH_16: usize = WIDE << 2;
const WIDTH_32: usize = 2 * WIDTH_16;
const WIDTH_64: usize = 4 * WIDTH_16;

/**
 * Up to here one row takes 64 columns at a time, where 16 sums of 128 bits are 8 of 256: the processor then
 * waits less for weights from the second-level cache (4 to 9 % at K = 64 and 256, -2 % at 128). Four
 * streams of longer panels were slower than two on one processor, up to 3 % faster on another.
 */
const BAND_64_MAX: u32 = 256;

/**
 * Whether the bands are gone through from the last to the first. Few rows take each weight from a cache
 * once and leave nothing to do meanwhile. Of weights that do not quite fit a cache, the next pass would
 * find none if it came the same way: the first ones were given up for the last. Coming back, it finds
 * the last ones.
 */
let isBackward: bool = false;

/** C += A W: `K` rows of W, `H` columns, of which whole panels are computed. */
export function product(pairs: usize, count: u32, W: usize, K: u32, H: u32): void {
  const columns = columnsOf(H);
  const band = bandFor(K);
  isBackward = !isBackward;
  for (let done: usize = 0, width: usize = 0; done < columns; done += width) {
    width = widthAt(done, columns, band);
    accumulate(pairs, count, W, K, columnAt(done, columns, band), width);
  }
}

/** C += X W_x, then C += H W_h, band by band. */
export function products(
  xPairs: usize,
  hPairs: usize,
  count: u32,
  W_x: usize,
  D: u32,
  W_h: usize,
  H: u32,
): void {
  const columns = columnsOf(H);
  const band = bandFor(D > H ? D : H);
  isBackward = !isBackward;
  for (let done: usize = 0, width: usize = 0; done < columns; done += width) {
    width = widthAt(done, columns, band);
    const column = columnAt(done, columns, band);
    accumulate(xPairs, count, W_x, D, column, width);
    accumulate(hPairs, count, W_h, H, column, width);
  }
}

// @ts-ignore: decorator
@inline
function columnsOf(H: u32): usize {
  return <usize>((H + NR - 1) / NR) * WIDTH_8;
}

// @ts-ignore: decorator
@inline
function bandFor(K: u32): usize {
  return vectorBits == 256 && K <= BAND_64_MAX ? WIDTH_64 : WIDTH_32;
}

/** Columns that are left over when no whole band is, fewer and fewer, come last both ways. */
// @ts-ignore: decorator
@inline
function widthAt(done: usize, columns: usize, band: usize): usize {
  const left = columns - done;
  if (left >= band) return band;
  if (left >= WIDTH_32) return WIDTH_32;
  return left >= WIDTH_16 ? WIDTH_16 : WIDTH_8;
}

// @ts-ignore: decorator
@inline
function columnAt(done: usize, columns: usize, band: usize): usize {
  const bandsEnd = columns & ~(band - 1);
  return isBackward && done < bandsEnd ? bandsEnd - band - done : done;
}

/** `width` columns of all rows. */
function accumulate(
  pairs: usize,
  count: u32,
  W: usize,
  K: u32,
  column: usize,
  width: usize,
): void {
  const block: u32 = K <= <u32>SHORT_MAX ? SHORT_BLOCK : LONG_BLOCK;
  const stream = <usize>K * WIDTH_16;
  if (width == WIDTH_8) {
    accumulate8(pairs, count, W + column * K, stream, column, K, block);
    return;
  }
  const end = column + width;
  const tileRows: u32 = vectorBits == 256 ? 4 : 2;
  const rest = pairs + (count & ~(tileRows - 1)) * PAIR_BYTES;
  if (rest > pairs) {
    for (let c = column; c < end; c += WIDTH_16) {
      const panel = W + c * K;
      if (tileRows == 4) {
        for (let pair = pairs; pair < rest; pair += 4 * PAIR_BYTES) {
          accumulate4x16(pair, panel, stream, c, K, block);
        }
      } else {
        for (let pair = pairs; pair < rest; pair += 2 * PAIR_BYTES) {
          accumulate2x16(pair, panel, stream, c, K, block);
        }
      }
    }
  }
  const left = count & (tileRows - 1);
  if (left > 0) accumulateRest(rest, left, W, stream, column, width, K, block);
}

/** One to three rows that batch tiles leave over, or that are all there are. */
// @ts-ignore: decorator
@inline
function accumulateRest(
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

/** A last panel of 8 columns. */
function accumulate8(
  pairs: usize,
  count: u32,
  panel: usize,
  stream: usize,
  column: usize,
  K: u32,
  block: u32,
): void {
  const end = pairs + count * PAIR_BYTES;
  const rest = pairs + (count & ~3) * PAIR_BYTES;
  let pair = pairs;
  for (; pair < rest; pair += 4 * PAIR_BYTES) accumulate4x8(pair, panel, stream, column, K, block);
  for (; pair < end; pair += PAIR_BYTES) accumulate1x8(pair, panel, stream, column, K, block);
}
