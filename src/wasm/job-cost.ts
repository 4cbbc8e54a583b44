// What a job costs, computed before anything is allocated for it: its arithmetic, and the bytes of weights that it
// reads. Jobs of few rows do little arithmetic with each weight: where the weights fit no cache, reading them
// takes longer than computing with them.
import { NR } from '../kernels/layout.ts';
import type { JobShape } from './job-shape.ts';
import { isNarrow } from './panels.ts';

const F32 = Float32Array.BYTES_PER_ELEMENT;
/** The products x W_x of a time block should still be in the second-level cache when its steps are computed. */
const TIME_BLOCK_BYTES_MAX = 128 * 1024;
const TIME_BLOCK_STEPS_MAX = 63;
/** Up to this many rows have tiles of their own, which do fewer operations for each weight they load. */
const FEW_ROWS_MAX = 3;

/** Jobs of one kind do about as many operations in a millisecond. */
export type JobKind = 'narrow' | 'few rows' | 'rows';

export interface JobCost {
  readonly kind: JobKind;
  /** float32 operations; one of float64 counts as two, as it takes as long. */
  readonly flops: number;
  /** Bytes of the packed W_x and W_h. */
  readonly weightsBytes: number;
  /** Bytes of weights that are read, each as often as it is read. */
  readonly readBytes: number;
}

/** Inputs, hidden units and outputs of a model; O is 0 if it has no readout. */
export interface CostSizes {
  readonly D: number;
  readonly H: number;
  readonly O: number;
}

export function costOf({ D, H, O }: CostSizes, { T, N, lengths, keepsStates, trace }: JobShape): JobCost {
  const narrow = isNarrow(D, H);
  const rowSteps = lengths ? sumOf(lengths) : T * N;
  const steps = lengths ? Math.max(0, ...lengths) : T;
  const readoutFlops = 2 * (keepsStates ? rowSteps : N) * H * O;
  // A trace computes both products of each row once more, each by itself.
  const products = trace ? 2 : 1;
  const flops = 2 * rowSteps * (D + H) * H * (narrow ? 2 : 1) * products + readoutFlops;
  const columnsBytes = Math.ceil(H / NR) * NR * F32 * (narrow ? 2 : 1);
  const weightsBytes = (D + H) * columnsBytes;
  const stepBytes = (H + D / timeBlockSteps(T, N * columnsBytes)) * columnsBytes;
  const readBytes = steps * stepBytes + (trace ? rowSteps * weightsBytes : 0);
  const kind = narrow ? 'narrow' : N <= FEW_ROWS_MAX ? 'few rows' : 'rows';
  return { kind, flops, weightsBytes, readBytes };
}

/**
 * For how many steps x W_x is computed as one product, before the steps are computed.
 *
 * @param bytesPerStep bytes of the states of all rows at one step
 */
export function timeBlockSteps(T: number, bytesPerStep: number): number {
  return Math.max(1, Math.min(T, TIME_BLOCK_STEPS_MAX, Math.floor(TIME_BLOCK_BYTES_MAX / bytesPerStep)));
}

export function sumOf(lengths: readonly number[]): number {
  return lengths.reduce((sum, length) => sum + length, 0);
}
