// The gates of a step of a recurrent layer: the products x W_x + h W_h, by row pairs from inputs and states to gates.
//
// With reset before, a gru has the gate n in a second product, (r ∘ h) W_hn.
import { resetState } from './gru';
import {
  GRU_AFTER,
  GRU_BEFORE,
  JOB_MODEL,
  JOB_PAIRS,
  JOB_PAIRS_MAX,
  JOB_ROWS,
  LAYER_B,
  LAYER_FINISH_B,
  LAYER_INPUTS,
  LAYER_KIND,
  LAYER_NARROW,
  LAYER_OUTPUTS,
  LAYER_W_H,
  LAYER_W_X,
  LSTM,
  PAIR_BYTES,
  PAIR_SOURCE,
  PAIR_TARGET,
  RNN,
  ROW_BYTES,
  ROW_N,
  RUN_GATES,
  RUN_TRACE,
} from './layout';
import { narrowWeightsBefore, sumNarrow } from './narrow';
import { product, productsByBand } from './product';
import { inputAt } from './rows';
import { activeAt, paddedBytes, stateBefore, timeOf, vectorAt } from './sequence';
import { traceReset } from './trace';

/** Columns of the gates of a cell in linear memory, in multiples of H'. */
function gateColumns(kind: u32): u32 {
  if (kind == RNN) return 1;
  return kind == GRU_BEFORE ? 3 : 4;
}

/** Columns of W_x and W_h, in multiples of H'. */
function productColumns(kind: u32): u32 {
  if (kind == RNN) return 1;
  return kind == LSTM ? 4 : 3;
}

/** Bytes in the gates before the columns to which h W_h is added. */
// @ts-ignore: decorator
@inline
function stateColumnsAt(layer: usize): usize {
  return load<u32>(layer, LAYER_KIND) == GRU_AFTER ? paddedBytes(load<u32>(layer, LAYER_OUTPUTS)) : 0;
}

/** Writes the row pairs (x_t, gates) of the active rows at their s-th step, with gates of zeros unless they are narrow. */
function pairInputs(job: usize, layer: usize, run: usize, active: u32, s: u32, pairs: usize): void {
  const model = load<usize>(job, JOB_MODEL);
  const isNarrow = load<u32>(layer, LAYER_NARROW) != 0;
  const size = <usize>gateColumns(load<u32>(layer, LAYER_KIND)) * paddedBytes(load<u32>(layer, LAYER_OUTPUTS));
  let row = load<usize>(job, JOB_ROWS);
  for (const end = pairs + active * PAIR_BYTES; pairs < end; pairs += PAIR_BYTES, row += ROW_BYTES) {
    const n = load<u32>(row, ROW_N);
    const t = timeOf(layer, row, s);
    const gates = vectorAt(run + RUN_GATES, n, t);
    store<u32>(pairs, inputAt(model, run, n, t), PAIR_SOURCE);
    store<u32>(pairs, gates, PAIR_TARGET);
    if (!isNarrow) memory.fill(gates, 0, size);
  }
}

/** Writes the row pairs (h before the s-th step, its columns of the gates) of the active rows. */
function pairStates(job: usize, layer: usize, run: usize, active: u32, s: u32, pairs: usize): void {
  const columnsAt = stateColumnsAt(layer);
  let row = load<usize>(job, JOB_ROWS);
  for (const end = pairs + active * PAIR_BYTES; pairs < end; pairs += PAIR_BYTES, row += ROW_BYTES) {
    const gates = vectorAt(run + RUN_GATES, load<u32>(row, ROW_N), timeOf(layer, row, s));
    store<u32>(pairs, stateBefore(layer, run, row, s), PAIR_SOURCE);
    store<u32>(pairs, gates + columnsAt, PAIR_TARGET);
  }
}

/** Columns of x W_x and of the first product of the state; that of a gru with reset before has no n. */
// @ts-ignore: decorator
@inline
function inputColumns(layer: usize): u32 {
  return productColumns(load<u32>(layer, LAYER_KIND)) * <u32>(paddedBytes(load<u32>(layer, LAYER_OUTPUTS)) >> 2);
}

// @ts-ignore: decorator
@inline
function stateColumns(layer: usize): u32 {
  const columns = load<u32>(layer, LAYER_KIND) == GRU_BEFORE ? 2 : productColumns(load<u32>(layer, LAYER_KIND));
  return columns * <u32>(paddedBytes(load<u32>(layer, LAYER_OUTPUTS)) >> 2);
}

/** Computes x W_x of a time block, `steps` steps from the s-th on. */
export function multiplyInputs(job: usize, layer: usize, run: usize, active: u32, s: u32, steps: u32): void {
  const rows = load<usize>(job, JOB_ROWS);
  const pairs = load<usize>(job, JOB_PAIRS);
  const pairsMax = load<u32>(job, JOB_PAIRS_MAX);
  const W_x = load<usize>(job, JOB_MODEL) + load<usize>(layer, LAYER_W_X);
  const D = load<u32>(layer, LAYER_INPUTS);
  const columns = inputColumns(layer);
  let count: u32 = 0;
  for (const end = s + steps; s < end; s++) {
    active = activeAt(rows, active, s);
    if (active == 0) break;
    if (count + active > pairsMax) {
      product(pairs, count, W_x, D, columns);
      count = 0;
    }
    pairInputs(job, layer, run, active, s, pairs + count * PAIR_BYTES);
    count += active;
  }
  product(pairs, count, W_x, D, columns);
}

/** Adds h W_h to the gates of the s-th step. */
export function multiplyStates(job: usize, layer: usize, run: usize, active: u32, s: u32): void {
  const pairs = load<usize>(job, JOB_PAIRS);
  const W_h = load<usize>(job, JOB_MODEL) + load<usize>(layer, LAYER_W_H);
  pairStates(job, layer, run, active, s, pairs);
  product(pairs, active, W_h, load<u32>(layer, LAYER_OUTPUTS), stateColumns(layer));
}

