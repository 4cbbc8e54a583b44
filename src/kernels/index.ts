// The kernels' entry: runs a job (layout.ts) from its first step to its last.
//
//   for t = 0 … T-1:    h_t = tanh((x_t W_x + h_{t-1} W_h) + b)    for every row that still has steps
//
// Rows are sorted by their number of steps, so the rows at work are always the first `active` ones.
// Panels are the outer loop and rows the inner one: a panel (at most a few tens of KiB) stays in the
// first-level cache while all rows pass over it.
import {
  JOB_D,
  JOB_H,
  JOB_N,
  JOB_PANELS,
  JOB_ROWS,
  NR,
  ROW_BYTES,
  ROW_H,
  ROW_HS,
  ROW_HS_MASK,
  ROW_HS_STEP,
  ROW_H_NEXT,
  ROW_H_NOW,
  ROW_STEPS,
  ROW_TRACE,
  ROW_X,
  ROW_X_NOW,
  ROW_X_STEP,
} from './layout';
import { step1x32, step1x8 } from './step-1x32';
import { step4x8 } from './step-4x8';
import { tanhF32x4 } from './tanh';
import { trace1x8 } from './trace';

/** Runs the job whose record is at `job`. Writes states (and traces) of its rows, nothing else. */
export function run(job: usize): void {
  const rows = <usize>load<u32>(job, JOB_ROWS);
  const N = load<u32>(job, JOB_N);
  let active = N;
  for (let t: u32 = 0; ; t++) {
    while (active > 0 && load<u32>(rows + (active - 1) * ROW_BYTES, ROW_STEPS) <= t) active--;
    if (active == 0) return;
    moveCursors(rows, active, t);
    stepRows(job, rows, active);
    traceRows(job, rows, active, t);
  }
}

/** tanh of `count` floats, a multiple of 4, from `source` to `target`: for tests of the kernel itself. */
export function tanh(source: usize, target: usize, count: u32): void {
  for (let offset: usize = 0; offset < <usize>count << 2; offset += 16) {
    v128.store(target + offset, tanhF32x4(v128.load(source + offset)));
  }
}

function moveCursors(rows: usize, active: u32, t: u32): void {
  const end = rows + active * ROW_BYTES;
  for (let row = rows; row < end; row += ROW_BYTES) {
    const hs = load<u32>(row, ROW_HS);
    const step = load<u32>(row, ROW_HS_STEP);
    const mask = load<u32>(row, ROW_HS_MASK);
    store<u32>(row, load<u32>(row, ROW_X) + t * load<u32>(row, ROW_X_STEP), ROW_X_NOW);
    store<u32>(row, t == 0 ? load<u32>(row, ROW_H) : hs + ((t - 1) & mask) * step, ROW_H_NOW);
    store<u32>(row, hs + (t & mask) * step, ROW_H_NEXT);
  }
}

function stepRows(job: usize, rows: usize, active: u32): void {
  const D = load<u32>(job, JOB_D);
  const H = load<u32>(job, JOB_H);
  const panelSize = <usize>(1 + D + H) * (NR << 2);
  const columnsEnd = <usize>((H + NR - 1) / NR) * (NR << 2);
  const end = rows + active * ROW_BYTES;
  const tilesEnd = rows + (active & ~3) * ROW_BYTES;

  let panel = <usize>load<u32>(job, JOB_PANELS);
  for (let column: usize = 0; column < columnsEnd; column += NR << 2) {
    for (let row = rows; row < tilesEnd; row += 4 * ROW_BYTES) step4x8(row, panel, column, D, H);
    panel += panelSize;
  }

  for (let row = tilesEnd; row < end; row += ROW_BYTES) {
    panel = <usize>load<u32>(job, JOB_PANELS);
    let column: usize = 0;
    for (; column + 4 * (NR << 2) <= columnsEnd; column += 4 * (NR << 2)) {
      step1x32(row, panel, panelSize, column, D, H);
      panel += 4 * panelSize;
    }
    for (; column < columnsEnd; column += NR << 2) {
      step1x8(row, panel, column, D, H);
      panel += panelSize;
    }
  }
}

function traceRows(job: usize, rows: usize, active: u32, t: u32): void {
  const D = load<u32>(job, JOB_D);
  const H = load<u32>(job, JOB_H);
  const panelSize = <usize>(1 + D + H) * (NR << 2);
  const columnsEnd = <usize>((H + NR - 1) / NR) * (NR << 2);
  const end = rows + active * ROW_BYTES;
  for (let row = rows; row < end; row += ROW_BYTES) {
    const traces = <usize>load<u32>(row, ROW_TRACE);
    if (traces == 0) continue;
    const trace = traces + t * load<u32>(row, ROW_HS_STEP);
    let panel = <usize>load<u32>(job, JOB_PANELS);
    for (let column: usize = 0; column < columnsEnd; column += NR << 2) {
      trace1x8(row, panel, trace + column, D, H);
      panel += panelSize;
    }
  }
}
