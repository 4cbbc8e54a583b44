// A stack of layers over the sequences of a mini-batch: layer after layer, in each row after row, step after step.
import {
  directionsOf,
  gatesOf,
  inputsOf,
  isRecurrent,
  type Layer,
  outputsOf,
  type RecurrentLayer,
} from '../../layers.ts';
import { type CellState, cellStep } from './cells.ts';
import { rowOf } from './layers.ts';

export interface ReferenceInput {
  readonly T: number;
  readonly N: number;
  /** (T, N, D) floats; (T, N) integers if the first layer is an embedding. */
  readonly x: Float32Array | Uint32Array;
  /** [n]: steps of row n, 0 … T; absent: T of every row. */
  readonly lengths?: readonly number[] | undefined;
  /** (N, H) before the first step, for each recurrent layer and direction, forward first; absent: zeros. */
  readonly h?: readonly (Float32Array | undefined)[] | undefined;
  /** As h, for LSTMs. */
  readonly c?: readonly (Float32Array | undefined)[] | undefined;
}

/** What has an axis T is 0 beyond a row's length. */
export interface ReferenceOutput {
  /** (T, N, outputs) of the last recurrent layer. */
  readonly hs: Float32Array;
  /** (N, H) after the last step computed, for each recurrent layer and direction, forward first. */
  readonly h: readonly Float32Array[];
  /** As h; undefined where the layer is no LSTM. */
  readonly c: readonly (Float32Array | undefined)[];
  /** (T, N, O) of the layers after the last recurrent one; absent if there are none. */
  readonly ys?: Float32Array;
  /** (N, O): what those layers make of the last recurrent layer's h, of both directions side by side. */
  readonly y?: Float32Array;
  /** For each recurrent layer and direction, forward first. */
  readonly trace: readonly CellTrace[];
}

/** (T, N, G, H) each, as of CellStep. */
export interface CellTrace {
  readonly z: Float32Array;
  readonly gates: Float32Array;
}

/** @param layers of which at least one is recurrent */
export function referenceModel(layers: readonly Layer[], input: ReferenceInput): ReferenceOutput {
  const { T, N, x, lengths = Array<number>(N).fill(T) } = input;
  const batch = { T, N, lengths };
  const directions: DirectionOutput[] = [];
  let values = x;
  let hs = new Float32Array();
  /** (N, outputs): the final states of each row, of both directions side by side. */
  let last = new Float32Array();
  for (const layer of layers) {
    if (isRecurrent(layer)) {
      const from = directions.length;
      const before = { h: input.h?.slice(from), c: input.c?.slice(from) };
      const output = runRecurrent(layer, batch, values as Float32Array, before);
      directions.push(...output.directions);
      ({ hs, last } = output);
      values = hs;
    } else {
      values = runRows(layer, values, (at) => Math.floor(at / N) < lengths[at % N]!);
      // Before the first recurrent layer there are none.
      last = runRows(layer, last, () => true);
    }
  }
  return {
    hs,
    h: directions.map(({ h }) => h),
    c: directions.map(({ c }) => c),
    ...(isRecurrent(layers.at(-1)!) ? {} : { ys: values as Float32Array, y: last }),
    trace: directions.map(({ trace }) => trace),
  };
}

/** A layer without a state over all rows of `values`; those that are not valid are left 0. */
function runRows(
  layer: Exclude<Layer, RecurrentLayer>,
  values: Float32Array | Uint32Array,
  isValid: (at: number) => boolean,
): Float32Array<ArrayBuffer> {
  const [inputs, outputs] = [inputsOf(layer), outputsOf(layer)];
  const count = values.length / inputs;
  const result = new Float32Array(count * outputs);
  for (let at = 0; at < count; at++) {
    if (isValid(at)) result.set(rowOf(layer, rowAt(values, at, inputs)), at * outputs);
  }
  return result;
}

interface Batch {
  readonly T: number;
  readonly N: number;
  readonly lengths: readonly number[];
}

interface DirectionOutput {
  readonly h: Float32Array;
  readonly c: Float32Array | undefined;
  readonly trace: CellTrace;
}

/** A recurrent layer; the outputs of its directions are side by side. */
function runRecurrent(
  layer: RecurrentLayer,
  batch: Batch,
  x: Float32Array,
  before: Pick<ReferenceInput, 'h' | 'c'>,
) {
  const { H } = layer;
  const { T, N } = batch;
  const outputs = outputsOf(layer);
  const hs = new Float32Array(T * N * outputs);
  const directions = directionsOf(layer).map((_, k) =>
    runDirection(layer, k, batch, x, { h: before.h?.[k], c: before.c?.[k] }, hs),
  );
  const last = new Float32Array(N * outputs);
  for (let n = 0; n < N; n++) {
    directions.forEach(({ h }, k) => last.set(rowAt(h, n, H), n * outputs + k * H));
  }
  return { hs, last, directions };
}

/** Direction number k of a layer, whose outputs are written to their columns of `hs`. */
function runDirection(
  layer: RecurrentLayer,
  k: number,
  { T, N, lengths }: Batch,
  x: Float32Array,
  before: { readonly h: Float32Array | undefined; readonly c: Float32Array | undefined },
  hs: Float32Array,
): DirectionOutput {
  const { D, H } = layer;
  const isReverse = directionsOf(layer)[k] === 'reverse';
  const weights = k === 0 ? layer.weights : layer.backward!;
  const h = before.h?.slice() ?? new Float32Array(N * H);
  const c = layer.type === 'lstm' ? (before.c?.slice() ?? new Float32Array(N * H)) : undefined;
  const columns = gatesOf(layer) * H;
  const trace = { z: new Float32Array(T * N * columns), gates: new Float32Array(T * N * columns) };
  for (const [n, length] of lengths.entries()) {
    let state: CellState = { h: rowAt(h, n, H), c: c && rowAt(c, n, H) };
    for (let s = 0; s < length; s++) {
      // A row in reverse begins at its own last step.
      const t = isReverse ? length - 1 - s : s;
      const at = t * N + n;
      const step = cellStep(layer, weights, rowAt(x, at, D), state);
      hs.set(step.h, at * outputsOf(layer) + k * H);
      trace.z.set(step.z, at * columns);
      trace.gates.set(step.gates, at * columns);
      state = step;
    }
    h.set(state.h, n * H);
    c?.set(state.c!, n * H);
  }
  return { h, c, trace };
}

/** Row number `at` of rows of `size` elements, in place. */
function rowAt<A extends Float32Array | Uint32Array>(rows: A, at: number, size: number): A {
  return rows.subarray(at * size, (at + 1) * size) as A;
}
