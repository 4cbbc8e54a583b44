// Affine and dense layers, which compute each row of each step by itself:
//
//   affine   y = x ∘ scale + offset, rounded once
//   dense    y = activation(z), z = x W + b, x W summed in blocks (product.ts); with I <= NARROW_MAX inputs z is
//            summed in float64 and rounded once (narrow.ts)
//
// softmax(z)_j = e_j / Σ e_j with e_j = exp(z_j - max z). Its sum is the only one across columns; its order is fixed:
// s_l is the sum of e_j over j = l mod 8, in ascending order, t_l = s_l + s_{l+4}, and Σ e_j = (t_0 + t_2) + (t_1 + t_3).
import { expF32x4 } from './exp';
import {
  AFFINE,
  LAYER_ACTIVATION,
  LAYER_B,
  LAYER_FINISH_B,
  LAYER_INPUTS,
  LAYER_KIND,
  LAYER_NARROW,
  LAYER_OUTPUTS,
  LAYER_W_X,
  LINEAR,
  PAIR_BYTES,
  PAIR_SOURCE,
  PAIR_TARGET,
  RELU,
  SIGMOID,
  SOFTMAX,
  TANH,
} from './layout';
import { sumNarrow } from './narrow';
import { multiplyAdd, product } from './product';
import { finishRnn } from './rnn';
import { paddedBytes } from './sequence';
import { sigmoidInPlace } from './sigmoid';

/** Computes an affine or dense layer for `count` row pairs (x, y), followed by space for SCRATCH_PAIRS. */
export function computeRows(model: usize, layer: usize, pairs: usize, count: u32): void {
  const end = pairs + count * PAIR_BYTES;
  const W = model + load<usize>(layer, LAYER_W_X);
  const b = model + load<usize>(layer, LAYER_B);
  const finishB = model + load<usize>(layer, LAYER_FINISH_B);
  const inputs = load<u32>(layer, LAYER_INPUTS);
  if (load<u32>(layer, LAYER_KIND) == AFFINE) {
    for (let pair = pairs; pair < end; pair += PAIR_BYTES) {
      scale(load<usize>(pair, PAIR_SOURCE), W, b, load<usize>(pair, PAIR_TARGET), inputs);
    }
    return;
  }
  const outputs = load<u32>(layer, LAYER_OUTPUTS);
  const activation = load<u32>(layer, LAYER_ACTIVATION);
  const size = paddedBytes(outputs);
  if (load<u32>(layer, LAYER_NARROW)) {
    sumNarrow(pairs, pairs, count, W, inputs, W, 0, b, 0, size);
  } else {
    for (let pair = pairs; pair < end; pair += PAIR_BYTES) memory.fill(load<usize>(pair, PAIR_TARGET), 0, size);
    product(pairs, count, W, inputs, outputs);
  }
  if (activation == SOFTMAX) return softmax(pairs, count, finishB, size, outputs);
  for (let pair = pairs; pair < end; pair += PAIR_BYTES) {
    activate(activation, load<usize>(pair, PAIR_TARGET), finishB, size);
  }
}

/** y = x ∘ scale + offset of `count` floats; x is not padded. */
function scale(x: usize, scale: usize, offset: usize, y: usize, count: u32): void {
  const end = x + (<usize>count << 2);
  const vectorsEnd = x + (<usize>(count & ~7) << 2);
  for (; x < vectorsEnd; x += 32, scale += 32, offset += 32, y += 32) {
    const y0 = f32x4.relaxed_madd(v128.load(x, 0), v128.load(scale, 0), v128.load(offset, 0));
    const y1 = f32x4.relaxed_madd(v128.load(x, 16), v128.load(scale, 16), v128.load(offset, 16));
    v128.store(y, y0, 0);
    v128.store(y, y1, 16);
  }
  for (; x < end; x += 4, scale += 4, offset += 4, y += 4) {
    store<f32>(y, multiplyAdd(load<f32>(x), load<f32>(scale), load<f32>(offset)));
  }
}

/** Replaces x W in the `size` bytes of `row` by activation(x W + b). */
function activate(activation: u32, row: usize, b: usize, size: usize): void {
  if (activation == LINEAR) return addBias(row, b, size);
  if (activation == RELU || activation == TANH) return finishRnn(activation, row, b, row, size);
  sigmoidInPlace(row, b, size);
}

