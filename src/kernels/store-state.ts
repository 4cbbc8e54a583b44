// The end of a step for one row and one panel: z = (x W_x + h W_h) + b and h' = tanh(z).
import { tanhF32x4 } from './tanh';

/** `h` holds x W_x and receives h'; (s0, s1) is h W_h, (b0, b1) the bias of the same 8 columns. */
// @ts-ignore: decorator
@inline
export function storeState(h: usize, s0: v128, s1: v128, b0: v128, b1: v128): void {
  const z0 = f32x4.add(f32x4.add(v128.load(h, 0), s0), b0);
  const z1 = f32x4.add(f32x4.add(v128.load(h, 16), s1), b1);
  v128.store(h, tanhF32x4(z0), 0);
  v128.store(h, tanhF32x4(z1), 16);
}
