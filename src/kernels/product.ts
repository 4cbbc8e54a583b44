// C += A W over a list of (row of A, row of C) pairs, cut into register tiles (build/tiles.ts).
//
// Panels are the outer loop and rows the inner one: the panels of a tile (at most a few tens of KiB)
// stay in the first-level cache while all rows pass over them.
import {
  accumulate1x32,
  accumulate1x8,
  accumulate4x16,
  accumulate4x8,
} from './build/tiles';
import { LONG_BLOCK, NR, PAIR_BYTES, SHORT_BLOCK, SHORT_MAX } from './layout';

let tile: u32 = NR;

/**
 * Which of the batch tiles to use: 16 columns where the engine joins two vectors into one of 256
 * bits, 8 where it does not, as 16 sums would not fit its registers then. The bits are the same.
 */
export function useTile(columns: u32): void {
  tile = columns;
}

/** `K` rows of W, `H` columns, of which whole panels are computed. */
export function product(pairs: usize, count: u32, panels: usize, K: u32, H: u32): void {
  const panelSize = <usize>K * (NR << 2);
  const block: u32 = K <= <u32>SHORT_MAX ? SHORT_BLOCK : LONG_BLOCK;
  const columnsEnd = <usize>((H + NR - 1) / NR) * (NR << 2);
  const end = pairs + count * PAIR_BYTES;
  const tilesEnd = pairs + (count & ~3) * PAIR_BYTES;

  let panel = panels;
  let column: usize = 0;
  if (tilesEnd > pairs) {
    if (tile == 2 * NR) {
      for (; column + 2 * (NR << 2) <= columnsEnd; column += 2 * (NR << 2)) {
        for (let pair = pairs; pair < tilesEnd; pair += 4 * PAIR_BYTES) {
          accumulate4x16(pair, panel, panelSize, column, K, block);
        }
        panel += 2 * panelSize;
      }
    }
    for (; column < columnsEnd; column += NR << 2) {
      for (let pair = pairs; pair < tilesEnd; pair += 4 * PAIR_BYTES) {
        accumulate4x8(pair, panel, panelSize, column, K, block);
      }
      panel += panelSize;
    }
  }

  for (let pair = tilesEnd; pair < end; pair += PAIR_BYTES) {
    panel = panels;
    column = 0;
    for (; column + 4 * (NR << 2) <= columnsEnd; column += 4 * (NR << 2)) {
      accumulate1x32(pair, panel, panelSize, column, K, block);
      panel += 4 * panelSize;
    }
    for (; column < columnsEnd; column += NR << 2) {
      accumulate1x8(pair, panel, panelSize, column, K, block);
      panel += panelSize;
    }
  }
}
