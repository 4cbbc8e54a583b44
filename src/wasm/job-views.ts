// The tensors of a job, as views of its block: rows are padded to whole vectors, which strides skip.
import { GATES, type RecurrentSpec, outputsOf } from '../layers.ts';
import type { TensorView } from '../tensor.ts';
import type { JobLayout, RunLayout, VectorRegion } from './job-layout.ts';
import type { JobShape } from './job-shape.ts';
import type { LinearMemory } from './memory.ts';
import { padded } from './panels.ts';

const F32 = Float32Array.BYTES_PER_ELEMENT;

/** The intermediate products of every step of a model of one tanh layer, each (T, N, H). */
export interface Trace {
  readonly h_W_h: TensorView;
  readonly x_W_x: TensorView;
  readonly z: TensorView;
}

/** The gates of every step of one direction of a recurrent layer, by their names (GATES), each (T, N, H). */
export interface GateTrace {
  /** Index of the layer in the model. */
  readonly layer: number;
  readonly direction: 'forward' | 'reverse';
  /** Pre-activations. */
  readonly z: Readonly<Record<string, TensorView>>;
  readonly values: Readonly<Record<string, TensorView>>;
}

/** The states of one direction of a recurrent layer, each (N, H). */
export interface StateViews {
  readonly h: TensorView;
  /** Of an lstm. */
  readonly c: TensorView | undefined;
}

/** `size` of the vectors' columns from the first to the last step, (T, N, size). */
function viewOf(
  { memory, ptr }: Place,
  { at, columns }: VectorRegion,
  { T, N }: JobShape,
  [column, size]: readonly [column: number, size: number],
): TensorView {
  const data = memory.f32(ptr + at + column * F32, T * N * columns - column);
  return { shape: [T, N, size], strides: [N * columns, columns, 1], data };
}

function rowsView({ memory, ptr }: Place, at: number, N: number, columns: number, size: number): TensorView {
  return { shape: [N, size], strides: [columns, 1], data: memory.f32(ptr + at, (N - 1) * columns + size) };
}

/** A job's block. */
interface Place {
  readonly memory: LinearMemory;
  readonly ptr: number;
}

/** hs: outputs of the last recurrent layer, (T, N, H), or (T, N, 2 H) if it is bidirectional. */
export function statesView(place: Place, layout: JobLayout, shape: JobShape): TensorView {
  const { out, layer } = layout.runs[layout.head - 1]!;
  return viewOf(place, out!, shape, [0, outputsOf(layer.spec)]);
}

/** y: outputs of the head for the final states, (N, O). */
export function lastOutputsView(place: Place, { runs, yAt, yColumns }: JobLayout, N: number): TensorView {
  return rowsView(place, yAt, N, yColumns, outputsOf(runs.at(-1)!.layer.spec));
}

/** ys: outputs of the head for all states, (T, N, O). */
export function outputsView(place: Place, { runs }: JobLayout, shape: JobShape): TensorView {
  const { out, layer } = runs.at(-1)!;
  return viewOf(place, out!, shape, [0, outputsOf(layer.spec)]);
}

/** The products of a model of one tanh layer. */
export function productsTrace(place: Place, { runs: [run] }: JobLayout, shape: JobShape): Trace {
  const { products, layer } = run!;
  const { H } = layer.spec as RecurrentSpec;
  const bytes = shape.T * shape.N * products!.columns * F32;
  const view = (index: number) => viewOf(place, { ...products!, at: products!.at + index * bytes }, shape, [0, H]);
  return { h_W_h: view(0), x_W_x: view(1), z: view(2) };
}

/** The gates of all recurrent layers. */
export function gatesTrace(place: Place, { runs }: JobLayout, shape: JobShape): GateTrace[] {
  return runs.filter(({ trace }) => trace).map((run) => gateTraceOf(place, run, shape));
}

function gateTraceOf(place: Place, { layer, trace }: RunLayout, shape: JobShape): GateTrace {
  const spec = layer.spec as RecurrentSpec;
  const names = GATES[spec.type];
  const gateColumns = trace!.columns / (2 * names.length);
  const views = (first: number) =>
    Object.fromEntries(
      names.map((name, gate) => [name, viewOf(place, trace!, shape, [(first + gate) * gateColumns, spec.H])]),
    );
  const direction = layer.isReverse ? 'reverse' : 'forward';
  return { layer: layer.layer, direction, z: views(0), values: views(names.length) };
}

/** The states of each recurrent layer and direction after each row's last step. */
export function finalStateViews(place: Place, { states }: JobLayout, N: number): StateViews[] {
  return states.map(({ layer, outColumn, finalAt, finalColumns, c }) => {
    const { H } = layer.spec as RecurrentSpec;
    const h = rowsView(place, finalAt + outColumn * F32, N, finalColumns, H);
    return { h, c: c && rowsView(place, c.currentAt, N, padded(H), H) };
  });
}