/** Computes x W_x + h W_h of the s-th step. */
export function multiplyBoth(job: usize, layer: usize, run: usize, active: u32, s: u32): void {
  const model = load<usize>(job, JOB_MODEL);
  const xPairs = load<usize>(job, JOB_PAIRS);
  const hPairs = xPairs + active * PAIR_BYTES;
  const W_x = model + load<usize>(layer, LAYER_W_X);
  const W_h = model + load<usize>(layer, LAYER_W_H);
  const D = load<u32>(layer, LAYER_INPUTS);
  const H = load<u32>(layer, LAYER_OUTPUTS);
  pairInputs(job, layer, run, active, s, xPairs);
  pairStates(job, layer, run, active, s, hPairs);
  // By bands only where both have the same columns: else h W_h of a gate could be added before x W_x is.
  const kind = load<u32>(layer, LAYER_KIND);
  if (kind == GRU_AFTER || kind == GRU_BEFORE) {
    product(xPairs, active, W_x, D, inputColumns(layer));
    product(hPairs, active, W_h, H, stateColumns(layer));
  } else {
    productsByBand(xPairs, hPairs, active, W_x, D, W_h, H, inputColumns(layer));
  }
}

/** Computes the gates of the s-th step of a narrow layer, with b. */
export function multiplyNarrow(job: usize, layer: usize, run: usize, active: u32, s: u32): void {
  const kind = load<u32>(layer, LAYER_KIND);
  const xPairs = load<usize>(job, JOB_PAIRS);
  const hPairs = xPairs + active * PAIR_BYTES;
  const size = paddedBytes(load<u32>(layer, LAYER_OUTPUTS));
  pairInputs(job, layer, run, active, s, xPairs);
  pairStates(job, layer, run, active, s, hPairs);
  if (kind == GRU_AFTER) {
    // The columns of W_x are n, r, z, those of W_h r, z, n, and the gates n of x, r, z, n of h.
    sumGates(job, layer, xPairs, hPairs, active, X_ONLY, 0, 0, 0, size);
    sumGates(job, layer, xPairs, hPairs, active, X_AND_H, size, 0, size, 2 * size);
    sumGates(job, layer, xPairs, hPairs, active, H_ONLY, 0, 2 * size, 3 * size, size);
  } else {
    const columns: usize = kind == GRU_BEFORE ? 2 : productColumns(kind);
    sumGates(job, layer, xPairs, hPairs, active, X_AND_H, 0, 0, 0, columns * size);
  }
}

const X_ONLY: u32 = 1;
const H_ONLY: u32 = 2;
const X_AND_H: u32 = 3;

/**
 * Sums some gates of a narrow layer in float64. Places are in bytes of a vector of gates.
 *
 * @param products which ones are summed
 * @param xAt the first column of W_x · @param hAt of W_h · @param at of the gates and of b · @param size of all columns
 */
function sumGates(
  job: usize,
  layer: usize,
  xPairs: usize,
  hPairs: usize,
  active: u32,
  products: u32,
  xAt: usize,
  hAt: usize,
  at: usize,
  size: usize,
): void {
  const model = load<usize>(job, JOB_MODEL);
  const D = load<u32>(layer, LAYER_INPUTS);
  const H = load<u32>(layer, LAYER_OUTPUTS);
  const W_x = model + load<usize>(layer, LAYER_W_X) + narrowWeightsBefore(xAt, D);
  const W_h = model + load<usize>(layer, LAYER_W_H) + narrowWeightsBefore(hAt, H);
  const b = model + load<usize>(layer, LAYER_B) + narrowWeightsBefore(at, 1);
  const xCount = products & X_ONLY ? D : 0;
  const hCount = products & H_ONLY ? H : 0;
  sumNarrow(xPairs, hPairs, active, W_x, xCount, W_h, hCount, b, at, size);
}

/** Replaces r by r ∘ h, and adds (r ∘ h) W_hn to n, of a gru with reset before. */
export function multiplyReset(job: usize, layer: usize, run: usize, active: u32, s: u32): void {
  const model = load<usize>(job, JOB_MODEL);
  const xPairs = load<usize>(job, JOB_PAIRS);
  const rPairs = xPairs + active * PAIR_BYTES;
  const H = load<u32>(layer, LAYER_OUTPUTS);
  const size = paddedBytes(H);
  const b = model + load<usize>(layer, LAYER_FINISH_B);
  const isTraced = load<usize>(run, RUN_TRACE) != 0;
  let row = load<usize>(job, JOB_ROWS);
  for (let i: u32 = 0; i < active; i++, row += ROW_BYTES) {
    const n = load<u32>(row, ROW_N);
    const t = timeOf(layer, row, s);
    const gates = vectorAt(run + RUN_GATES, n, t);
    if (isTraced) traceReset(run, n, t, gates, b, size);
    resetState(gates, b, stateBefore(layer, run, row, s), size);
    store<u32>(rPairs + i * PAIR_BYTES, gates, PAIR_SOURCE);
    store<u32>(rPairs + i * PAIR_BYTES, gates + 2 * size, PAIR_TARGET);
  }
  if (load<u32>(layer, LAYER_NARROW)) {
    pairInputs(job, layer, run, active, s, xPairs);
    sumGates(job, layer, xPairs, rPairs, active, X_AND_H, 2 * size, 2 * size, 2 * size, size);
  } else {
    product(rPairs, active, model + load<usize>(layer, LAYER_W_H) + 2 * size * H, H, <u32>size >> 2);
  }
}
