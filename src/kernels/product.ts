// C += A W over a list of (row of A, row of C) pairs, cut into register tiles (build/tiles.ts).
//
// Panels are the outer loop and rows the inner one: the panel of a tile (64 K bytes) stays in a cache
// while all rows pass over it.
import {
  accumulate1x16,
  accumulate1x32,
  accumulate1x64,
  accumulate1x8,
  accumulate2x16,
  accumulate4x16,
  accumulate4x8,
} from './build/tiles';
import { LONG_BLOCK, NR, PAIR_BYTES, SHORT_BLOCK, SHORT_MAX, WIDE } from './layout';

const PANEL_ROW: usize = NR << 2;
const WIDE_ROW: usize = WIDE << 2;

/**
 * Up to here one row takes 64 columns at a time, where 16 sums of 128 bits are 8 of 256: the processor then
 * waits less for weights from the second-level cache (4 to 9 % at K = 64 and 256, -2 % at 128). The four
 * streams of longer panels are slower than two.
 */
const ONE_ROW_64_MAX: u32 = 256;

let tileRows: u32 = 2;

/**
 * Rows of the batch tile: 4 where the engine joins two vectors into one of 256 bits, 2 where it does
 * not, as 16 sums would not fit its registers then. The bits are the same.
 */
export function useTile(rows: u32): void {
  tileRows = rows;
}

/** `K` rows of W, `H` columns, of which whole panels are computed. */
export function product(pairs: usize, count: u32, weights: usize, K: u32, H: u32): void {
  const block: u32 = K <= <u32>SHORT_MAX ? SHORT_BLOCK : LONG_BLOCK;
  const columnsEnd = <usize>((H + NR - 1) / NR) * PANEL_ROW;
  const wideSize = <usize>K * WIDE_ROW;
  const end = pairs + count * PAIR_BYTES;
  const tilesEnd = pairs + (count & ~3) * PAIR_BYTES;

  if (tilesEnd > pairs) {
    let at = weights;
    let column: usize = 0;
    for (; column + WIDE_ROW <= columnsEnd; column += WIDE_ROW) {
      if (tileRows == 4) {
        for (let pair = pairs; pair < tilesEnd; pair += 4 * PAIR_BYTES) {
          accumulate4x16(pair, at, wideSize, column, K, block);
        }
      } else {
        for (let pair = pairs; pair < tilesEnd; pair += 2 * PAIR_BYTES) {
          accumulate2x16(pair, at, wideSize, column, K, block);
        }
      }
      at += wideSize;
    }
    if (column < columnsEnd) {
      for (let pair = pairs; pair < tilesEnd; pair += 4 * PAIR_BYTES) {
        accumulate4x8(pair, at, wideSize, column, K, block);
      }
    }
  }

  for (let pair = tilesEnd; pair < end; pair += PAIR_BYTES) {
    let at = weights;
    let column: usize = 0;
    if (tileRows == 4 && K <= ONE_ROW_64_MAX) {
      for (; column + 4 * WIDE_ROW <= columnsEnd; column += 4 * WIDE_ROW) {
        accumulate1x64(pair, at, wideSize, column, K, block);
        at += 4 * wideSize;
      }
    }
    for (; column + 2 * WIDE_ROW <= columnsEnd; column += 2 * WIDE_ROW) {
      accumulate1x32(pair, at, wideSize, column, K, block);
      at += 2 * wideSize;
    }
    if (column + WIDE_ROW <= columnsEnd) {
      accumulate1x16(pair, at, wideSize, column, K, block);
      at += wideSize;
      column += WIDE_ROW;
    }
    if (column < columnsEnd) accumulate1x8(pair, at, wideSize, column, K, block);
  }
}
