// Pseudo-random tensors, the same in every run.
import type { Weights } from '../../tensor.ts';

/** `count` numbers within ±scale. */
export function fill(random: () => number, count: number, scale: number): Float32Array {
  return Float32Array.from({ length: count }, () => random() * scale);
}

/** Weights of ±1/√H, as networks are initialised; every number takes float32's 8 to 9 digits. */
export function makeWeights(random: () => number, D: number, H: number): Weights {
  const scale = 1 / Math.sqrt(H);
  const W_x = fill(random, D * H, scale);
  return { D, H, W_x, W_h: fill(random, H * H, scale), b: fill(random, H, scale) };
}
