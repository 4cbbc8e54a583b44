// The functions over arrays, for tests: of `count` float32, a multiple of 8, from `source` to `target`.
import { expF32x4 } from './exp';
import { sigmoidF32x4 } from './sigmoid';
import { tanhF32x4 } from './tanh';

// In each loop both halves are computed before either is stored: only then does V8 join them into 256 bits.

export function tanh(source: usize, target: usize, count: u32): void {
  for (const end = source + (<usize>count << 2); source < end; source += 32, target += 32) {
    const y0 = tanhF32x4(v128.load(source, 0));
    const y1 = tanhF32x4(v128.load(source, 16));
    v128.store(target, y0, 0);
    v128.store(target, y1, 16);
  }
}

export function sigmoid(source: usize, target: usize, count: u32): void {
  for (const end = source + (<usize>count << 2); source < end; source += 32, target += 32) {
    const y0 = sigmoidF32x4(v128.load(source, 0));
    const y1 = sigmoidF32x4(v128.load(source, 16));
    v128.store(target, y0, 0);
    v128.store(target, y1, 16);
  }
}

export function exp(source: usize, target: usize, count: u32): void {
  for (const end = source + (<usize>count << 2); source < end; source += 32, target += 32) {
    const y0 = expF32x4(v128.load(source, 0));
    const y1 = expF32x4(v128.load(source, 16));
    v128.store(target, y0, 0);
    v128.store(target, y1, 16);
  }
}
