// The readout of states, y = h W_y + b_y: of each row's last state, and of all states where they are
// kept. It does not feed back, so it is one product over many rows after the last step:
//
//   y from 0, add h_k W_y[k] for k = 0 … H-1 in blocks (product.ts), then add b_y
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
 * Adds a state whose readout is wanted; the product is done when there are enough of them.
 *
 * @param waiting pairs (state, readout) that wait for the product
 * @returns how many wait now: kept by the caller, as a global would outlive a job that traps
 */
export function readState(job: usize, waiting: u32, state: usize, y: usize): u32 {
  if (waiting == load<u32>(job, JOB_PAIRS_MAX)) {
    flushReadouts(job, waiting);
    waiting = 0;
  }
  const pair = <usize>load<u32>(job, JOB_PAIRS) + waiting * PAIR_BYTES;
  store<u32>(pair, state, PAIR_SOURCE);
  store<u32>(pair, y, PAIR_TARGET);
  memory.fill(y, 0, readoutSize(job));
  return waiting + 1;
}

/** Computes the readouts that wait. */
export function flushReadouts(job: usize, waiting: u32): void {
  const pairs = <usize>load<u32>(job, JOB_PAIRS);
  const O = load<u32>(job, JOB_O);
  product(pairs, waiting, load<u32>(job, JOB_W_Y), load<u32>(job, JOB_H), O);
  const b_y = <usize>load<u32>(job, JOB_B_Y);
  const size = readoutSize(job);
  for (let i: u32 = 0; i < waiting; i++) {
    const y = <usize>load<u32>(pairs + i * PAIR_BYTES, PAIR_TARGET);
    for (let at: usize = 0; at < size; at += 16) {
      v128.store(y + at, f32x4.add(v128.load(y + at), v128.load(b_y + at)));
    }
  }
}

function readoutSize(job: usize): usize {
  return <usize>((load<u32>(job, JOB_O) + NR - 1) / NR) * (NR << 2);
}
