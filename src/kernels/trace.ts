// The intermediate products of one row at one step,
//
//   h_W_h = h W_h      x_W_x = x W_x      z = (x W_x + h W_h) + b
//
// computed by the same products as the step itself, so z has exactly the bits whose tanh is the new state. A trace is
// seldom requested: the code is simple rather than fast.
import {
  JOB_B,
  JOB_D,
  JOB_H,
  JOB_NARROW,
  JOB_PAIRS,
  JOB_W_H,
  JOB_W_X,
  NR,
  PAIR_SOURCE,
  PAIR_TARGET,
  ROW_TRACE_SIZE,
} from './layout';
import { traceNarrow } from './narrow';
import { product } from './product';

/** Writes h W_h of this step to `h_W_h`, x W_x and z one and two times ROW_TRACE_SIZE bytes after it. */
export function traceRow(job: usize, row: usize, h_W_h: usize, x: usize, h: usize): void {
  const size = <usize>load<u32>(row, ROW_TRACE_SIZE);
  const x_W_x = h_W_h + size;
  const z = x_W_x + size;
  if (load<u32>(job, JOB_NARROW)) return traceNarrow(job, x, h, h_W_h, size);
  const rowBytes = <usize>((load<u32>(job, JOB_H) + NR - 1) / NR) * (NR << 2);
  memory.fill(h_W_h, 0, rowBytes);
  memory.fill(x_W_x, 0, rowBytes);
  memory.fill(z, 0, rowBytes);
  multiplyRow(job, h, JOB_W_H, JOB_H, h_W_h);
  multiplyRow(job, x, JOB_W_X, JOB_D, x_W_x);
  multiplyRow(job, x, JOB_W_X, JOB_D, z);
  multiplyRow(job, h, JOB_W_H, JOB_H, z);
  const b = <usize>load<u32>(job, JOB_B);
  for (let at: usize = 0; at < rowBytes; at += 16) {
    v128.store(z + at, f32x4.add(v128.load(z + at), v128.load(b + at)));
  }
}

/** target += source W, for one row. */
function multiplyRow(job: usize, source: usize, W: usize, K: usize, target: usize): void {
  const pair = <usize>load<u32>(job, JOB_PAIRS);
  store<u32>(pair, source, PAIR_SOURCE);
  store<u32>(pair, target, PAIR_TARGET);
  product(pair, 1, load<u32>(job + W), load<u32>(job + K), load<u32>(job, JOB_H));
}
