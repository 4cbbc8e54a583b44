// The entry of the kernels: runs a job (layout.ts) from its first step to its last, or a slice of these.
//
//   for t = 0 … T-1:    h_t = tanh((x_t W_x + h_{t-1} W_h) + b)    for every row that has a step t
//
// x W_x does not depend on the state. It is computed for a time block of JOB_TIME_BLOCK steps at once, as one matrix
// product over all their rows, and stored in the slots of these steps' states. If a time block is one step, both
// products of a step are computed together. Rows are sorted by their number of steps, so that the active rows, those
// that have a step t, are the first ones.
export { areFinite } from './finite';
import { addBiasAndTanh, tanhRow } from './finish';
import {
  JOB_TIME_BLOCK,
  JOB_B,
  JOB_D,
  JOB_END_STEP,
  JOB_FIRST_STEP,
  JOB_H,
  JOB_N,
  JOB_NARROW,
  JOB_O,
  JOB_PAIRS,
  JOB_PAIRS_MAX,
  JOB_ROWS,
  JOB_W_H,
  JOB_W_X,
  KIND_HOST,
  KIND_JOB,
  KIND_PRINT,
  KIND_READ,
  NR,
  PAIR_BYTES,
  PAIR_SOURCE,
  PAIR_TARGET,
  RECORD_KIND,
  ROW_BYTES,
  ROW_H,
  ROW_HS,
  ROW_HS_MASK,
  ROW_HS_STEP,
  ROW_STEPS,
  ROW_TRACE,
  ROW_X,
  ROW_X_STEP,
  ROW_Y,
  ROW_YS,
  ROW_YS_STEP,
} from './layout';
import { stepNarrow } from './narrow';
import { print } from './print';
import { product, productsByBand } from './product';
export { multiplyAdd } from './product';
import { read } from './read';
export { countCommas } from './read';
import { flushReadouts, queueReadout } from './readout';
import { traceRow } from './trace';
export { useVectors } from './vectors';

/** Calls the host function that the record at `record` names (wasm/host-job.ts). */
// @ts-ignore: decorator
@external("env", "runHost")
declare function runHost(record: usize): void;

/** Runs the record at `record`, whatever its kind, and returns when it is done. */
export function run(record: usize): void {
  const kind = load<u32>(record, RECORD_KIND);
  if (kind == KIND_JOB) runJob(record);
  else if (kind == KIND_READ) read(record);
  else if (kind == KIND_PRINT) print(record);
  else runHost(record);
}

/** Writes the states, traces and readouts of the job's rows, and its row pairs. */
function runJob(job: usize): void {
  const rows = <usize>load<u32>(job, JOB_ROWS);
  const narrow = load<u32>(job, JOB_NARROW) != 0;
  const timeBlock = load<u32>(job, JOB_TIME_BLOCK);
  const firstStep = load<u32>(job, JOB_FIRST_STEP);
  const endStep = load<u32>(job, JOB_END_STEP);
  let active = load<u32>(job, JOB_N);
  /** Where the next time block begins. */
  let blockEnd = firstStep;
  for (let t = firstStep; t < endStep; t++) {
    active = activeAt(rows, active, t);
    if (active == 0) break;
    if (narrow) {
      stepNarrowRows(job, rows, active, t);
    } else if (timeBlock == 1) {
      multiplyBoth(job, rows, active, t);
      activateStates(job, rows, active, t);
    } else {
      if (t == blockEnd) {
        const steps = min(timeBlock, endStep - t);
        multiplyInputs(job, rows, active, t, steps);
        blockEnd += steps;
      }
      multiplyStates(job, rows, active, t);
      activateStates(job, rows, active, t);
    }
    traceRows(job, rows, active, t);
  }
  if (load<u32>(job, JOB_O)) computeReadouts(job, rows, firstStep, endStep);
}

/** tanh of `count` float32, a multiple of 8, from `source` to `target`. Only tests call it. */
export function tanh(source: usize, target: usize, count: u32): void {
  tanhRow(source, target, <usize>count << 2);
}

/** How many rows have a step t, of the `active` ones that have a step t - 1. */
function activeAt(rows: usize, active: u32, t: u32): u32 {
  while (active > 0 && load<u32>(rows + (active - 1) * ROW_BYTES, ROW_STEPS) <= t) active--;
  return active;
}

/** Address of the slot of state t of a row. */
function stateAt(row: usize, t: u32): u32 {
  return load<u32>(row, ROW_HS) + (t & load<u32>(row, ROW_HS_MASK)) * load<u32>(row, ROW_HS_STEP);
}

/** Address of h_{t-1} of a row. */
function stateBefore(row: usize, t: u32): u32 {
  return t == 0 ? load<u32>(row, ROW_H) : stateAt(row, t - 1);
}

/** Address of x_t of a row. */
function inputAt(row: usize, t: u32): u32 {
  return load<u32>(row, ROW_X) + t * load<u32>(row, ROW_X_STEP);
}

/** Computes x W_x of a time block, `steps` steps from t on, in the slots of their states. */
function multiplyInputs(job: usize, rows: usize, active: u32, t: u32, steps: u32): void {
  const pairs = <usize>load<u32>(job, JOB_PAIRS);
  const pairsMax = load<u32>(job, JOB_PAIRS_MAX);
  const size = stateSize(job);
  let count: u32 = 0;
  for (const end = t + steps; t < end; t++) {
    active = activeAt(rows, active, t);
    if (active == 0) break;
    if (count + active > pairsMax) {
      multiply(job, JOB_W_X, JOB_D, count);
      count = 0;
    }
    pairInputs(rows, active, t, pairs + count * PAIR_BYTES);
    clearStates(rows, active, t, size);
    count += active;
  }
  multiply(job, JOB_W_X, JOB_D, count);
}

