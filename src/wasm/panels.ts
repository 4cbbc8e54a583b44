// Packs weights once into the layout the kernels read: panels of NR columns, each one forward stream
//
//   | W_x row 0: NR | … | W_x row D-1: NR | W_h row 0: NR | … | W_h row H-1: NR | b: NR |
//
// so that the order of bytes is the order of additions. Columns beyond H are zeros.
import { NR } from '../kernels/layout.ts';
import type { Weights } from '../tensor.ts';

/** Bytes of the packed weights of a model with D inputs and H hidden units. */
export function panelsBytes(D: number, H: number): number {
  return Math.ceil(H / NR) * (1 + D + H) * NR * Float32Array.BYTES_PER_ELEMENT;
}

/** Writes W_x (D, H), W_h (H, H) and b (H) into `target`, panelsBytes(D, H) / 4 floats. */
export function packPanels({ D, H, W_x, W_h, b }: Weights, target: Float32Array): void {
  target.fill(0);
  let at = 0;
  for (let column = 0; column < H; column += NR) {
    const columns = Math.min(NR, H - column);
    at = packRows(W_x, D, H, column, columns, target, at);
    at = packRows(W_h, H, H, column, columns, target, at);
    at = packRows(b, 1, H, column, columns, target, at);
  }
}

function packRows(
  W: Float32Array,
  rows: number,
  H: number,
  column: number,
  columns: number,
  target: Float32Array,
  start: number,
): number {
  let at = start;
  for (let k = 0; k < rows; k++, at += NR) {
    const source = k * H + column;
    for (let j = 0; j < columns; j++) target[at + j] = W[source + j]!;
  }
  return at;
}
