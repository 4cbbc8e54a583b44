// trace1x8: the intermediate products of one row and one panel at one step,
//
//   x_W_x = x W_x      h_W_h = h W_h      z = (x_W_x + h_W_h) + b
//
// in the order of additions of the step kernels: they are exactly the numbers that led to the new
// state. Asked for seldom, so it is written to be read, not for speed.
import { NR, ROW_H_NOW, ROW_TRACE_SIZE, ROW_X_NOW } from './layout';

/** `trace` is where this step's h_W_h goes; x_W_x and z follow ROW_TRACE_SIZE bytes apart. */
export function trace1x8(row: usize, panel: usize, trace: usize, D: u32, H: u32): void {
  const size = <usize>load<u32>(row, ROW_TRACE_SIZE);
  const W_x = panel;
  const W_h = W_x + <usize>D * (NR << 2);
  const b = W_h + <usize>H * (NR << 2);
  for (let half: usize = 0; half < <usize>(NR << 2); half += 16) {
    const x_W_x = product(load<u32>(row, ROW_X_NOW), D, W_x + half);
    const h_W_h = product(load<u32>(row, ROW_H_NOW), H, W_h + half);
    const z = f32x4.add(f32x4.add(x_W_x, h_W_h), v128.load(b + half));
    v128.store(trace + half, h_W_h);
    v128.store(trace + half + size, x_W_x);
    v128.store(trace + half + 2 * size, z);
  }
}

/** Four columns of a row vector of K elements times K rows of a panel, summed from 0. */
function product(a: usize, K: u32, panel: usize): v128 {
  let sum = f32x4.splat(0);
  for (let k: u32 = 0; k < K; k++) {
    const term = f32x4.mul(v128.load32_splat(a + (k << 2)), v128.load(panel + k * (NR << 2)));
    sum = f32x4.add(sum, term);
  }
  return sum;
}
