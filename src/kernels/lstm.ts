// The end of a step of an lstm layer, for one row:
//
//   i = σ(z_i), f = σ(z_f), g = tanh(z_g), o = σ(z_o), c' = i ∘ g + f ∘ c, h' = o ∘ tanh(c')
//
// f ∘ c is rounded, and so is the sum with i ∘ g, once.
// Gates in linear memory, H' floats each: i, f, g, o; z without b.
import { sigmoidF32x4 } from './sigmoid';
import { tanhF32x4 } from './tanh';

// @ts-ignore: decorator
@inline
function sum(gates: usize, b: usize, offset: usize): v128 {
  return f32x4.add(v128.load(gates + offset), v128.load(b + offset));
}

/** Replaces c by c' and writes h'. `size` is the bytes of a state, a multiple of 32. */
export function finishLstm(gates: usize, b: usize, c: usize, h: usize, size: usize): void {
  for (const end = gates + size; gates < end; ) {
    const i0 = sigmoidF32x4(sum(gates, b, 0));
    const i1 = sigmoidF32x4(sum(gates, b, 16));
    const f0 = sigmoidF32x4(sum(gates, b, size));
    const f1 = sigmoidF32x4(sum(gates, b, size + 16));
    const g0 = tanhF32x4(sum(gates, b, 2 * size));
    const g1 = tanhF32x4(sum(gates, b, 2 * size + 16));
    const o0 = sigmoidF32x4(sum(gates, b, 3 * size));
    const o1 = sigmoidF32x4(sum(gates, b, 3 * size + 16));
    const c0 = f32x4.relaxed_madd(i0, g0, f32x4.mul(f0, v128.load(c, 0)));
    const c1 = f32x4.relaxed_madd(i1, g1, f32x4.mul(f1, v128.load(c, 16)));
    const h0 = f32x4.mul(o0, tanhF32x4(c0));
    const h1 = f32x4.mul(o1, tanhF32x4(c1));
    v128.store(c, c0, 0);
    v128.store(c, c1, 16);
    v128.store(h, h0, 0);
    v128.store(h, h1, 16);
    gates += 32;
    b += 32;
    c += 32;
    h += 32;
  }
}
