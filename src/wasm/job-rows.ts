// The row records of a job: which rows of the mini-batch there are, and how many steps each has.
import { ROW_BYTES } from '../kernels/layout.ts';
import { RowRecord } from './job-records.ts';
import type { JobShape } from './job-shape.ts';
import type { LinearMemory } from './memory.ts';

/** Writes one record for each of the N rows at `ptr`, sorted by their number of steps, the longest first. */
export function writeRows(memory: LinearMemory, ptr: number, { T, N, lengths }: JobShape): void {
  const order = lengths && rowsByLength(lengths);
  const row = new RowRecord(memory, ptr);
  for (let i = 0; i < N; i++) {
    const n = order ? order[i]! : i;
    row.moveTo(ptr + i * ROW_BYTES);
    row.n = n;
    row.steps = lengths ? lengths[n]! : T;
    row.infiniteRun = 0;
  }
}

/** A row of a relu layer with an infinite state. */
export interface InfiniteState {
  readonly n: number;
  /** The step after which it was infinite. */
  readonly t: number;
}

/** The first row whose state was infinite after some step, if there is one. */
export function infiniteStateOf(memory: LinearMemory, ptr: number, N: number): InfiniteState | undefined {
  const row = new RowRecord(memory, ptr);
  for (let i = 0; i < N; i++) {
    row.moveTo(ptr + i * ROW_BYTES);
    if (row.infiniteRun !== 0) return { n: row.n, t: row.infiniteStep };
  }
  return undefined;
}

/** Copies which of N rows had an infinite state, from row records of another job. */
export function copyInfinite(memory: LinearMemory, fromPtr: number, toPtr: number, N: number): void {
  const from = new RowRecord(memory, fromPtr);
  const to = new RowRecord(memory, toPtr);
  for (let i = 0; i < N; i++) {
    from.moveTo(fromPtr + i * ROW_BYTES);
    to.moveTo(toPtr + i * ROW_BYTES);
    to.infiniteRun = from.infiniteRun;
    to.infiniteStep = from.infiniteStep;
  }
}

/** The numbers of the rows, longest first; rows of equal length stay in their order. */
function rowsByLength(lengths: readonly number[]): number[] {
  return lengths.map((_, n) => n).toSorted((a, b) => lengths[b]! - lengths[a]!);
}