/** Computes x_t W_x + h_{t-1} W_h in the slots of state t. */
function multiplyBoth(job: usize, rows: usize, active: u32, t: u32): void {
  const xPairs = <usize>load<u32>(job, JOB_PAIRS);
  const hPairs = xPairs + active * PAIR_BYTES;
  pairInputs(rows, active, t, xPairs);
  pairStates(rows, active, t, hPairs);
  clearStates(rows, active, t, stateSize(job));
  const D = load<u32>(job, JOB_D);
  const H = load<u32>(job, JOB_H);
  productsByBand(xPairs, hPairs, active, load<u32>(job, JOB_W_X), D, load<u32>(job, JOB_W_H), H);
}

/** Adds h_{t-1} W_h to the x_t W_x in the slots of state t. */
function multiplyStates(job: usize, rows: usize, active: u32, t: u32): void {
  const pairs = <usize>load<u32>(job, JOB_PAIRS);
  pairStates(rows, active, t, pairs);
  multiply(job, JOB_W_H, JOB_H, active);
}

/** Computes step t of a narrow model. */
function stepNarrowRows(job: usize, rows: usize, active: u32, t: u32): void {
  const xPairs = <usize>load<u32>(job, JOB_PAIRS);
  const hPairs = xPairs + active * PAIR_BYTES;
  pairInputs(rows, active, t, xPairs);
  pairStates(rows, active, t, hPairs);
  stepNarrow(job, xPairs, hPairs, active);
}

/** Writes the row pairs (x_t, slot of h_t) of the active rows. */
function pairInputs(rows: usize, active: u32, t: u32, pairs: usize): void {
  for (let n: u32 = 0; n < active; n++, pairs += PAIR_BYTES) {
    const row = rows + n * ROW_BYTES;
    store<u32>(pairs, inputAt(row, t), PAIR_SOURCE);
    store<u32>(pairs, stateAt(row, t), PAIR_TARGET);
  }
}

/** Writes the row pairs (h_{t-1}, slot of h_t) of the active rows. */
function pairStates(rows: usize, active: u32, t: u32, pairs: usize): void {
  for (let n: u32 = 0; n < active; n++, pairs += PAIR_BYTES) {
    const row = rows + n * ROW_BYTES;
    store<u32>(pairs, stateBefore(row, t), PAIR_SOURCE);
    store<u32>(pairs, stateAt(row, t), PAIR_TARGET);
  }
}

/** Fills the slots of state t with zeros, to which products are added. */
function clearStates(rows: usize, active: u32, t: u32, size: usize): void {
  for (let n: u32 = 0; n < active; n++) memory.fill(stateAt(rows + n * ROW_BYTES, t), 0, size);
}

/** Makes states of the x_t W_x + h_{t-1} W_h in the slots of state t. */
function activateStates(job: usize, rows: usize, active: u32, t: u32): void {
  const size = stateSize(job);
  const b = <usize>load<u32>(job, JOB_B);
  for (let n: u32 = 0; n < active; n++) addBiasAndTanh(stateAt(rows + n * ROW_BYTES, t), b, size);
}

/** Bytes of a state, padded to whole vectors. */
function stateSize(job: usize): usize {
  return <usize>((load<u32>(job, JOB_H) + NR - 1) / NR) * (NR << 2);
}

/**
 * The product of the job's first `count` row pairs with the weights in field `W`, of as many rows as field `K` says.
 */
// @ts-ignore: decorator
@inline
function multiply(job: usize, W: usize, K: usize, count: u32): void {
  product(
    load<u32>(job, JOB_PAIRS),
    count,
    load<u32>(job + W),
    load<u32>(job + K),
    load<u32>(job, JOB_H),
  );
}

/**
 * Computes the readouts of the slice's states if those of all states are wanted, and in the last slice those of every
 * row's last state.
 */
function computeReadouts(job: usize, rows: usize, firstStep: u32, endStep: u32): void {
  const rowsEnd = rows + load<u32>(job, JOB_N) * ROW_BYTES;
  // The first row is the longest.
  const isLastSlice = load<u32>(rows, ROW_STEPS) <= endStep;
  let pending: u32 = 0;
  for (let row = rows; row < rowsEnd; row += ROW_BYTES) {
    const steps = load<u32>(row, ROW_STEPS);
    if (isLastSlice) pending = queueReadout(job, pending, stateBefore(row, steps), load<u32>(row, ROW_Y));
    const ys = load<u32>(row, ROW_YS);
    if (ys == 0) continue;
    const step = load<u32>(row, ROW_YS_STEP);
    for (let t = firstStep; t < min(steps, endStep); t++) {
      pending = queueReadout(job, pending, stateAt(row, t), ys + t * step);
    }
  }
  flushReadouts(job, pending);
}

/** Writes the traces of step t of the rows that have one. */
function traceRows(job: usize, rows: usize, active: u32, t: u32): void {
  for (let n: u32 = 0; n < active; n++) {
    const row = rows + n * ROW_BYTES;
    const traces = <usize>load<u32>(row, ROW_TRACE);
    if (traces == 0) continue;
    const trace = traces + t * load<u32>(row, ROW_HS_STEP);
    traceRow(job, row, trace, inputAt(row, t), stateBefore(row, t));
  }
}
