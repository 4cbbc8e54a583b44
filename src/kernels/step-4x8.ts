// step4x8: 4 rows × 8 columns of  h' = tanh((x W_x + h W_h) + b)
//
//   panel   | W_x row 0: 8 | … | W_x row D-1: 8 | W_h row 0: 8 | … | W_h row H-1: 8 | b: 8 |
//             0…7            …                                       one forward stream
//
//   registers   sum[row] = 2 × v128 for 4 rows = 8, two of the panel, one broadcast: 11 of 16
//
// Order   x W_x from 0, k = 0…D-1; h W_h from 0, k = 0…H-1; then (x W_x + h W_h) + b. Multiply, then
//         add, each rounded. A lane is a column, so a row's bits do not depend on its neighbours.
// Memory  x and h are read, h' is written; they do not overlap. Each h' row has room for whole panels
//         and holds x W_x while h W_h is summed.
import { NR, ROW_BYTES, ROW_H_NEXT, ROW_H_NOW, ROW_X_NOW } from './layout';
import { storeState } from './store-state';

/** Four consecutive rows, the panel of columns p…p+7; `column` is the byte offset of column p. */
export function step4x8(rows: usize, panel: usize, column: usize, D: u32, H: u32): void {
  const row1 = rows + ROW_BYTES;
  const row2 = row1 + ROW_BYTES;
  const row3 = row2 + ROW_BYTES;

  let s00 = f32x4.splat(0);
  let s01 = s00;
  let s10 = s00;
  let s11 = s00;
  let s20 = s00;
  let s21 = s00;
  let s30 = s00;
  let s31 = s00;
  const h0 = <usize>load<u32>(rows, ROW_H_NEXT) + column;
  const h1 = <usize>load<u32>(row1, ROW_H_NEXT) + column;
  const h2 = <usize>load<u32>(row2, ROW_H_NEXT) + column;
  const h3 = <usize>load<u32>(row3, ROW_H_NEXT) + column;

  let a0 = <usize>load<u32>(rows, ROW_X_NOW);
  let a1 = <usize>load<u32>(row1, ROW_X_NOW);
  let a2 = <usize>load<u32>(row2, ROW_X_NOW);
  let a3 = <usize>load<u32>(row3, ROW_X_NOW);
  let end = a0 + (<usize>D << 2);
  // First pass: a = x against W_x. Second pass: a = h against W_h.
  for (let pass = 0; pass < 2; pass++) {
    while (a0 < end) {
      const w0 = v128.load(panel, 0);
      const w1 = v128.load(panel, 16);
      let a = v128.load32_splat(a0);
      s00 = f32x4.add(s00, f32x4.mul(a, w0));
      s01 = f32x4.add(s01, f32x4.mul(a, w1));
      a = v128.load32_splat(a1);
      s10 = f32x4.add(s10, f32x4.mul(a, w0));
      s11 = f32x4.add(s11, f32x4.mul(a, w1));
      a = v128.load32_splat(a2);
      s20 = f32x4.add(s20, f32x4.mul(a, w0));
      s21 = f32x4.add(s21, f32x4.mul(a, w1));
      a = v128.load32_splat(a3);
      s30 = f32x4.add(s30, f32x4.mul(a, w0));
      s31 = f32x4.add(s31, f32x4.mul(a, w1));
      panel += NR << 2;
      a0 += 4;
      a1 += 4;
      a2 += 4;
      a3 += 4;
    }
    if (pass == 0) {
      v128.store(h0, s00, 0);
      v128.store(h0, s01, 16);
      v128.store(h1, s10, 0);
      v128.store(h1, s11, 16);
      v128.store(h2, s20, 0);
      v128.store(h2, s21, 16);
      v128.store(h3, s30, 0);
      v128.store(h3, s31, 16);
      s00 = f32x4.splat(0);
      s01 = s00;
      s10 = s00;
      s11 = s00;
      s20 = s00;
      s21 = s00;
      s30 = s00;
      s31 = s00;
      a0 = <usize>load<u32>(rows, ROW_H_NOW);
      a1 = <usize>load<u32>(row1, ROW_H_NOW);
      a2 = <usize>load<u32>(row2, ROW_H_NOW);
      a3 = <usize>load<u32>(row3, ROW_H_NOW);
      end = a0 + (<usize>H << 2);
    }
  }

  const b0 = v128.load(panel, 0);
  const b1 = v128.load(panel, 16);
  storeState(h0, s00, s01, b0, b1);
  storeState(h1, s10, s11, b0, b1);
  storeState(h2, s20, s21, b0, b1);
  storeState(h3, s30, s31, b0, b1);
}
