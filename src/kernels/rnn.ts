// The end of a step of an rnn layer, for one row:
//
//   z = (x W_x + h W_h) + b      h' = tanh(z) or max(0, z)
//
// Gates in linear memory: one, z without b, H' floats; they may stand where h' goes. A dense layer with one of these
// activations ends in the same way.
import { RELU } from './layout';
import { tanhF32x4 } from './tanh';

/** Writes h'. `size` is the bytes of a state, a multiple of 32. */
export function finishRnn(activation: u32, gates: usize, b: usize, h: usize, size: usize): void {
  // In each loop both halves are computed before either is stored: only then does V8 join them into 256 bits.
  if (activation == RELU) {
    for (let at: usize = 0; at < size; at += 32) {
      const h0 = f32x4.max(f32x4.splat(0), f32x4.add(v128.load(gates + at, 0), v128.load(b + at, 0)));
      const h1 = f32x4.max(f32x4.splat(0), f32x4.add(v128.load(gates + at, 16), v128.load(b + at, 16)));
      v128.store(h + at, h0, 0);
      v128.store(h + at, h1, 16);
    }
    return;
  }
  for (let at: usize = 0; at < size; at += 32) {
    const h0 = tanhF32x4(f32x4.add(v128.load(gates + at, 0), v128.load(b + at, 0)));
    const h1 = tanhF32x4(f32x4.add(v128.load(gates + at, 16), v128.load(b + at, 16)));
    v128.store(h + at, h0, 0);
    v128.store(h + at, h1, 16);
  }
}
