// The kernels' entry: runs a job (layout.ts) from its first step to its last, or a slice of these.
//
//   for t = 0 … T-1:    h_t = tanh((x_t W_x + h_{t-1} W_h) + b)    for every row that still has steps
//
// x W_x does not depend on the state, so it is computed ahead for JOB_TIME_BLOCK steps at a time, as one
// matrix product over all their rows; its results wait where the states will be. Where that is one step,
// it is taken as a whole. Rows are sorted by their number of steps, so the rows at work are always the
// first `active` ones.
export { areFinite } from './finite';
import { finish, tanhRow } from './finish';
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
import { product, products } from './product';
import { read } from './read';
export { countCommas } from './read';
import { flushReadouts, readState } from './readout';
import { traceRow } from './trace';
export { useVectors } from './vectors';

/** Calls the function that the record at `record` names: wasm/host-job.ts. */
// @ts-ignore: decorator
@external("env", "runHost")
declare function runHost(record: usize): void;

/** Does what the record at `record` asks for, whatever its kind. */
export function run(record: usize): void {
  const kind = load<u32>(record, RECORD_KIND);
  if (kind == KIND_JOB) runJob(record);
  else if (kind == KIND_READ) read(record);
  else if (kind == KIND_PRINT) print(record);
  else runHost(record);
}

/** Writes states (and traces) of the job's rows, nothing else. */
function runJob(job: usize): void {
  const rows = <usize>load<u32>(job, JOB_ROWS);
  const narrow = load<u32>(job, JOB_NARROW) != 0;
  const ahead = load<u32>(job, JOB_TIME_BLOCK);
  const from = load<u32>(job, JOB_FIRST_STEP);
  const end = load<u32>(job, JOB_END_STEP);
  let active = load<u32>(job, JOB_N);
  let ready = from;
  for (let t = from; t < end; t++) {
    active = activeAt(rows, active, t);
    if (active == 0) break;
    if (narrow) {
      stepRows(job, rows, active, t);
    } else if (ahead == 1) {
      multiplyBoth(job, rows, active, t);
      finishStates(job, rows, active, t);
    } else {
      if (t == ready) {
        const steps = min(ahead, end - t);
        multiplyInputs(job, rows, active, t, steps);
        ready += steps;
      }
      multiplyStates(job, rows, active, t);
      finishStates(job, rows, active, t);
    }
    traceRows(job, rows, active, t);
  }
  if (load<u32>(job, JOB_O)) readStates(job, rows, from, end);
}

/** tanh of `count` floats, a multiple of 8, from `source` to `target`: for tests of the kernel itself. */
export function tanh(source: usize, target: usize, count: u32): void {
  tanhRow(source, target, <usize>count << 2);
}

/** How many of the first `active` rows have a step t. */
function activeAt(rows: usize, active: u32, t: u32): u32 {
  while (active > 0 && load<u32>(rows + (active - 1) * ROW_BYTES, ROW_STEPS) <= t) active--;
  return active;
}

/** Where state t of a row is, or will be. */
function stateAt(row: usize, t: u32): u32 {
  return load<u32>(row, ROW_HS) + (t & load<u32>(row, ROW_HS_MASK)) * load<u32>(row, ROW_HS_STEP);
}

/** Where h_{t-1} of a row is. */
function stateBefore(row: usize, t: u32): u32 {
  return t == 0 ? load<u32>(row, ROW_H) : stateAt(row, t - 1);
}

/** Where x_t of a row is. */
function inputAt(row: usize, t: u32): u32 {
  return load<u32>(row, ROW_X) + t * load<u32>(row, ROW_X_STEP);
}

