// One recurrent layer: its steps for all rows that have them.
//
//   gates of step s = x_t W_x + h W_h, each gate H columns side by side; then rnn.ts, gru.ts or lstm.ts
//
// x W_x does not depend on the state. It is computed for a time block of JOB_TIME_BLOCK steps at once, as one matrix
// product over all their rows. If a time block is one step, both products of a step are computed together. Rows are
// sorted by their number of steps, so that the active rows, those that have a step s, are the first ones.
//
// A reversed layer computes a row's steps from the last to the first: its s-th step is t = steps - 1 - s.
import { finishGruAfter, finishGruBefore } from './gru';
import {
  GRU_AFTER,
  GRU_BEFORE,
  JOB_MODEL,
  JOB_N,
  JOB_ROWS,
  JOB_TIME_BLOCK,
  LAYER_ACTIVATION,
  LAYER_FINISH_B,
  LAYER_KIND,
  LAYER_NARROW,
  LAYER_OUTPUTS,
  LSTM,
  RELU,
  RNN,
  ROW_BYTES,
  ROW_INFINITE_RUN,
  ROW_INFINITE_STEP,
  ROW_N,
  ROW_STEPS,
  RUN_C,
  RUN_C_INITIAL,
  RUN_FINAL_ROW,
  RUN_GATES,
  RUN_H_BEFORE,
  RUN_H_FINAL,
  RUN_H_INITIAL,
  RUN_OUT,
  RUN_PRODUCTS,
  RUN_TRACE,
} from './layout';
import { areFinite } from './finite';
import { multiplyBoth, multiplyInputs, multiplyNarrow, multiplyReset, multiplyStates } from './gates';
import { finishLstm } from './lstm';
import { finishRnn } from './rnn';
import { inputAt } from './rows';
import { activeAt, paddedBytes, stateBefore, timeOf, vectorAt } from './sequence';
import { traceGates, traceProducts } from './trace';

/** Computes steps firstStep … endStep - 1 of a layer. */
export function computeRecurrent(job: usize, layer: usize, run: usize, firstStep: u32, endStep: u32): void {
  const rows = load<usize>(job, JOB_ROWS);
  const kind = load<u32>(layer, LAYER_KIND);
  const isNarrow = load<u32>(layer, LAYER_NARROW) != 0;
  const timeBlock = load<u32>(job, JOB_TIME_BLOCK);
  let active = load<u32>(job, JOB_N);
  if (firstStep == 0) takeInitialStates(rows, active, layer, run);
  /** Where the next time block begins. */
  let blockEnd = firstStep;
  for (let s = firstStep; s < endStep; s++) {
    active = activeAt(rows, active, s);
    if (active == 0) break;
    if (isNarrow) {
      multiplyNarrow(job, layer, run, active, s);
    } else if (timeBlock == 1) {
      multiplyBoth(job, layer, run, active, s);
    } else {
      if (s == blockEnd) {
        const steps = min(timeBlock, endStep - s);
        multiplyInputs(job, layer, run, active, s, steps);
        blockEnd += steps;
      }
      multiplyStates(job, layer, run, active, s);
    }
    if (kind == GRU_BEFORE) multiplyReset(job, layer, run, active, s);
    if (load<usize>(run, RUN_TRACE) | load<usize>(run, RUN_PRODUCTS)) traceRows(job, layer, run, active, s);
    finishRows(job, layer, run, active, s);
  }
}

/** Copies the states after each row's last step to where the host reads them, with their padding. */
export function copyFinalStates(job: usize, layer: usize, run: usize): void {
  const rows = load<usize>(job, JOB_ROWS);
  const rowsEnd = rows + load<u32>(job, JOB_N) * ROW_BYTES;
  const size = paddedBytes(load<u32>(layer, LAYER_OUTPUTS));
  for (let row = rows; row < rowsEnd; row += ROW_BYTES) {
    const n = load<usize>(row, ROW_N);
    const final = load<usize>(run, RUN_H_FINAL) + n * load<usize>(run, RUN_FINAL_ROW);
    memory.copy(final, stateBefore(layer, run, row, load<u32>(row, ROW_STEPS)), size);
  }
}

/** Copies the states before the first step into vectors, padded with zeros. */
function takeInitialStates(rows: usize, count: u32, layer: usize, run: usize): void {
  const H = load<u32>(layer, LAYER_OUTPUTS);
  for (let i: u32 = 0; i < count; i++) {
    const n = load<usize>(rows + i * ROW_BYTES, ROW_N);
    padState(load<usize>(run, RUN_H_INITIAL), load<usize>(run, RUN_H_BEFORE), n, H);
    if (load<u32>(layer, LAYER_KIND) == LSTM) padState(load<usize>(run, RUN_C_INITIAL), load<usize>(run, RUN_C), n, H);
  }
}

function padState(from: usize, to: usize, n: usize, H: u32): void {
  const size = <usize>H << 2;
  const padded = paddedBytes(H);
  memory.copy(to + n * padded, from + n * size, size);
  memory.fill(to + n * padded + size, 0, padded - size);
}

function traceRows(job: usize, layer: usize, run: usize, active: u32, s: u32): void {
  const model = load<usize>(job, JOB_MODEL);
  let row = load<usize>(job, JOB_ROWS);
  for (let i: u32 = 0; i < active; i++, row += ROW_BYTES) {
    const n = load<u32>(row, ROW_N);
    const t = timeOf(layer, row, s);
    if (load<usize>(run, RUN_TRACE)) traceGates(model, layer, run, n, t);
    if (load<usize>(run, RUN_PRODUCTS)) {
      const x = inputAt(model, run, n, t);
      traceProducts(job, layer, run, n, t, x, stateBefore(layer, run, row, s));
    }
  }
}

/** Makes states of the gates of the s-th step. */
function finishRows(job: usize, layer: usize, run: usize, active: u32, s: u32): void {
  const kind = load<u32>(layer, LAYER_KIND);
  const activation = load<u32>(layer, LAYER_ACTIVATION);
  const b = load<usize>(job, JOB_MODEL) + load<usize>(layer, LAYER_FINISH_B);
  const H = load<u32>(layer, LAYER_OUTPUTS);
  const size = paddedBytes(H);
  let row = load<usize>(job, JOB_ROWS);
  for (const end = row + active * ROW_BYTES; row < end; row += ROW_BYTES) {
    const n = load<u32>(row, ROW_N);
    const t = timeOf(layer, row, s);
    const gates = vectorAt(run + RUN_GATES, n, t);
    const h = vectorAt(run + RUN_OUT, n, t);
    if (kind == RNN) {
      finishRnn(activation, gates, b, h, size);
      if (activation == RELU && !areFinite(h, H)) noteInfinite(row, run, t);
    } else if (kind == LSTM) {
      finishLstm(gates, b, load<usize>(run, RUN_C) + <usize>n * size, h, size);
    } else if (kind == GRU_AFTER) {
      finishGruAfter(gates, b, stateBefore(layer, run, row, s), h, size);
    } else {
      finishGruBefore(gates, b, stateBefore(layer, run, row, s), h, size);
    }
  }
}

/** An infinite state of a relu layer may be followed by finite ones, so it is noted when it is computed. */
function noteInfinite(row: usize, run: usize, t: u32): void {
  if (load<u32>(row, ROW_INFINITE_RUN)) return;
  store<u32>(row, run, ROW_INFINITE_RUN);
  store<u32>(row, t, ROW_INFINITE_STEP);
}
