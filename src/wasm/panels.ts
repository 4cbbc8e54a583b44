// Packs matrices into panels, as the kernels read them (kernels/README.md): each panel has some columns, row after row.
//
//   panel 0 | panel 1 | …          panel: row 0 | row 1 | … | row K-1
//
// Columns come in groups, the gates of a cell, each padded with zeros to a multiple of NR. Matrices of narrow layers
// (NARROW_MAX) are packed as float64 in panels of NR columns, others as float32 in panels of WIDE columns, of which the
// last has NR if that is enough.
import { NARROW_MAX, NR, WIDE } from '../kernels/layout.ts';

type Panels = Float32Array | Float64Array;

/** Whether a layer is narrow, whose sums have this many products, D + H or I: the kernels sum it in float64. */
export function isNarrow(products: number): boolean {
  return products <= NARROW_MAX;
}

/** Columns padded to whole vectors. */
export function padded(columns: number): number {
  return Math.ceil(columns / NR) * NR;
}

/** A matrix to be packed: K rows of groups of columns. */
export interface PanelSource {
  readonly W: Float32Array;
  /** Rows. */
  readonly K: number;
  /** Columns of a group. */
  readonly columns: number;
  /** Groups in a row of W. */
  readonly groups: number;
  /** The packed groups by their index in W, in the order in which they are packed. */
  readonly order: readonly number[];
}

/** Packs a matrix; yields after about `numbersMax` numbers, so that a caller may do it in slices. */
export function* packPanels(source: PanelSource, target: Panels, numbersMax = Infinity): Generator<void> {
  const { W, K, columns, groups, order } = source;
  const widest = target instanceof Float64Array ? NR : WIDE;
  const rowNumbers = groups * columns;
  const groupColumns = padded(columns);
  const allColumns = order.length * groupColumns;
  target.fill(0);
  let numbers = 0;
  for (const [place, group] of order.entries()) {
    // NR columns at a time: a panel begins at a multiple of them.
    for (let j = 0; j < columns; j += NR) {
      const count = Math.min(NR, columns - j);
      const column = place * groupColumns + j;
      const panel = Math.floor(column / widest) * widest;
      const width = Math.min(widest, allColumns - panel);
      let from = group * columns + j;
      let to = panel * K + (column - panel);
      for (let k = 0; k < K; k++, from += rowNumbers, to += width) {
        for (let i = 0; i < count; i++) target[to + i] = W[from + i]!;
      }
      numbers += K * count;
      if (numbers < numbersMax) continue;
      numbers = 0;
      yield;
    }
  }
}
