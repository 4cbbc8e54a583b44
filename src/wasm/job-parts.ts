// The records of a job (kernels/layout.ts): which of its rows and steps a thread is to compute.
//
//   parts    some of the rows each; they run side by side, as they share no memory that is written
//   slices   of a part, one after another: some steps of its rows; of many rows and few steps, some of the rows
//
// Where rows and steps are cut does not change a bit of their results. A part has two records, so that a
// thread can be given its next slice while it computes one.
import {
  JOB_TIME_BLOCK,
  JOB_B,
  JOB_B_Y,
  JOB_BYTES,
  JOB_D,
  JOB_END_STEP,
  JOB_FIRST_STEP,
  JOB_H,
  JOB_N,
  JOB_NARROW,
  JOB_O,
  JOB_PAIRS,
  JOB_PAIRS_MAX,
  JOB_ROWS,
  JOB_W_H,
  JOB_W_X,
  JOB_W_Y,
  KIND_JOB,
  PAIR_BYTES,
  RECORD_KIND,
  ROW_BYTES,
  SCRATCH_PAIRS,
} from '../kernels/layout.ts';
import { sumOf } from './job-cost.ts';
import type { PackedModel } from './job-shape.ts';
import type { LinearMemory } from './memory.ts';
import { isNarrow, panelOffsets, readoutOffsets } from './panels.ts';

/** Pairs of a part beyond the two for each of its rows, so that a product has rows of many steps. */
const PAIRS_MAX = Math.max(64, SCRATCH_PAIRS);
/** The rows of a batch tile: parts below that are not worth their while. */
const PART_ROWS_MIN = 4;
const PARTS_MAX = 16;
const RECORDS_PER_PART = 2;
/** Of a slice: fewer would read the weights too often. */
const SLICE_ROWS_MIN = 16;

/** Where everything is. */
export interface JobPlace {
  readonly memory: LinearMemory;
  readonly model: PackedModel;
  readonly recordsPtr: number;
  readonly rowsPtr: number;
  readonly pairsPtr: number;
  readonly ahead: number;
  readonly T: number;
  readonly N: number;
  /** Of the rows; all take T steps if absent. */
  readonly lengths: readonly number[] | undefined;
}

export interface Slice {
  /** Address of its record. */
  readonly ptr: number;
  /** How much of its part it is, 0 … 1. */
  readonly share: number;
}

interface Rectangle {
  readonly firstRow: number;
  readonly endRow: number;
  readonly fromStep: number;
  readonly endStep: number;
}

export function partsMaxOf(N: number): number {
  return Math.max(1, Math.min(PARTS_MAX, Math.floor(N / PART_ROWS_MIN)));
}

/** Room for the records of so many parts. */
export function recordsBytes(partsMax: number): number {
  return partsMax * RECORDS_PER_PART * JOB_BYTES;
}

export function pairsBytes(N: number, partsMax: number): number {
  return (2 * N + partsMax * PAIRS_MAX) * PAIR_BYTES;
}

export class JobParts {
  readonly #place: JobPlace;

  constructor(place: JobPlace) {
    this.#place = place;
  }

  /** The addresses of the records of `count` parts of about equal work. */
  split(count: number): number[] {
    return this.#cut(count).map(([firstRow, endRow], part) => this.#writeWhole(part, firstRow, endRow));
  }

