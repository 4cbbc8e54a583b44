// Where the regions of a job are in its block of linear memory, as byte offsets from the block's address:
//
//   | part records | run records | row records | row pairs | scratch | x (T,N,D) | regions of each layer | y (N,O') |
//
// H', O' … are H, O … rounded up to multiples of NR, so that the kernels store whole vectors. Time is always the outermost
// axis. S = T slots where every state is kept or a layer is reversed; else a ring of 2^k slots, in which state t is in
// slot t mod 2^k.
//
// A region that a job does not need has 0 bytes. x and h are needed only where the caller has not written them to
// linear memory already, as it has the numbers of a request's body.
import {
  JOB_BYTES,
  PAIR_BYTES,
  ROWS_AT_ONCE,
  ROW_BYTES,
  RUN_BYTES,
  SCRATCH_PAIRS,
} from '../kernels/layout.ts';
import type { LayerSpec, RecurrentSpec } from '../layers.ts';
import { directionsOf, gatesOf, inputsOf, isRecurrent, outputsOf, shortFormOf } from '../layers.ts';
import { ByShape } from './by-shape.ts';
import { type JobCost, costOf, timeBlockOf } from './job-cost.ts';
import type { JobShape } from './job-shape.ts';
import type { PackedLayer } from './packed-model.ts';
import { padded } from './panels.ts';

const F32 = Float32Array.BYTES_PER_ELEMENT;
/** A cache line: no two regions share one, and every vector load is aligned. */
const ALIGN_BYTES = 64;

/** Rows of a register tile: a part with fewer rows would not fill one. */
export const PART_ROWS_MIN = 4;
const PARTS_MAX = 16;
/** So that a thread can be given the next slice of its part while it computes one. */
export const RECORDS_PER_PART = 2;
/** Row pairs of a part beyond the two for each of its rows: scratch space, or a product over rows of many steps. */
const PART_PAIRS = 2 * ROWS_AT_ONCE + SCRATCH_PAIRS;

/** (slots, N, columns): vectors of each row at each step, or at the last ones. */
export interface VectorRegion {
  readonly at: number;
  readonly slots: number;
  /** Floats of a vector, padded. */
  readonly columns: number;
}

/** The states of one direction of a recurrent layer. */
export interface StateRegion {
  /** (N, H) before the first step, not padded. */
  readonly initialAt: number;
  /** (N, H') of the same for h, and of the current one for c. */
  readonly currentAt: number;
}

/** One layer record of the model in the job. Regions that it does not have are absent. */
export interface RunLayout {
  readonly layer: PackedLayer;
  /** What it computes for the next layer or the caller; of the last of consecutive affine and dense layers only. */
  readonly out: VectorRegion | undefined;
  /** Floats in a vector of `out` before those of this direction. */
  readonly outColumn: number;
  readonly gates: VectorRegion | undefined;
  readonly h: StateRegion | undefined;
  readonly c: StateRegion | undefined;
  /** (N, outputs of both directions, padded): h after each row's last step. */
  readonly finalAt: number;
  readonly finalColumns: number;
  /** (T, N, 2 G H'): z and values of all gates. */
  readonly trace: VectorRegion | undefined;
  /** 3 × (T, N, H'): h W_h, x W_x and z of a model of one tanh layer. */
  readonly products: VectorRegion | undefined;
}

export interface JobLayout {
  /** Of the whole block. */
  readonly bytes: number;
  /** Of a job all of whose rows have T steps. */
  readonly fullCost: JobCost;
  /** How many parts there are records for. */
  readonly partsMax: number;
  /** Steps whose x W_x is computed as one product. */
  readonly timeBlock: number;
  /** Steps that one layer computes before the next layer does. */
  readonly segment: number;
  /** Whether the job can be computed in slices of some steps. */
  readonly isForward: boolean;
  readonly runsAt: number;
  readonly rowsAt: number;
  readonly pairsAt: number;
  readonly scratchAt: number;
  /** Bytes of a row between two affine or dense layers; 0 if there is none. */
  readonly scratchRow: number;
  readonly xAt: number;
  readonly runs: readonly RunLayout[];
  /** Those of recurrent layers. */
  readonly states: readonly RunLayout[];
  /** Index in `runs` of the first layer behind the last recurrent one; runs.length if there is none. */
  readonly head: number;
  /** (N, O'): outputs of the head for the final states. */
  readonly yAt: number;
  /** O'; 0 if there is no head. */
  readonly yColumns: number;
}

/** Into how many parts a mini-batch of N rows may be split. */
export function partsMaxOf(N: number): number {
  return Math.max(1, Math.min(PARTS_MAX, Math.floor(N / PART_ROWS_MIN)));
}

const layouts = new WeakMap<readonly PackedLayer[], ByShape<JobLayout>>();

/** The layout of a job; it does not depend on the lengths of its rows. Making one takes 1 µs, finding it a fiftieth. */
export function layoutOf(model: readonly PackedLayer[], shape: JobShape): JobLayout {
  let known = layouts.get(model);
  if (!known) layouts.set(model, (known = new ByShape()));
  return known.find(shape) ?? known.add(shape, newLayout(model, shape));
}

