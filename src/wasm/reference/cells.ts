// One step of one row of a recurrent layer: the formula of its cell, each operation rounded to float32 unless it says
// otherwise. A gate is a function (as the sigmoid) of its pre-activation x W_x + h W_h + b, in its own H columns.
import {
  GATES,
  gatesOf,
  type GruSpec,
  type LstmSpec,
  type RecurrentSpec,
  type RecurrentWeights,
  type RnnSpec,
} from '../../layers.ts';
import { fusedMultiplyAdd as fma } from '../fused-multiply-add.ts';
import { sigmoid32, tanh32 } from './functions.ts';
import { additionOf, floats } from './products.ts';

const { fround } = Math;

/** H elements each. */
export interface CellState {
  readonly h: Float32Array;
  /** Of an LSTM; absent it is zeros. */
  readonly c?: Float32Array | undefined;
}

export interface CellStep extends CellState {
  /** (G, H) pre-activations, in the order of GATES. */
  readonly z: Float32Array;
  /** (G, H) values of the gates: of an RNN h, of a GRU r, z, n, of an LSTM i, f, g, o. */
  readonly gates: Float32Array;
}

/** One step from `before` with the input x (D). */
export function cellStep(
  spec: RecurrentSpec,
  weights: RecurrentWeights,
  x: Float32Array,
  before: CellState,
): CellStep {
  switch (spec.type) {
    case 'rnn':
      return rnnStep(spec, weights, x, before);
    case 'gru':
      return gruStep(spec, weights, x, before);
    case 'lstm':
      return lstmStep(spec, weights, x, before);
  }
}

/** h' = f(z) */
function rnnStep(spec: RnnSpec, weights: RecurrentWeights, x: Float32Array, { h }: CellState): CellStep {
  const z = preActivation(spec, weights, gateOf(spec, 'h'), x, h);
  const after = z.map(spec.activation === 'relu' ? relu32 : tanh32);
  return { h: after, z, gates: after };
}

/** max(0, z); -0 becomes +0, NaN stays NaN. */
export function relu32(z: number): number {
  return Math.max(0, z);
}

/** r = σ(z_r), z = σ(z_z), n = tanh(z_n), h' = z ∘ h + (1 - z) ∘ n */
function gruStep(spec: GruSpec, weights: RecurrentWeights, x: Float32Array, { h }: CellState): CellStep {
  const { H, reset } = spec;
  const z_r = preActivation(spec, weights, gateOf(spec, 'r'), x, h);
  const z_z = preActivation(spec, weights, gateOf(spec, 'z'), x, h);
  const r = z_r.map(sigmoid32);
  const z = z_z.map(sigmoid32);
  const z_n =
    reset === 'after' ? resetAfter(spec, weights, x, h, r) : resetBefore(spec, weights, x, h, r);
  const n = z_n.map(tanh32);
  return {
    h: floats(H, (j) => interpolate(z[j]!, n[j]!, h[j]!)),
    z: sideBySide([z_r, z_z, z_n]),
    gates: sideBySide([r, z, n]),
  };
}

/** z_n = x_n + r ∘ h_n, x_n = x W_xn + b_n, h_n = h W_hn + b_hn */
function resetAfter(
  spec: GruSpec,
  { W_x, W_h, b, b_hn }: RecurrentWeights,
  x: Float32Array,
  h: Float32Array,
  r: Float32Array,
): Float32Array {
  const { D, H } = spec;
  const add = additionOf(D + H);
  const columns = gatesOf(spec) * H;
  return floats(H, (j) => {
    const column = gateOf(spec, 'n') * H + j;
    const x_n = fround(add(0, x, { data: W_x, columns }, column) + b[column]!);
    const h_n = fround(add(0, h, { data: W_h, columns }, column) + b_hn![j]!);
    return fma(r[j]!, h_n, x_n);
  });
}

/** z_n = x W_xn + (r ∘ h) W_hn + b_n */
function resetBefore(
  spec: GruSpec,
  weights: RecurrentWeights,
  x: Float32Array,
  h: Float32Array,
  r: Float32Array,
): Float32Array {
  const r_h = floats(spec.H, (j) => r[j]! * h[j]!);
  return preActivation(spec, weights, gateOf(spec, 'n'), x, r_h);
}

/** z h + (1 - z) n */
function interpolate(z: number, n: number, h: number): number {
  return fma(z, h, fround(fround(1 - z) * n));
}

/** i, f, o = σ(z_i), σ(z_f), σ(z_o), g = tanh(z_g), c' = i ∘ g + f ∘ c, h' = o ∘ tanh(c') */
function lstmStep(
  spec: LstmSpec,
  weights: RecurrentWeights,
  x: Float32Array,
  { h, c = new Float32Array(spec.H) }: CellState,
): CellStep {
  const { H } = spec;
  const [z_i, z_f, z_g, z_o] = GATES.lstm.map((_, gate) => preActivation(spec, weights, gate, x, h)) as [
    Float32Array,
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  const i = z_i.map(sigmoid32);
  const f = z_f.map(sigmoid32);
  const g = z_g.map(tanh32);
  const o = z_o.map(sigmoid32);
  const after = floats(H, (j) => fma(i[j]!, g[j]!, fround(f[j]! * c[j]!)));
  return {
    h: floats(H, (j) => o[j]! * tanh32(after[j]!)),
    c: after,
    z: sideBySide([z_i, z_f, z_g, z_o]),
    gates: sideBySide([i, f, g, o]),
  };
}

/** z = (x W_x + h W_h) + b in the columns of one gate; the products of h are added to the sum of those of x. */
function preActivation(
  spec: RecurrentSpec,
  { W_x, W_h, b }: RecurrentWeights,
  gate: number,
  x: Float32Array,
  h: Float32Array,
): Float32Array {
  const { D, H } = spec;
  const add = additionOf(D + H);
  const columns = gatesOf(spec) * H;
  return floats(H, (j) => {
    const column = gate * H + j;
    const x_W_x = add(0, x, { data: W_x, columns }, column);
    return add(x_W_x, h, { data: W_h, columns }, column) + b[column]!;
  });
}

/** The place of a gate among those of its cell. */
function gateOf<S extends RecurrentSpec>({ type }: S, gate: (typeof GATES)[S['type']][number]): number {
  return (GATES[type] as readonly string[]).indexOf(gate);
}

function sideBySide(rows: readonly Float32Array[]): Float32Array {
  const size = rows[0]!.length;
  const all = new Float32Array(rows.length * size);
  for (const [k, row] of rows.entries()) all.set(row, k * size);
  return all;
}
