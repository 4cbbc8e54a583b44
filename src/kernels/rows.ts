// Consecutive affine and dense layers, over many rows at once: of all steps of a segment in front of and between recurrent
// layers; behind the last one, in the head, of the final states and, if they are wanted, of all steps.
import { computeRows } from './dense';
import {
  JOB_END_STEP,
  JOB_FINAL,
  JOB_FINAL_ROW,
  JOB_FIRST_STEP,
  JOB_HEAD,
  JOB_MODEL,
  JOB_N,
  JOB_PAIRS,
  JOB_ROWS,
  JOB_RUNS,
  JOB_SCRATCH,
  JOB_SCRATCH_ROW,
  JOB_Y,
  JOB_Y_ROW,
  LAYER_INPUTS,
  LAYER_OUTPUTS,
  LAYER_W_X,
  MODEL_LAYERS,
  PAIR_BYTES,
  PAIR_SOURCE,
  PAIR_TARGET,
  ROWS_AT_ONCE,
  ROW_BYTES,
  ROW_N,
  ROW_STEPS,
  RUN_EMBEDDING,
  RUN_OUT,
  RUN_X,
} from './layout';
import { layerAt, paddedBytes, runAt, vectorAt } from './sequence';

/** Address of the input of a layer for row n at step t: floats, or the row of the embedding whose number is there. */
export function inputAt(model: usize, run: usize, n: u32, t: u32): usize {
  const x = vectorAt(run + RUN_X, n, t);
  const embedding = load<usize>(run, RUN_EMBEDDING);
  if (embedding == 0) return x;
  // The host has checked the number; the limit keeps the address inside the model whatever is there.
  const k: usize = min(load<u32>(x), load<u32>(embedding, LAYER_INPUTS) - 1);
  return model + load<usize>(embedding, LAYER_W_X) + k * paddedBytes(load<u32>(embedding, LAYER_OUTPUTS));
}

/** Computes layers first … end - 1 for the steps firstStep … endStep - 1 of all rows that have them. */
export function computeSteps(job: usize, first: u32, end: u32, firstStep: u32, endStep: u32): void {
  const model = load<usize>(job, JOB_MODEL);
  const runs = load<usize>(job, JOB_RUNS);
  const from = runAt(runs, first);
  const to = runAt(runs, end - 1);
  const rowsEnd = load<usize>(job, JOB_ROWS) + load<u32>(job, JOB_N) * ROW_BYTES;
  let pending: u32 = 0;
  for (let row = load<usize>(job, JOB_ROWS); row < rowsEnd; row += ROW_BYTES) {
    const n = load<u32>(row, ROW_N);
    const stepsEnd = min(load<u32>(row, ROW_STEPS), endStep);
    for (let t = firstStep; t < stepsEnd; t++) {
      pending = queue(job, first, end, pending, inputAt(model, from, n, t), vectorAt(to + RUN_OUT, n, t));
    }
  }
  computePending(job, first, end, pending);
}

/** Computes the head for the slice's steps if all of them are wanted, and in the last slice for the final states. */
export function computeHead(job: usize, isLastSlice: bool): void {
  const first = load<u32>(job, JOB_HEAD);
  const end = load<u32>(load<usize>(job, JOB_MODEL), MODEL_LAYERS);
  if (first == end) return;
  const firstStep = load<u32>(job, JOB_FIRST_STEP);
  const last = runAt(load<usize>(job, JOB_RUNS), end - 1);
  if (load<usize>(last, RUN_OUT) != 0) computeSteps(job, first, end, firstStep, load<u32>(job, JOB_END_STEP));
  if (!isLastSlice) return;
  const rowsEnd = load<usize>(job, JOB_ROWS) + load<u32>(job, JOB_N) * ROW_BYTES;
  let pending: u32 = 0;
  for (let row = load<usize>(job, JOB_ROWS); row < rowsEnd; row += ROW_BYTES) {
    const n = load<usize>(row, ROW_N);
    const state = load<usize>(job, JOB_FINAL) + n * load<usize>(job, JOB_FINAL_ROW);
    const y = load<usize>(job, JOB_Y) + n * load<usize>(job, JOB_Y_ROW);
    pending = queue(job, first, end, pending, state, y);
  }
  computePending(job, first, end, pending);
}

/** Adds a row pair to the pending ones, which are computed when there are enough of them. @returns how many are pending */
function queue(job: usize, first: u32, end: u32, pending: u32, source: usize, target: usize): u32 {
  if (pending == ROWS_AT_ONCE) {
    computePending(job, first, end, pending);
    pending = 0;
  }
  const pair = load<usize>(job, JOB_PAIRS) + pending * PAIR_BYTES;
  store<u32>(pair, source, PAIR_SOURCE);
  store<u32>(pair, target, PAIR_TARGET);
  return pending + 1;
}

/** Computes layers first … end - 1 for the pending row pairs, one layer after the other. */
function computePending(job: usize, first: u32, end: u32, count: u32): void {
  if (count == 0) return;
  const model = load<usize>(job, JOB_MODEL);
  const pairs = load<usize>(job, JOB_PAIRS);
  if (end - first == 1) return computeRows(model, layerAt(model, first), pairs, count);
  // Between layers, rows stand in one of two scratch buffers.
  const rowBytes = load<usize>(job, JOB_SCRATCH_ROW);
  const layerPairs = pairs + ROWS_AT_ONCE * PAIR_BYTES;
  for (let k = first; k < end; k++) {
    const target = load<usize>(job, JOB_SCRATCH) + <usize>(k & 1) * (<usize>ROWS_AT_ONCE * rowBytes);
    const source = load<usize>(job, JOB_SCRATCH) + <usize>(~k & 1) * (<usize>ROWS_AT_ONCE * rowBytes);
    for (let i: usize = 0; i < count; i++) {
      const pair = pairs + i * PAIR_BYTES;
      const layerPair = layerPairs + i * PAIR_BYTES;
      store<u32>(layerPair, k == first ? load<usize>(pair, PAIR_SOURCE) : source + i * rowBytes, PAIR_SOURCE);
      store<u32>(layerPair, k == end - 1 ? load<usize>(pair, PAIR_TARGET) : target + i * rowBytes, PAIR_TARGET);
    }
    computeRows(model, layerAt(model, k), layerPairs, count);
  }
}
