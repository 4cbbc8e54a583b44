// step1x32 and step1x8: 1 row × 4 panels (32 columns), or × 1 panel (8 columns), of
//
//   h' = tanh((x W_x + h W_h) + b)
//
// For streaming (N = 1) and for the rows that are left over after tiles of four. One row alone has
// no reuse of weights, so its speed is how fast four panels can be read side by side: eight
// independent sums hide the latency of the additions.
//
//   registers   sum = 8 × v128, one broadcast of x or h, one of a panel: 10 of 16
//
// Order and memory as in step-4x8.ts: the same additions in the same order, so the same bits.
import { NR, ROW_H_NEXT, ROW_H_NOW, ROW_X_NOW } from './layout';
import { storeState } from './store-state';

/** One row, four neighbouring panels; `panelSize` is the bytes from one panel to the next. */
export function step1x32(
  row: usize,
  panel: usize,
  panelSize: usize,
  column: usize,
  D: u32,
  H: u32,
): void {
  let p0 = panel;
  let p1 = p0 + panelSize;
  let p2 = p1 + panelSize;
  let p3 = p2 + panelSize;
  let s00 = f32x4.splat(0);
  let s01 = s00;
  let s10 = s00;
  let s11 = s00;
  let s20 = s00;
  let s21 = s00;
  let s30 = s00;
  let s31 = s00;
  const h = <usize>load<u32>(row, ROW_H_NEXT) + column;

  let a = <usize>load<u32>(row, ROW_X_NOW);
  let end = a + (<usize>D << 2);
  for (let pass = 0; pass < 2; pass++) {
    while (a < end) {
      const ak = v128.load32_splat(a);
      s00 = f32x4.add(s00, f32x4.mul(ak, v128.load(p0, 0)));
      s01 = f32x4.add(s01, f32x4.mul(ak, v128.load(p0, 16)));
      s10 = f32x4.add(s10, f32x4.mul(ak, v128.load(p1, 0)));
      s11 = f32x4.add(s11, f32x4.mul(ak, v128.load(p1, 16)));
      s20 = f32x4.add(s20, f32x4.mul(ak, v128.load(p2, 0)));
      s21 = f32x4.add(s21, f32x4.mul(ak, v128.load(p2, 16)));
      s30 = f32x4.add(s30, f32x4.mul(ak, v128.load(p3, 0)));
      s31 = f32x4.add(s31, f32x4.mul(ak, v128.load(p3, 16)));
      p0 += NR << 2;
      p1 += NR << 2;
      p2 += NR << 2;
      p3 += NR << 2;
      a += 4;
    }
    if (pass == 0) {
      v128.store(h, s00, 0);
      v128.store(h, s01, 16);
      v128.store(h, s10, 32);
      v128.store(h, s11, 48);
      v128.store(h, s20, 64);
      v128.store(h, s21, 80);
      v128.store(h, s30, 96);
      v128.store(h, s31, 112);
      s00 = f32x4.splat(0);
      s01 = s00;
      s10 = s00;
      s11 = s00;
      s20 = s00;
      s21 = s00;
      s30 = s00;
      s31 = s00;
      a = <usize>load<u32>(row, ROW_H_NOW);
      end = a + (<usize>H << 2);
    }
  }

  storeState(h, s00, s01, v128.load(p0, 0), v128.load(p0, 16));
  storeState(h + 32, s10, s11, v128.load(p1, 0), v128.load(p1, 16));
  storeState(h + 64, s20, s21, v128.load(p2, 0), v128.load(p2, 16));
  storeState(h + 96, s30, s31, v128.load(p3, 0), v128.load(p3, 16));
}

/** One row, one panel: the columns left over after groups of four panels. */
export function step1x8(row: usize, panel: usize, column: usize, D: u32, H: u32): void {
  let s0 = f32x4.splat(0);
  let s1 = s0;
  const h = <usize>load<u32>(row, ROW_H_NEXT) + column;

  let a = <usize>load<u32>(row, ROW_X_NOW);
  let end = a + (<usize>D << 2);
  for (let pass = 0; pass < 2; pass++) {
    while (a < end) {
      const ak = v128.load32_splat(a);
      s0 = f32x4.add(s0, f32x4.mul(ak, v128.load(panel, 0)));
      s1 = f32x4.add(s1, f32x4.mul(ak, v128.load(panel, 16)));
      panel += NR << 2;
      a += 4;
    }
    if (pass == 0) {
      v128.store(h, s0, 0);
      v128.store(h, s1, 16);
      s0 = f32x4.splat(0);
      s1 = s0;
      a = <usize>load<u32>(row, ROW_H_NOW);
      end = a + (<usize>H << 2);
    }
  }

  storeState(h, s0, s1, v128.load(panel, 0), v128.load(panel, 16));
}
