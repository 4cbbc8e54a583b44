// The parts of a job: some of its rows each. They run side by side, as they write to no memory in common. The
// result of a row has the same bits however the rows are split.
import { KIND_JOB, ROW_BYTES } from '../kernels/layout.ts';
import { sumOf } from './job-cost.ts';
import {
  type JobLayout,
  PART_ROWS_MIN,
  RECORDS_PER_PART,
  partPairs,
  partScratchAt,
  partRecordAt,
} from './job-layout.ts';
import { JobRecord } from './job-records.ts';
import type { JobShape } from './job-shape.ts';
import { JobSlices, type RowSteps } from './job-slices.ts';
import type { LinearMemory } from './memory.ts';

const F32 = Float32Array.BYTES_PER_ELEMENT;

export class JobParts {
  readonly #memory: LinearMemory;
  /** Of the job's block. */
  readonly #ptr: number;
  readonly #layout: JobLayout;
  readonly #modelPtr: number;
  readonly #shape: JobShape;

  constructor(
    memory: LinearMemory,
    ptr: number,
    layout: JobLayout,
    modelPtr: number,
    shape: JobShape,
  ) {
    this.#memory = memory;
    this.#ptr = ptr;
    this.#layout = layout;
    this.#modelPtr = modelPtr;
    this.#shape = shape;
  }

  /** The addresses of the records of `count` parts of about equal work; of one part, that of the job. */
  split(count: number): number[] {
    const endStep = this.#shape.T;
    return this.#rowsOfParts(count).map(([firstRow, endRow], part) =>
      this.#write(part, 0, { firstRow, endRow, firstStep: 0, endStep }),
    );
  }

  /** The same parts, to be computed slice by slice. */
  slice(count: number): JobSlices[] {
    const lengths = this.#sortedLengths();
    const { timeBlock, isForward } = this.#layout;
    return this.#rowsOfParts(count).map(([firstRow, endRow], part) => {
      const write = (index: number, range: RowSteps) =>
        this.#write(part, index % RECORDS_PER_PART, range);
      return new JobSlices({ lengths, firstRow, endRow, timeBlock, isForward, write });
    });
  }

  #rowsOfParts(count: number): (readonly [firstRow: number, endRow: number])[] {
    if (count === 1) return [[0, this.#shape.N]];
    const ends = endRowsOf(this.#sortedLengths(), count);
    return ends.map((end, part) => [ends[part - 1] ?? 0, end]);
  }

  /** The steps of the rows in the order of their records. */
  #sortedLengths(): readonly number[] {
    const { lengths, N, T } = this.#shape;
    return lengths?.toSorted((a, b) => b - a) ?? Array<number>(N).fill(T);
  }

  /** Writes a record of a part and returns its address. */
  #write(part: number, index: number, { firstRow, endRow, firstStep, endStep }: RowSteps): number {
    const layout = this.#layout;
    const pairs = partPairs(layout, part, firstRow, endRow);
    const ptr = this.#ptr + partRecordAt(part, index);
    const record = new JobRecord(this.#memory, ptr);
    record.kind = KIND_JOB;
    record.model = this.#modelPtr;
    record.runs = this.#ptr + layout.runsAt;
    record.head = layout.head;
    record.N = endRow - firstRow;
    record.rows = this.#ptr + layout.rowsAt + firstRow * ROW_BYTES;
    record.timeBlock = layout.timeBlock;
    record.segment = layout.segment;
    record.pairs = this.#ptr + pairs.at;
    record.pairsMax = pairs.max;
    record.scratch = this.#ptr + partScratchAt(layout, part);
    record.scratchRow = layout.scratchRow;
    const { finalAt, finalColumns } = layout.runs[layout.head - 1]!;
    record.final = this.#ptr + finalAt;
    record.finalRow = finalColumns * F32;
    record.y = this.#ptr + layout.yAt;
    record.yRow = layout.yColumns * F32;
    record.firstStep = firstStep;
    record.endStep = endStep;
    return ptr;
  }
}

/** The row after the last one of each part: a multiple of PART_ROWS_MIN, parts about equal in steps. */
function endRowsOf(lengths: readonly number[], count: number): number[] {
  const total = sumOf(lengths);
  const ends: number[] = [];
  let steps = 0;
  for (let n = 0; n < lengths.length; n++) {
    steps += lengths[n]!;
    const full = (n + 1) % PART_ROWS_MIN === 0 && steps >= (total * (ends.length + 1)) / count;
    if (full && ends.length < count - 1) ends.push(n + 1);
  }
  if (ends.at(-1) !== lengths.length) ends.push(lengths.length);
  return ends;
}
