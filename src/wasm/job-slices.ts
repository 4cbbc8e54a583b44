// A part of a job in slices, which are computed one after another, so that other work can run in between: a slice
// is some steps of the part's rows, or, of many rows with few steps, some of the rows. Each slice continues from
// the states that the one before has left. The results have the same bits however a part is divided.
import { PART_ROWS_MIN } from './job-layout.ts';
import { sumOf } from './job-cost.ts';

/** Rows of a slice at least: with fewer, the weights would be read too often. */
const SLICE_ROWS_MIN = 16;

/** The rows firstRow … endRow - 1, each from step firstStep to endStep - 1, or to its last step. */
export interface RowSteps {
  readonly firstRow: number;
  readonly endRow: number;
  readonly firstStep: number;
  readonly endStep: number;
}

/** Some of the work of a part, as the scheduler dispatches it to a worker. */
export interface Slice {
  /** Address of its job record. */
  readonly ptr: number;
  /** Its share of the work of its part, 0 … 1. */
  readonly share: number;
}

export interface JobSlicesOptions {
  /** Steps of all rows of the job, the longest first. */
  readonly lengths: readonly number[];
  /** The rows of the part: firstRow … endRow - 1. */
  readonly firstRow: number;
  readonly endRow: number;
  readonly timeBlock: number;
  /** Whether a slice may have some of the steps of its rows: not if a layer begins with the last step. */
  readonly isForward: boolean;
  /** Writes the record of slice number `index` = 0, 1, … and returns its address. */
  readonly write: (index: number, range: RowSteps) => number;
}

export class JobSlices {
  readonly #lengths: readonly number[];
  readonly #endRow: number;
  readonly #timeBlock: number;
  readonly #isForward: boolean;
  readonly #write: JobSlicesOptions['write'];
  /** Steps of all rows of the part. */
  readonly #rowSteps: number;
  #count = 0;
  #rowsAtOnce: number | undefined;
  /** Where the next slice begins. */
  #row: number;
  #step = 0;

  constructor({ lengths, firstRow, endRow, timeBlock, isForward, write }: JobSlicesOptions) {
    this.#lengths = lengths;
    this.#endRow = endRow;
    this.#timeBlock = timeBlock;
    this.#isForward = isForward;
    this.#write = write;
    this.#row = firstRow;
    this.#rowSteps = Math.max(1, sumOf(lengths.slice(firstRow, endRow)));
  }

  /** Whether next() has returned the last slice. */
  get isDone(): boolean {
    return this.#row === this.#endRow;
  }

  /**
   * Writes the record of the next slice. There are two records: at most two slices of a part may be running
   * or waiting, both on one thread.
   *
   * @param share of the part that the slice should have, about, 0 … 1
   */
  next(share: number): Slice {
    const firstRow = this.#row;
    const wanted = share * this.#rowSteps;
    this.#rowsAtOnce ??= Math.max(this.#isForward ? SLICE_ROWS_MIN : PART_ROWS_MIN, Math.floor(wanted / PART_ROWS_MIN) * PART_ROWS_MIN);
    const endRow = Math.min(this.#endRow, firstRow + this.#rowsAtOnce);
    const firstStep = this.#step;
    const longest = this.#lengths[firstRow]!;
    const steps = this.#isForward ? this.#stepsOf(wanted / (endRow - firstRow)) : longest;
    const endStep = Math.min(longest, firstStep + steps);
    const ptr = this.#write(this.#count++, { firstRow, endRow, firstStep, endStep });
    if (endStep < longest) this.#step = endStep;
    else {
      this.#row = endRow;
      this.#step = 0;
    }
    const rowSteps = this.#lengths.slice(firstRow, endRow).reduce(
      (sum, length) => sum + Math.max(0, Math.min(length, endStep) - firstStep),
      0,
    );
    return { ptr, share: rowSteps / this.#rowSteps };
  }

  /** Whole time blocks if there is at least one, as each is one product; else whole steps, at least one. */
  #stepsOf(steps: number): number {
    const blocks = Math.floor(steps / this.#timeBlock);
    return blocks > 0 ? blocks * this.#timeBlock : Math.max(1, Math.floor(steps));
  }
}