/** x_t W_x for `ahead` steps from t on. */
function multiplyInputs(job: usize, rows: usize, active: u32, t: u32, ahead: u32): void {
  const pairs = <usize>load<u32>(job, JOB_PAIRS);
  const pairsMax = load<u32>(job, JOB_PAIRS_MAX);
  const size = stateSize(job);
  let count: u32 = 0;
  for (const end = t + ahead; t < end; t++) {
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

/** x_t W_x + h_{t-1} W_h. */
function multiplyBoth(job: usize, rows: usize, active: u32, t: u32): void {
  const xPairs = <usize>load<u32>(job, JOB_PAIRS);
  const hPairs = xPairs + active * PAIR_BYTES;
  pairInputs(rows, active, t, xPairs);
  pairStates(rows, active, t, hPairs);
  clearStates(rows, active, t, stateSize(job));
  const D = load<u32>(job, JOB_D);
  const H = load<u32>(job, JOB_H);
  products(xPairs, hPairs, active, load<u32>(job, JOB_W_X), D, load<u32>(job, JOB_W_H), H);
}

/** + h_{t-1} W_h. */
function multiplyStates(job: usize, rows: usize, active: u32, t: u32): void {
  const pairs = <usize>load<u32>(job, JOB_PAIRS);
  pairStates(rows, active, t, pairs);
  multiply(job, JOB_W_H, JOB_H, active);
}

/** A whole step of a narrow model. */
function stepRows(job: usize, rows: usize, active: u32, t: u32): void {
  const xPairs = <usize>load<u32>(job, JOB_PAIRS);
  const hPairs = xPairs + active * PAIR_BYTES;
  pairInputs(rows, active, t, xPairs);
  pairStates(rows, active, t, hPairs);
  stepNarrow(job, xPairs, hPairs, active);
}

/** From x_t to where h_t will be. */
function pairInputs(rows: usize, active: u32, t: u32, pairs: usize): void {
  for (let n: u32 = 0; n < active; n++, pairs += PAIR_BYTES) {
    const row = rows + n * ROW_BYTES;
    store<u32>(pairs, inputAt(row, t), PAIR_SOURCE);
    store<u32>(pairs, stateAt(row, t), PAIR_TARGET);
  }
}

/** From h_{t-1} to where h_t will be. */
function pairStates(rows: usize, active: u32, t: u32, pairs: usize): void {
  for (let n: u32 = 0; n < active; n++, pairs += PAIR_BYTES) {
    const row = rows + n * ROW_BYTES;
    store<u32>(pairs, stateBefore(row, t), PAIR_SOURCE);
    store<u32>(pairs, stateAt(row, t), PAIR_TARGET);
  }
}

function clearStates(rows: usize, active: u32, t: u32, size: usize): void {
  for (let n: u32 = 0; n < active; n++) memory.fill(stateAt(rows + n * ROW_BYTES, t), 0, size);
}

function finishStates(job: usize, rows: usize, active: u32, t: u32): void {
  const size = stateSize(job);
  const b = <usize>load<u32>(job, JOB_B);
  for (let n: u32 = 0; n < active; n++) finish(stateAt(rows + n * ROW_BYTES, t), b, size);
}

/** Bytes of a state, whole panels. */
function stateSize(job: usize): usize {
  return <usize>((load<u32>(job, JOB_H) + NR - 1) / NR) * (NR << 2);
}

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

/** Readouts of the slice's states where all are wanted, and of every row's last state once it is there. */
function readStates(job: usize, rows: usize, from: u32, end: u32): void {
  const rowsEnd = rows + load<u32>(job, JOB_N) * ROW_BYTES;
  // The first row is the longest.
  const isLastSlice = load<u32>(rows, ROW_STEPS) <= end;
  let waiting: u32 = 0;
  for (let row = rows; row < rowsEnd; row += ROW_BYTES) {
    const steps = load<u32>(row, ROW_STEPS);
    if (isLastSlice) waiting = readState(job, waiting, stateBefore(row, steps), load<u32>(row, ROW_Y));
    const ys = load<u32>(row, ROW_YS);
    if (ys == 0) continue;
    const step = load<u32>(row, ROW_YS_STEP);
    for (let t = from; t < min(steps, end); t++) {
      waiting = readState(job, waiting, stateAt(row, t), ys + t * step);
    }
  }
  flushReadouts(job, waiting);
}

function traceRows(job: usize, rows: usize, active: u32, t: u32): void {
  for (let n: u32 = 0; n < active; n++) {
    const row = rows + n * ROW_BYTES;
    const traces = <usize>load<u32>(row, ROW_TRACE);
    if (traces == 0) continue;
    const trace = traces + t * load<u32>(row, ROW_HS_STEP);
    traceRow(job, row, trace, inputAt(row, t), stateBefore(row, t));
  }
}
