// The end of a step of a gru layer, for one row. With reset after:
//
//   r = σ(z_r), z = σ(z_z), n = tanh((x W_xn + b_n) + r ∘ (h W_hn + b_hn)), h' = z ∘ h + (1 - z) ∘ n
//
// Gates in linear memory, H' floats each: n of x, r, z, n of h; without their biases. The products of x and of h have
// three gates each, and r and z of both are summed in place:
//
//   x W_x    | n | r | z |
//   h W_h        | r | z | n |
//
// With reset before, r is needed before the product of n:
//
//   r = σ(z_r), z = σ(z_z), n = tanh((x W_xn + (r ∘ h) W_hn) + b_n), h' = z ∘ h + (1 - z) ∘ n
//
// Gates: r, z, n. r ∘ h replaces r, and is the source of the product (r ∘ h) W_hn.
import { sigmoidF32x4, sigmoidInPlace } from './sigmoid';
import { tanhF32x4 } from './tanh';

/** h' = z ∘ h + (1 - z) ∘ n: 1 - z and its product are rounded, and so is the sum with z ∘ h, once. */
// @ts-ignore: decorator
@inline
function blend(z: v128, h: v128, n: v128): v128 {
  return f32x4.relaxed_madd(z, h, f32x4.mul(f32x4.sub(f32x4.splat(1), z), n));
}

// @ts-ignore: decorator
@inline
function sum(gates: usize, b: usize, offset: usize): v128 {
  return f32x4.add(v128.load(gates + offset), v128.load(b + offset));
}

/** Writes h' of a gru with reset after. `size` is the bytes of a state, a multiple of 32. r and z replace their sums. */
export function finishGruAfter(gates: usize, b: usize, before: usize, h: usize, size: usize): void {
  sigmoidInPlace(gates + size, b + size, 2 * size);
  for (const end = gates + size; gates < end; gates += 32, b += 32, before += 32, h += 32) {
    const r = gates + size;
    const z = r + size;
    const n0 = tanhF32x4(f32x4.relaxed_madd(v128.load(r, 0), sum(gates, b, 3 * size), sum(gates, b, 0)));
    const n1 = tanhF32x4(f32x4.relaxed_madd(v128.load(r, 16), sum(gates, b, 3 * size + 16), sum(gates, b, 16)));
    const h0 = blend(v128.load(z, 0), v128.load(before, 0), n0);
    const h1 = blend(v128.load(z, 16), v128.load(before, 16), n1);
    v128.store(h, h0, 0);
    v128.store(h, h1, 16);
  }
}

/** Replaces r by r ∘ h, of a gru with reset before. */
export function resetState(gates: usize, b: usize, before: usize, size: usize): void {
  for (let at: usize = 0; at < size; at += 32) {
    const r0 = sigmoidF32x4(sum(gates, b, at));
    const r1 = sigmoidF32x4(sum(gates, b, at + 16));
    const h0 = f32x4.mul(r0, v128.load(before + at, 0));
    const h1 = f32x4.mul(r1, v128.load(before + at, 16));
    v128.store(gates + at, h0, 0);
    v128.store(gates + at, h1, 16);
  }
}

/** Writes h' of a gru with reset before, when the products of all gates are there. */
export function finishGruBefore(gates: usize, b: usize, before: usize, h: usize, size: usize): void {
  for (const end = gates + size; gates < end; ) {
    const z0 = sigmoidF32x4(sum(gates, b, size));
    const z1 = sigmoidF32x4(sum(gates, b, size + 16));
    const n0 = tanhF32x4(sum(gates, b, 2 * size));
    const n1 = tanhF32x4(sum(gates, b, 2 * size + 16));
    const h0 = blend(z0, v128.load(before, 0), n0);
    const h1 = blend(z1, v128.load(before, 16), n1);
    v128.store(h, h0, 0);
    v128.store(h, h1, 16);
    gates += 32;
    b += 32;
    before += 32;
    h += 32;
  }
}
