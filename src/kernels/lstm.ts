// The end of a step of an lstm layer, for one row:
//
//   i = σ(z_i), f = σ(z_f), g = tanh(z_g), o = σ(z_o), c' = i ∘ g + f ∘ c, h' = o ∘ tanh(c')
//
// f ∘ c is rounded, and so is the sum with i ∘ g, once.
// Gates in linear memory, H' floats each: i, f, g, o; z without b. i, f and o replace their z.
//
// In one loop over all of it the processor would wait: the last function of a unit needs the result of all others, and
// only the instructions of a unit or two are in its sight at once. Each of these loops has one function, or none that
// needs another one's result.
import { sigmoidInPlace } from './sigmoid';
import { tanhF32x4 } from './tanh';

/** Replaces c by c' and writes h'. `size` is the bytes of a state, a multiple of 32. */
export function finishLstm(gates: usize, b: usize, c: usize, h: usize, size: usize): void {
  sigmoidInPlace(gates, b, 2 * size);
  sigmoidInPlace(gates + 3 * size, b + 3 * size, size);
  computeCellState(gates, b + 2 * size, c, size);
  computeState(gates + 3 * size, c, h, size);
}

/** c' = i ∘ g + f ∘ c with g = tanh(z_g + b). */
function computeCellState(gates: usize, b: usize, c: usize, size: usize): void {
  for (const end = gates + size; gates < end; gates += 32, b += 32, c += 32) {
    const f = gates + size;
    const z = f + size;
    const g0 = tanhF32x4(f32x4.add(v128.load(z, 0), v128.load(b, 0)));
    const g1 = tanhF32x4(f32x4.add(v128.load(z, 16), v128.load(b, 16)));
    const c0 = f32x4.relaxed_madd(v128.load(gates, 0), g0, f32x4.mul(v128.load(f, 0), v128.load(c, 0)));
    const c1 = f32x4.relaxed_madd(v128.load(gates, 16), g1, f32x4.mul(v128.load(f, 16), v128.load(c, 16)));
    v128.store(c, c0, 0);
    v128.store(c, c1, 16);
  }
}

/** h' = o ∘ tanh(c'). */
function computeState(o: usize, c: usize, h: usize, size: usize): void {
  for (const end = o + size; o < end; o += 32, c += 32, h += 32) {
    const h0 = f32x4.mul(v128.load(o, 0), tanhF32x4(v128.load(c, 0)));
    const h1 = f32x4.mul(v128.load(o, 16), tanhF32x4(v128.load(c, 16)));
    v128.store(h, h0, 0);
    v128.store(h, h1, 16);
  }
}
