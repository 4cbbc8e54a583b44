// The row records of a job: where each row of the mini-batch reads its inputs and writes its results.
import { ROW_BYTES } from '../kernels/layout.ts';
import type { JobLayout } from './job-layout.ts';
import { RowRecord } from './job-records.ts';
import type { JobShape } from './job-shape.ts';
import type { LinearMemory } from './memory.ts';

const F32 = Float32Array.BYTES_PER_ELEMENT;
/** ANDed with a step, it gives the slot of its state: here each step has a slot of its own. */
const ALL_STEPS = 0xffff_ffff;

/** Addresses in linear memory. */
export interface RowTable {
  /** Of the job's block. */
  readonly ptr: number;
  readonly layout: JobLayout;
  /** (T, N, D) */
  readonly xPtr: number;
  /** (N, H), the state before the first step. */
  readonly hPtr: number;
}

/** Writes one record for each of the N rows, sorted by their number of steps, the longest first. */
export function writeRows(
  memory: LinearMemory,
  { ptr, layout, xPtr, hPtr }: RowTable,
  { D, H }: { readonly D: number; readonly H: number },
  { T, N, lengths, keepsStates, trace }: JobShape,
): void {
  const { h, stateBytes, outputBytes, traceBytes } = layout;
  const order = lengths && rowsByLength(lengths);
  const hsMask = keepsStates ? ALL_STEPS : h.slots - 1;
  const hasOutputs = layout.ysBytes > 0;
  const row = new RowRecord(memory, ptr + layout.rowsAt);
  for (let i = 0; i < N; i++) {
    const n = order ? order[i]! : i;
    row.moveTo(ptr + layout.rowsAt + i * ROW_BYTES);
    row.x = xPtr + n * D * F32;
    row.xStep = N * D * F32;
    row.h = hPtr + n * H * F32;
    row.hs = ptr + h.slotsAt + n * stateBytes;
    row.hsStep = N * stateBytes;
    row.hsMask = hsMask;
    row.steps = lengths ? lengths[n]! : T;
    row.trace = trace ? ptr + layout.traceAt + n * stateBytes : 0;
    row.traceSize = traceBytes;
    row.y = ptr + layout.yAt + n * outputBytes;
    row.ys = hasOutputs ? ptr + layout.ysAt + n * outputBytes : 0;
    row.ysStep = N * outputBytes;
  }
}

/** The numbers of the rows, longest first; rows of equal length stay in their order. */
function rowsByLength(lengths: readonly number[]): number[] {
  return lengths.map((_, n) => n).toSorted((a, b) => lengths[b]! - lengths[a]!);
}