function addBias(row: usize, b: usize, size: usize): void {
  for (let at: usize = 0; at < size; at += 32) {
    const z0 = f32x4.add(v128.load(row + at, 0), v128.load(b + at, 0));
    const z1 = f32x4.add(v128.load(row + at, 16), v128.load(b + at, 16));
    v128.store(row + at, z0, 0);
    v128.store(row + at, z1, 16);
  }
}

/**
 * Replaces x W by softmax(x W + b), of all rows in three loops over them: by itself a row would wait for its largest z, and
 * again for its sum.
 */
function softmax(pairs: usize, count: u32, b: usize, size: usize, outputs: u32): void {
  const numbers = pairs + count * PAIR_BYTES;
  for (let i: usize = 0; i < count; i++) {
    store<f32>(numbers + (i << 2), addBiasAndFindLargest(load<usize>(pairs + i * PAIR_BYTES, PAIR_TARGET), b, size, outputs));
  }
  for (let i: usize = 0; i < count; i++) {
    const number = numbers + (i << 2);
    store<f32>(number, exponentiate(load<usize>(pairs + i * PAIR_BYTES, PAIR_TARGET), load<f32>(number), size));
  }
  for (let i: usize = 0; i < count; i++) {
    divide(load<usize>(pairs + i * PAIR_BYTES, PAIR_TARGET), load<f32>(numbers + (i << 2)), size);
  }
}

/** Adds b to a row of x W. Columns beyond the outputs become -Infinity, whose e is 0. @returns the largest z */
function addBiasAndFindLargest(row: usize, b: usize, size: usize, outputs: u32): f32 {
  const end = row + size;
  for (let at = row + (<usize>outputs << 2); at < end; at += 4) store<f32>(at, -Infinity);
  // pmax is one instruction. Unlike max it may lose a NaN or the sign of a zero, which change nothing: e of the column
  // with the NaN is one too, and so are the sum and all y; and exp(0) = exp(-0) = 1.
  let max0 = f32x4.splat(-Infinity);
  let max1 = max0;
  for (let at = row; at < end; at += 32, b += 32) {
    const z0 = f32x4.add(v128.load(at, 0), v128.load(b, 0));
    const z1 = f32x4.add(v128.load(at, 16), v128.load(b, 16));
    max0 = f32x4.pmax(max0, z0);
    max1 = f32x4.pmax(max1, z1);
    v128.store(at, z0, 0);
    v128.store(at, z1, 16);
  }
  return largest(f32x4.pmax(max0, max1));
}

/** Replaces z by e = exp(z - top). @returns the sum of all e */
function exponentiate(row: usize, top: f32, size: usize): f32 {
  const tops = f32x4.splat(top);
  let s0 = f32x4.splat(0);
  let s1 = s0;
  for (const end = row + size; row < end; row += 32) {
    const e0 = expF32x4(f32x4.sub(v128.load(row, 0), tops));
    const e1 = expF32x4(f32x4.sub(v128.load(row, 16), tops));
    s0 = f32x4.add(s0, e0);
    s1 = f32x4.add(s1, e1);
    v128.store(row, e0, 0);
    v128.store(row, e1, 16);
  }
  const t = f32x4.add(s0, s1);
  const u = f32x4.add(t, v128.shuffle<f32>(t, t, 2, 3, 0, 1));
  return f32x4.extract_lane(u, 0) + f32x4.extract_lane(u, 1);
}

function divide(row: usize, sum: f32, size: usize): void {
  const sums = f32x4.splat(sum);
  for (const end = row + size; row < end; row += 32) {
    const y0 = f32x4.div(v128.load(row, 0), sums);
    const y1 = f32x4.div(v128.load(row, 16), sums);
    v128.store(row, y0, 0);
    v128.store(row, y1, 16);
  }
}

/** The largest of four lanes. */
// @ts-ignore: decorator
@inline
function largest(v: v128): f32 {
  const pairs = f32x4.pmax(v, v128.shuffle<f32>(v, v, 2, 3, 0, 1));
  return f32x4.extract_lane(f32x4.pmax(pairs, v128.shuffle<f32>(pairs, pairs, 1, 0, 3, 2)), 0);
}
