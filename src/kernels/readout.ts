// The readout y = h W_y + b_y of each row's last state, and of all states where they are kept. No state depends on it,
// so it is computed after the last step, as one product over many rows. Order of additions:
//
//   y = 0; y += h_k W_y[k] for k = 0 … H-1 in blocks (product.ts); y += b_y
import {
  JOB_B_Y,
  JOB_H,
  JOB_O,
  JOB_PAIRS,
  JOB_PAIRS_MAX,
  JOB_W_Y,
  NR,
  PAIR_BYTES,
  PAIR_SOURCE,
  PAIR_TARGET,
} from './layout';
import { product } from './product';

/**
 * Adds the row pair (state, y) to the pending ones; when there is no space for another, their product is computed.
 *
 * @param pending how many row pairs are pending
 * @returns how many are pending now. The caller keeps the count: a global would survive a job that traps.
 */
export function queueReadout(job: usize, pending: u32, state: usize, y: usize): u32 {
  if (pending == load<u32>(job, JOB_PAIRS_MAX)) {
    flushReadouts(job, pending);
    pending = 0;
  }
  const pair = <usize>load<u32>(job, JOB_PAIRS) + pending * PAIR_BYTES;
  store<u32>(pair, state, PAIR_SOURCE);
  store<u32>(pair, y, PAIR_TARGET);
  memory.fill(y, 0, readoutSize(job));
  return pending + 1;
}

/** Computes the pending readouts. */
export function flushReadouts(job: usize, pending: u32): void {
  const pairs = <usize>load<u32>(job, JOB_PAIRS);
  const O = load<u32>(job, JOB_O);
  product(pairs, pending, load<u32>(job, JOB_W_Y), load<u32>(job, JOB_H), O);
  const b_y = <usize>load<u32>(job, JOB_B_Y);
  const size = readoutSize(job);
  for (let i: u32 = 0; i < pending; i++) {
    const y = <usize>load<u32>(pairs + i * PAIR_BYTES, PAIR_TARGET);
    for (let at: usize = 0; at < size; at += 16) {
      v128.store(y + at, f32x4.add(v128.load(y + at), v128.load(b_y + at)));
    }
  }
}

/** Bytes of one readout, padded to whole vectors. */
function readoutSize(job: usize): usize {
  return <usize>((load<u32>(job, JOB_O) + NR - 1) / NR) * (NR << 2);
}