  /** The same parts, to be computed slice by slice. */
  slice(count: number): JobSlices[] {
    const lengths = this.#sortedLengths();
    return this.#cut(count).map(([firstRow, endRow], part) => {
      const write = (turn: number, rectangle: Rectangle) => {
        const index = part * RECORDS_PER_PART + (turn % RECORDS_PER_PART);
        return this.#write(index, part, rectangle);
      };
      return new JobSlices(lengths, firstRow, endRow, this.#place.ahead, write);
    });
  }

  #cut(count: number): (readonly [firstRow: number, endRow: number])[] {
    if (count === 1) return [[0, this.#place.N]];
    const ends = partEnds(this.#sortedLengths(), count);
    return ends.map((end, part) => [ends[part - 1] ?? 0, end]);
  }

  #sortedLengths(): readonly number[] {
    const { lengths, N, T } = this.#place;
    return lengths?.toSorted((a, b) => b - a) ?? Array<number>(N).fill(T);
  }

  #writeWhole(part: number, firstRow: number, endRow: number): number {
    const rectangle = { firstRow, endRow, fromStep: 0, endStep: this.#place.T };
    return this.#write(part * RECORDS_PER_PART, part, rectangle);
  }

  /** Rows by their place in the order of their lengths. */
  #write(index: number, part: number, { firstRow, endRow, fromStep, endStep }: Rectangle): number {
    const { memory, model, recordsPtr, rowsPtr, pairsPtr, ahead } = this.#place;
    const { D, H, panelsPtr, readout } = model;
    const panels = panelOffsets(D, H);
    const ptr = recordsPtr + index * JOB_BYTES;
    const count = endRow - firstRow;
    const { words } = memory;
    const record = ptr >>> 2;
    words[record + RECORD_KIND / 4] = KIND_JOB;
    words[record + JOB_W_X / 4] = panelsPtr + panels.W_x;
    words[record + JOB_W_H / 4] = panelsPtr + panels.W_h;
    words[record + JOB_B / 4] = panelsPtr + panels.b;
    words[record + JOB_D / 4] = D;
    words[record + JOB_H / 4] = H;
    words[record + JOB_NARROW / 4] = isNarrow(D, H) ? 1 : 0;
    words[record + JOB_O / 4] = readout?.O ?? 0;
    words[record + JOB_W_Y / 4] = readout ? readout.panelsPtr : 0;
    words[record + JOB_B_Y / 4] = readout ? readout.panelsPtr + readoutOffsets(H, readout.O).b_y : 0;
    words[record + JOB_N / 4] = count;
    words[record + JOB_ROWS / 4] = rowsPtr + firstRow * ROW_BYTES;
    words[record + JOB_TIME_BLOCK / 4] = ahead;
    words[record + JOB_PAIRS / 4] = pairsPtr + (2 * firstRow + part * PAIRS_MAX) * PAIR_BYTES;
    words[record + JOB_PAIRS_MAX / 4] = 2 * count + PAIRS_MAX;
    words[record + JOB_FIRST_STEP / 4] = fromStep;
    words[record + JOB_END_STEP / 4] = endStep;
    return ptr;
  }
}

/** The slices of a part, in their order: each begins with the states that the one before has left. */
export class JobSlices {
  /** Steps of the rows, longest first. */
  readonly #lengths: readonly number[];
  readonly #endRow: number;
  readonly #ahead: number;
  readonly #write: (turn: number, rectangle: Rectangle) => number;
  readonly #rowSteps: number;
  #turn = 0;
  #rowsAtOnce: number | undefined;
  #row: number;
  #step = 0;

  constructor(
    lengths: readonly number[],
    firstRow: number,
    endRow: number,
    ahead: number,
    write: (turn: number, rectangle: Rectangle) => number,
  ) {
    this.#lengths = lengths;
    this.#endRow = endRow;
    this.#ahead = ahead;
    this.#write = write;
    this.#row = firstRow;
    this.#rowSteps = Math.max(1, sumOf(lengths.slice(firstRow, endRow)));
  }

  /** Whether there is no further one. */
  get isDone(): boolean {
    return this.#row === this.#endRow;
  }

  /**
   * The next one. At most two may be under way, on one thread.
   *
   * @param share about so much of the part, 0 … 1
   */
  next(share: number): Slice {
    const firstRow = this.#row;
    const wanted = share * this.#rowSteps;
    this.#rowsAtOnce ??= Math.max(SLICE_ROWS_MIN, Math.floor(wanted / PART_ROWS_MIN) * PART_ROWS_MIN);
    const endRow = Math.min(this.#endRow, firstRow + this.#rowsAtOnce);
    const fromStep = this.#step;
    const longest = this.#lengths[firstRow]!;
    const endStep = Math.min(longest, fromStep + this.#stepsOf(wanted / (endRow - firstRow)));
    const ptr = this.#write(this.#turn++, { firstRow, endRow, fromStep, endStep });
    if (endStep < longest) this.#step = endStep;
    else {
      this.#row = endRow;
      this.#step = 0;
    }
    const taken = this.#lengths.slice(firstRow, endRow).reduce(
      (sum, length) => sum + Math.max(0, Math.min(length, endStep) - fromStep),
      0,
    );
    return { ptr, share: taken / this.#rowSteps };
  }

  /** Whole blocks of those computed ahead, if it is as many. */
  #stepsOf(steps: number): number {
    const blocks = Math.floor(steps / this.#ahead);
    return blocks > 0 ? blocks * this.#ahead : Math.max(1, Math.floor(steps));
  }
}

/** Where each part ends: at a multiple of PART_ROWS_MIN rows, parts about equal in steps. */
function partEnds(lengths: readonly number[], count: number): number[] {
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
