// The functions over arrays, for tests.
import { tanhF32x4 } from './tanh';

/** tanh of `count` float32, a multiple of 8, from `source` to `target`. */
export function tanh(source: usize, target: usize, count: u32): void {
  for (const end = source + (<usize>count << 2); source < end; source += 32, target += 32) {
    // Both are computed before either is stored: only then does V8 join them into one vector of 256 bits.
    const y0 = tanhF32x4(v128.load(source, 0));
    const y1 = tanhF32x4(v128.load(source, 16));
    v128.store(target, y0, 0);
    v128.store(target, y1, 16);
  }
}
