// The activation of a step for one row: h' = tanh(z), z = (x W_x + h W_h) + b. Narrow models have summed b already.
import { tanhF32x4 } from './tanh';

/** Replaces the x W_x + h W_h in `row` by h'. `size` is the row's bytes, a multiple of 32. */
export function addBiasAndTanh(row: usize, b: usize, size: usize): void {
  const end = row + size;
  while (row < end) {
    // Both are computed before either is stored: only then does V8 join them into one vector of 256 bits.
    const h0 = tanhF32x4(f32x4.add(v128.load(row, 0), v128.load(b, 0)));
    const h1 = tanhF32x4(f32x4.add(v128.load(row, 16), v128.load(b, 16)));
    v128.store(row, h0, 0);
    v128.store(row, h1, 16);
    row += 32;
    b += 32;
  }
}

/** h' = tanh(z) from `source` to `target`, which may be the same. `size` is the row's bytes, a multiple of 32. */
export function tanhRow(source: usize, target: usize, size: usize): void {
  for (let at: usize = 0; at < size; at += 32) {
    const h0 = tanhF32x4(v128.load(source + at, 0));
    const h1 = tanhF32x4(v128.load(source + at, 16));
    v128.store(target + at, h0, 0);
    v128.store(target + at, h1, 16);
  }
}
