// A part of a job in slices, which are computed one after another, so that other work can run in between: a slice
// is some steps of the part's rows, or, of many rows with few steps, some of the rows. Each slice continues from
// the states that the one before has left. The results have the same bits however a part is divided.
import { PART_ROWS_MIN } from './job-layout.ts';
import { sumOf } from './job-cost.ts';

/** Rows of a slice at least: with fewer, the weights would be read too often. */
const SLICE_ROWS_MIN = 16;
/** More rows at once are hardly faster, however large the weights are. */
const FAST_ROWS = 32;

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
  #rowsAtOnce = 0;
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
   * @param shareMin that a later slice may have to have: it goes on with the rows of this one, and has one step of them at least
   */
  next(share: number, shareMin = share): Slice {
    const firstRow = this.#row;
    const wanted = share * this.#rowSteps;
    const firstStep = this.#step;
    const longest = this.#lengths[firstRow]!;
    if (firstStep === 0) this.#rowsAtOnce = this.#rowsOf(wanted, shareMin * this.#rowSteps, longest);
    const endRow = Math.min(this.#endRow, firstRow + this.#rowsAtOnce);
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

  /**
   * How many rows are computed together.
   *
   * @param wanted rows times steps of this slice
   * @param least rows times steps of the shortest slice of the same rows: with one step it may not have more rows
   */
  #rowsOf(wanted: number, least: number, longest: number): number {
    const withAllSteps = wanted / Math.max(1, longest);
    const rows = this.#isForward ? Math.max(withAllSteps, Math.min(wanted, Math.max(FAST_ROWS, least))) : withAllSteps;
    const rowsMin = this.#isForward ? SLICE_ROWS_MIN : PART_ROWS_MIN;
    return Math.max(rowsMin, Math.floor(rows / PART_ROWS_MIN) * PART_ROWS_MIN);
  }

  /** Whole time blocks if there is at least one, as each is one product; else whole steps, at least one. */
  #stepsOf(steps: number): number {
    const blocks = Math.floor(steps / this.#timeBlock);
    return blocks > 0 ? blocks * this.#timeBlock : Math.max(1, Math.floor(steps));
  }
}