function newLayout(model: readonly PackedLayer[], shape: JobShape): JobLayout {
  const { T, N } = shape;
  const layers = specsOf(model);
  const partsMax = partsMaxOf(N);
  const timeBlock = timeBlockOf(layers, T, N);
  const isForward = !model.some(({ isReverse }) => isReverse);
  const segment = isForward ? timeBlock : T;
  const head = model.findLastIndex(({ spec }) => isRecurrent(spec)) + 1;

  const regions = new Regions();
  // The first region, as the address of a job is that of its first part record.
  regions.add(partsMax * RECORDS_PER_PART * JOB_BYTES);
  const runsAt = regions.add(model.length * RUN_BYTES);
  const rowsAt = regions.add(N * ROW_BYTES);
  const pairsAt = regions.add((2 * N + partsMax * PART_PAIRS) * PAIR_BYTES);
  const scratchRow = scratchColumnsOf(layers) * F32;
  const scratchAt = regions.add(partsMax * 2 * ROWS_AT_ONCE * scratchRow);
  const xAt = regions.add(shape.xPtr === undefined ? T * N * inputsOf(layers[0]!) * F32 : 0);
  const runs = runsOf(model, head, { ...shape, timeBlock, segment }, regions);
  const yColumns = head < model.length ? padded(outputsOf(layers.at(-1)!)) : 0;
  const yAt = regions.add(N * yColumns * F32);
  return {
    bytes: regions.bytes,
    fullCost: costOf(layers, { ...shape, lengths: undefined }),
    partsMax,
    timeBlock,
    segment,
    isForward,
    runsAt,
    rowsAt,
    pairsAt,
    scratchAt,
    scratchRow,
    xAt,
    runs,
    states: runs.filter(({ h }) => h),
    head,
    yAt,
    yColumns,
  };
}

interface RunsShape extends JobShape {
  readonly timeBlock: number;
  readonly segment: number;
}

function runsOf(model: readonly PackedLayer[], head: number, shape: RunsShape, regions: Regions): RunLayout[] {
  const { T, N, keepsStates, segment } = shape;
  const vectors = (slots: number, columns: number): VectorRegion => ({
    at: regions.add(slots * N * columns * F32),
    slots,
    columns,
  });
  const ring = ringSlots(T, segment);
  const hasProducts = shape.trace && shortFormOf(specsOf(model)) !== undefined;
  let isFirstRecurrent = true;
  const runs: RunLayout[] = [];
  for (const [k, layer] of model.entries()) {
    const { spec } = layer;
    if (!isRecurrent(spec)) {
      const isKept = keepsOutputs(model, k, head, keepsStates);
      const out = isKept ? vectors(k < head ? ring : T, padded(outputsOf(spec))) : undefined;
      runs.push({ ...NOTHING, layer, out });
      continue;
    }
    const isSecond = runs.at(-1)?.layer.layer === layer.layer;
    const before = isSecond ? runs.at(-1)! : undefined;
    const columns = columnsOfBoth(spec);
    const isLast = layer.layer === model[head - 1]!.layer;
    const out = before?.out ?? vectors(isLast && keepsStates ? T : ring, columns);
    const own = padded(spec.H);
    const hasInitial = isFirstRecurrent && shape.hPtr !== undefined;
    isFirstRecurrent = false;
    const state = (hasPtr: boolean) => ({
      initialAt: regions.add(hasPtr ? 0 : N * spec.H * F32),
      currentAt: regions.add(N * own * F32),
    });
    runs.push({
      layer,
      out,
      outColumn: isSecond ? spec.H : 0,
      // An rnn sums its one gate where the state will be.
      gates: spec.type === 'rnn' ? undefined : vectors(ringSlots(T, shape.timeBlock), layer.gateColumns),
      h: state(hasInitial),
      c: spec.type === 'lstm' ? state(false) : undefined,
      finalAt: before?.finalAt ?? regions.add(N * columns * F32),
      finalColumns: columns,
      trace: shape.trace && !hasProducts ? vectors(T, 2 * gatesOf(spec) * own) : undefined,
      products: hasProducts ? vectors(3 * T, own) : undefined,
    });
  }
  return runs;
}

const NOTHING = {
  outColumn: 0,
  gates: undefined,
  h: undefined,
  c: undefined,
  finalAt: 0,
  finalColumns: 0,
  trace: undefined,
  products: undefined,
};

/** Whether the outputs of an affine or dense layer are kept: those of the last of consecutive ones, for another layer. */
function keepsOutputs(model: readonly PackedLayer[], k: number, head: number, keepsStates: boolean): boolean {
  if (model[k]!.spec.type === 'embedding') return false;
  if (k >= head) return keepsStates && k === model.length - 1;
  return isRecurrent(model[k + 1]!.spec);
}

/**
 * Floats of the outputs of a recurrent layer, both directions side by side. The padding of the forward ones is
 * overwritten by the backward ones, which are computed after them.
 */
function columnsOfBoth(spec: RecurrentSpec): number {
  return padded((directionsOf(spec).length - 1) * spec.H + padded(spec.H));
}

/** Floats of the widest row between two consecutive affine or dense layers; 0 if there are none. */
function scratchColumnsOf(layers: readonly LayerSpec[]): number {
  const isRows = (layer?: LayerSpec) => layer?.type === 'affine' || layer?.type === 'dense';
  const widths = layers.map((layer, k) => (isRows(layer) && isRows(layers[k + 1]) ? padded(outputsOf(layer)) : 0));
  return Math.max(...widths);
}

function specsOf(model: readonly PackedLayer[]): LayerSpec[] {
  return model.filter(({ layer }, k) => layer !== model[k - 1]?.layer).map(({ spec }) => spec);
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

/** Offset of the scratch rows of a part. */
export function partScratchAt({ scratchAt, scratchRow }: JobLayout, part: number): number {
  return scratchAt + part * 2 * ROWS_AT_ONCE * scratchRow;
}

/** A slot for each step if there are few; else a ring, in which a block of steps and the state before it fit. */
function ringSlots(T: number, steps: number): number {
  return T <= steps + 1 ? T : 2 ** Math.ceil(Math.log2(steps + 1));
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
