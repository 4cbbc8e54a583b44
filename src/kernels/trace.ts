// Traces: the intermediate values of one row at one step, if they are requested. They are computed by the same
// operations as the step itself, so z has exactly the bits from which the new state comes. A trace is seldom requested:
// the code is simple rather than fast.
//
//   gates      z of each gate, then the gates themselves, in torch's order: rnn h; gru r, z, n; lstm i, f, g, o
//   products   of an rnn: h W_h, x W_x, z = (x W_x + h W_h) + b
import {
  GRU_AFTER,
  GRU_BEFORE,
  JOB_MODEL,
  JOB_PAIRS,
  LAYER_ACTIVATION,
  LAYER_B,
  LAYER_FINISH_B,
  LAYER_INPUTS,
  LAYER_KIND,
  LAYER_NARROW,
  LAYER_OUTPUTS,
  LAYER_W_H,
  LAYER_W_X,
  LSTM,
  PAIR_SOURCE,
  PAIR_TARGET,
  RELU,
  RNN,
  RUN_GATES,
  RUN_PRODUCTS,
  RUN_PRODUCTS_SIZE,
  RUN_TRACE,
} from './layout';
import { traceNarrow } from './narrow';
import { product } from './product';
import { paddedBytes, vectorAt } from './sequence';
import { sigmoidF32x4 } from './sigmoid';
import { tanhF32x4 } from './tanh';

/** Writes z and the values of all gates, before the gates are finished. r of a gru with reset before is there already. */
export function traceGates(model: usize, layer: usize, run: usize, n: u32, t: u32): void {
  const kind = load<u32>(layer, LAYER_KIND);
  const size = paddedBytes(load<u32>(layer, LAYER_OUTPUTS));
  const b = model + load<usize>(layer, LAYER_FINISH_B);
  const gates = vectorAt(run + RUN_GATES, n, t);
  const z = vectorAt(run + RUN_TRACE, n, t);
  if (kind == RNN) {
    addRows(gates, b, z, size);
    if (load<u32>(layer, LAYER_ACTIVATION) == RELU) reluRow(z, z + size, size);
    else tanhRow(z, z + size, size);
  } else if (kind == LSTM) {
    addRows(gates, b, z, 4 * size);
    const values = z + 4 * size;
    sigmoidRow(z, values, 2 * size);
    tanhRow(z + 2 * size, values + 2 * size, size);
    sigmoidRow(z + 3 * size, values + 3 * size, size);
  } else {
    const values = z + 3 * size;
    if (kind == GRU_AFTER) {
      addRows(gates + size, b + size, z, 2 * size);
      sigmoidRow(z, values, size);
      addScaled(gates, b, values, gates + 3 * size, b + 3 * size, z + 2 * size, size);
    } else {
      addRows(gates + size, b + size, z + size, 2 * size);
      sigmoidRow(z, values, size);
    }
    sigmoidRow(z + size, values + size, size);
    tanhRow(z + 2 * size, values + 2 * size, size);
  }
}

/** Writes z of r, of a gru with reset before, whose place in the gates is needed for r ∘ h. */
export function traceReset(run: usize, n: u32, t: u32, gates: usize, b: usize, size: usize): void {
  addRows(gates, b, vectorAt(run + RUN_TRACE, n, t), size);
}

/** Writes h W_h, x W_x and z of an rnn, RUN_PRODUCTS_SIZE bytes apart. */
export function traceProducts(job: usize, layer: usize, run: usize, n: u32, t: u32, x: usize, h: usize): void {
  const model = load<usize>(job, JOB_MODEL);
  const D = load<u32>(layer, LAYER_INPUTS);
  const H = load<u32>(layer, LAYER_OUTPUTS);
  const W_x = model + load<usize>(layer, LAYER_W_X);
  const W_h = model + load<usize>(layer, LAYER_W_H);
  const b = model + load<usize>(layer, LAYER_B);
  const size = paddedBytes(H);
  const h_W_h = vectorAt(run + RUN_PRODUCTS, n, t);
  const x_W_x = h_W_h + load<usize>(run, RUN_PRODUCTS_SIZE);
  const z = x_W_x + load<usize>(run, RUN_PRODUCTS_SIZE);
  if (load<u32>(layer, LAYER_NARROW)) return traceNarrow(x, h, W_x, D, W_h, H, b, H, h_W_h, x_W_x, z);
  memory.fill(h_W_h, 0, size);
  memory.fill(x_W_x, 0, size);
  memory.fill(z, 0, size);
  multiplyRow(job, h, W_h, H, h_W_h, H);
  multiplyRow(job, x, W_x, D, x_W_x, H);
  multiplyRow(job, x, W_x, D, z, H);
  multiplyRow(job, h, W_h, H, z, H);
  addRows(z, b, z, size);
}

/** target += source W, for one row. */
function multiplyRow(job: usize, source: usize, W: usize, K: u32, target: usize, columns: u32): void {
  const pair = load<usize>(job, JOB_PAIRS);
  store<u32>(pair, source, PAIR_SOURCE);
  store<u32>(pair, target, PAIR_TARGET);
  product(pair, 1, W, K, columns);
}

/** target = a + b; `size` in bytes, a multiple of 32, as below. */
function addRows(a: usize, b: usize, target: usize, size: usize): void {
  for (let at: usize = 0; at < size; at += 16) {
    v128.store(target + at, f32x4.add(v128.load(a + at), v128.load(b + at)));
  }
}

/** target = (x + b) + r ∘ (h + b_h), as in gru.ts. */
function addScaled(x: usize, b: usize, r: usize, h: usize, b_h: usize, target: usize, size: usize): void {
  for (let at: usize = 0; at < size; at += 16) {
    const state = f32x4.add(v128.load(h + at), v128.load(b_h + at));
    const input = f32x4.add(v128.load(x + at), v128.load(b + at));
    v128.store(target + at, f32x4.relaxed_madd(v128.load(r + at), state, input));
  }
}

function reluRow(source: usize, target: usize, size: usize): void {
  for (let at: usize = 0; at < size; at += 16) {
    v128.store(target + at, f32x4.max(f32x4.splat(0), v128.load(source + at)));
  }
}

function tanhRow(source: usize, target: usize, size: usize): void {
  for (let at: usize = 0; at < size; at += 16) v128.store(target + at, tanhF32x4(v128.load(source + at)));
}

function sigmoidRow(source: usize, target: usize, size: usize): void {
  for (let at: usize = 0; at < size; at += 16) v128.store(target + at, sigmoidF32x4(v128.load(source + at)));
}
