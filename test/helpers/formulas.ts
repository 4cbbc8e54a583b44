// The formulas of src/layers.ts in float64, written apart from src/wasm/reference: row after row, each as a list of
// vectors.
import type { DenseLayer, Layer, RecurrentLayer, RecurrentWeights } from '../../src/layers.ts';

export type Vector = readonly number[];

/** One step of one direction; z and gates of all gates side by side. */
export interface Step {
  readonly h: Vector;
  readonly c: Vector;
  readonly z: Vector;
  readonly gates: Vector;
}

/** Of one row: hs, ys and trace have an entry for each of its steps. */
export interface RowOutput {
  readonly hs: readonly Vector[];
  /** For each recurrent layer and direction, as c and trace. */
  readonly h: readonly Vector[];
  readonly c: readonly Vector[];
  readonly ys: readonly Vector[];
  readonly y: Vector;
  readonly trace: readonly (readonly Step[])[];
}

/**
 * One row through all layers.
 *
 * @param xs one vector for each step
 * @param h before the first step, for each recurrent layer and direction, as c
 */
export function rowThrough(
  layers: readonly Layer[],
  xs: readonly Vector[],
  h: readonly Vector[],
  c: readonly Vector[],
): RowOutput {
  const trace: (readonly Step[])[] = [];
  const ends: Pick<Step, 'h' | 'c'>[] = [];
  let values = xs;
  let hs: readonly Vector[] = [];
  let last: Vector = [];
  for (const layer of layers) {
    if (layer.type === 'rnn' || layer.type === 'gru' || layer.type === 'lstm') {
      const before = values;
      const from = ends.length;
      const runs = REVERSES[layer.direction].map((isReverse, k) => {
        const start = { h: h[from + k]!, c: c[from + k]! };
        const weights = k === 0 ? layer.weights : layer.backward!;
        const steps = run(layer, weights, isReverse ? before.toReversed() : before, start);
        ends.push(steps.at(-1) ?? start);
        return isReverse ? steps.toReversed() : steps;
      });
      trace.push(...runs);
      hs = before.map((_, t) => runs.flatMap((steps) => steps[t]!.h));
      last = ends.slice(from).flatMap((end) => [...end.h]);
      values = hs;
    } else {
      values = values.map((x) => valuesOf(layer, x));
      if (hs.length > 0 || last.length > 0) last = valuesOf(layer, last);
    }
  }
  return { hs, h: ends.map((end) => end.h), c: ends.map((end) => end.c), ys: values, y: last, trace };
}

/** Of each direction, whether it is reversed. */
const REVERSES = { forward: [false], reverse: [true], bidirectional: [false, true] } as const;

function valuesOf(layer: Exclude<Layer, RecurrentLayer>, x: Vector): Vector {
  switch (layer.type) {
    case 'embedding':
      return [...layer.E.subarray(x[0]! * layer.D, (x[0]! + 1) * layer.D)];
    case 'affine':
      return x.map((x_j, j) => x_j * layer.scale[j]! + layer.offset[j]!);
    case 'dense':
      return dense(layer, x);
  }
}

function dense({ O, W, b, activation }: DenseLayer, x: Vector): Vector {
  const z = units(O).map((o) => product(x, W, O, o) + b[o]!);
  if (activation === 'softmax') {
    const sum = z.reduce((total, z_o) => total + Math.exp(z_o), 0);
    return z.map((z_o) => Math.exp(z_o) / sum);
  }
  const f = { linear: (v: number) => v, relu: (v: number) => (v > 0 ? v : 0), tanh: Math.tanh, sigmoid }[activation];
  return z.map((z_o) => f(z_o));
}

function run(
  layer: RecurrentLayer,
  weights: RecurrentWeights,
  xs: readonly Vector[],
  start: Pick<Step, 'h' | 'c'>,
): Step[] {
  const steps: Step[] = [];
  for (const x of xs) steps.push(step(layer, weights, x, steps.at(-1) ?? start));
  return steps;
}

function step(
  layer: RecurrentLayer,
  { W_x, W_h, b, b_hn }: RecurrentWeights,
  x: Vector,
  { h, c }: Pick<Step, 'h' | 'c'>,
): Step {
  const { H } = layer;
  const columns = b.length;
  const all = units(H);
  /** Of the k-th gate, the products of x and of h with their weights. */
  const ofX = (k: number) => all.map((j) => product(x, W_x, columns, k * H + j));
  const ofH = (k: number, state = h) => all.map((j) => product(state, W_h, columns, k * H + j));
  const biasOf = (k: number) => [...b.subarray(k * H, (k + 1) * H)];
  const gate = (k: number) => sum(ofX(k), ofH(k), biasOf(k));
  switch (layer.type) {
    case 'rnn': {
      const z = gate(0);
      const after = z.map(layer.activation === 'relu' ? (v) => (v > 0 ? v : 0) : Math.tanh);
      return { h: after, c, z, gates: after };
    }
    case 'gru': {
      const [z_r, z_z] = [gate(0), gate(1)];
      const [r, z] = [z_r.map(sigmoid), z_z.map(sigmoid)];
      const z_n =
        layer.reset === 'after'
          ? sum(ofX(2), biasOf(2), times(r, sum(ofH(2), [...b_hn!])))
          : sum(ofX(2), biasOf(2), ofH(2, times(r, h)));
      const n = z_n.map(Math.tanh);
      const kept = z.map((z_j) => 1 - z_j);
      return { h: sum(times(kept, n), times(z, h)), c, z: [z_r, z_z, z_n].flat(), gates: [r, z, n].flat() };
    }
    case 'lstm': {
      const [z_i, z_f, z_g, z_o] = [gate(0), gate(1), gate(2), gate(3)];
      const [i, f, g, o] = [z_i.map(sigmoid), z_f.map(sigmoid), z_g.map(Math.tanh), z_o.map(sigmoid)];
      const after = sum(times(f, c), times(i, g));
      const gates = [i, f, g, o].flat();
      return { h: times(o, after.map(Math.tanh)), c: after, z: [z_i, z_f, z_g, z_o].flat(), gates };
    }
  }
}

function sigmoid(v: number): number {
  return 1 / (1 + Math.exp(-v));
}

function units(count: number): number[] {
  return Array.from({ length: count }, (_, j) => j);
}

function product(a: Vector, W: Float32Array, columns: number, column: number): number {
  return a.reduce((total, a_k, k) => total + a_k * W[k * columns + column]!, 0);
}

function sum(...vectors: readonly Vector[]): number[] {
  return vectors[0]!.map((_, j) => vectors.reduce((total, vector) => total + vector[j]!, 0));
}

function times(a: Vector, b: Vector): number[] {
  return a.map((a_j, j) => a_j * b[j]!);
}
