// Where the regions of a job are in its block of linear memory, as byte offsets from the block's address:
//
//   | part records | row records | row pairs | x (T,N,D) | h (N,H) | states (S,N,H') | trace 3 × (T,N,H') |
//   | y (N,O') | ys (T,N,O') |
//
// H' and O' are H and O rounded up to multiples of NR, so that the kernels store whole vectors. Time is always
// the outermost axis. S = T slots where every state is kept; else a ring of 2^k slots, in which state t is in
// slot t mod 2^k. The slots of the steps to come hold x W_x until their states are computed.
//
// A region that a job does not need has 0 bytes. x and h are needed only where the caller has not written them to
// linear memory already, as it has the numbers of a request's body.
import { JOB_BYTES, NR, PAIR_BYTES, ROW_BYTES, SCRATCH_PAIRS } from '../kernels/layout.ts';
import { type CostSizes, timeBlockSteps } from './job-cost.ts';
import type { JobShape } from './job-shape.ts';

const F32 = Float32Array.BYTES_PER_ELEMENT;
/** A cache line: no two regions share one, and every vector load is aligned. */
const ALIGN_BYTES = 64;

/** Rows of a register tile: a part with fewer rows would not fill one. */
export const PART_ROWS_MIN = 4;
const PARTS_MAX = 16;
/** So that a thread can be given the next slice of its part while it computes one. */
export const RECORDS_PER_PART = 2;
/** Row pairs of a part beyond the two for each of its rows: scratch space, or a product over rows of many steps. */
const PART_PAIRS = Math.max(64, SCRATCH_PAIRS);

/**
 * One state tensor of the recurrence. A plain recurrent layer has one, h; a layer with a second one (the cell
 * state of an LSTM) has two of these.
 */
export interface StateRegion {
  /** (N, H) before the first step; 0 bytes if the caller has it in linear memory. */
  readonly initialAt: number;
  /** (slots, N, H') */
  readonly slotsAt: number;
  readonly slots: number;
}

export interface JobLayout {
  /** Of the whole block. */
  readonly bytes: number;
  /** How many parts there are records for. */
  readonly partsMax: number;
  /** Steps whose x W_x is computed as one product. */
  readonly timeBlock: number;
  /** Bytes of one row's state, H' float32. */
  readonly stateBytes: number;
  /** Bytes of one row's readout, O' float32; 0 if the model has none. */
  readonly outputBytes: number;
  readonly rowsAt: number;
  readonly pairsAt: number;
  readonly xAt: number;
  readonly h: StateRegion;
  /** Bytes of each of the three trace tensors; 0 without a trace. */
  readonly traceBytes: number;
  readonly traceAt: number;
  readonly yAt: number;
  readonly ysAt: number;
  /** 0 if the readouts of all states are not wanted. */
  readonly ysBytes: number;
}

/** Into how many parts a mini-batch of N rows may be split. */
export function partsMaxOf(N: number): number {
  return Math.max(1, Math.min(PARTS_MAX, Math.floor(N / PART_ROWS_MIN)));
}

export function layoutOf({ D, H, O }: CostSizes, shape: JobShape): JobLayout {
  const { T, N, keepsStates } = shape;
  const partsMax = partsMaxOf(N);
  const stateBytes = Math.ceil(H / NR) * NR * F32;
  const outputBytes = Math.ceil(O / NR) * NR * F32;
  const timeBlock = timeBlockSteps(T, N * stateBytes);
  const slots = keepsStates ? T : ringSlots(T, timeBlock);
  const traceBytes = shape.trace ? T * N * stateBytes : 0;
  const ysBytes = keepsStates ? T * N * outputBytes : 0;

  const regions = new Regions();
  // The first region, as the address of a job is that of its first part record.
  regions.add(partsMax * RECORDS_PER_PART * JOB_BYTES);
  const rowsAt = regions.add(N * ROW_BYTES);
  const pairsAt = regions.add((2 * N + partsMax * PART_PAIRS) * PAIR_BYTES);
  const xAt = regions.add(shape.xPtr === undefined ? T * N * D * F32 : 0);
  const initialAt = regions.add(shape.hPtr === undefined ? N * H * F32 : 0);
  const slotsAt = regions.add(slots * N * stateBytes);
  const traceAt = regions.add(3 * traceBytes);
  const yAt = regions.add(N * outputBytes);
  const ysAt = regions.add(ysBytes);
  return {
    bytes: regions.bytes,
    partsMax,
    timeBlock,
    stateBytes,
    outputBytes,
    rowsAt,
    pairsAt,
    xAt,
    h: { initialAt, slotsAt, slots },
    traceBytes,
    traceAt,
    yAt,
    ysAt,
    ysBytes,
  };
}

/** Offset of one of the RECORDS_PER_PART records of a part. */
export function partRecordAt(part: number, record: number): number {
  return (part * RECORDS_PER_PART + record) * JOB_BYTES;
}

/** Where the row pairs of a part are that has the rows firstRow … endRow - 1, and how many it may have. */
export function partPairs({ pairsAt }: JobLayout, part: number, firstRow: number, endRow: number) {
  return {
    at: pairsAt + (2 * firstRow + part * PART_PAIRS) * PAIR_BYTES,
    max: 2 * (endRow - firstRow) + PART_PAIRS,
  };
}

/** A time block and the state before it must fit; more slots than that are not needed. */
function ringSlots(T: number, timeBlock: number): number {
  return 2 ** Math.ceil(Math.log2(Math.min(T, timeBlock) + 1));
}

/** Regions one after the other, each aligned to a cache line. */
class Regions {
  bytes = 0;

  /** @returns the offset of a new region of `bytes` */
  add(bytes: number): number {
    const at = this.bytes;
    this.bytes += Math.ceil(bytes / ALIGN_BYTES) * ALIGN_BYTES;
    return at;
  }
}
