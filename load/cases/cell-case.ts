// T steps of a mini-batch through one recurrent layer, with pseudo-random numbers.
import { GATES, type CellType, type RecurrentLayer, type RecurrentSpec, gatesOf } from '../../src/layers.ts';
import type { Weights } from '../../src/tensor.ts';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';
import { fill } from './pseudo-random-tensors.ts';

export interface CellCase {
  readonly T: number;
  readonly N: number;
  readonly layer: RecurrentLayer;
  /** (T, N, D) */
  readonly x: Float32Array;
  /** (N, H), before the first step. */
  readonly h: Float32Array;
  /** (N, H), of an LSTM only. */
  readonly c?: Float32Array | undefined;
}

export interface CellSizes {
  readonly cell: CellType;
  readonly T: number;
  readonly N: number;
  readonly D: number;
  readonly H: number;
}

export function makeCellCase(sizes: CellSizes): CellCase {
  const { T, N, D, H } = sizes;
  const random = pseudoRandom(T * 1_000_003 + N * 10_007 + D * 1_009 + H);
  const layer = makeLayer(random, sizes);
  const x = fill(random, T * N * D, 1);
  const h = fill(random, N * H, 1);
  return layer.type === 'lstm' ? { T, N, layer, x, h, c: fill(random, N * H, 1) } : { T, N, layer, x, h };
}

/** Floating-point operations of one run: a multiplication and an addition for each weight, row and step. */
export function flopsOf({ cell, T, N, D, H }: CellSizes): number {
  return 2 * T * N * (D + H) * GATES[cell].length * H;
}

export function tanhLayer({ D, H, W_x, W_h, b }: Weights): RecurrentLayer {
  return { ...specOf('rnn', D, H), weights: { W_x, W_h, b } };
}

/** A forward layer with weights of ±1/√H, as networks are initialised: tanh, and reset after. */
function makeLayer(random: () => number, { cell, D, H }: CellSizes): RecurrentLayer {
  const spec = specOf(cell, D, H);
  const columns = gatesOf(spec) * H;
  const scale = 1 / Math.sqrt(H);
  const W_x = fill(random, D * columns, scale);
  const W_h = fill(random, H * columns, scale);
  const b = fill(random, columns, scale);
  const b_hn = spec.type === 'gru' ? fill(random, H, scale) : undefined;
  return { ...spec, weights: { W_x, W_h, b, b_hn } };
}

function specOf(cell: CellType, D: number, H: number): RecurrentSpec {
  const sizes = { D, H, direction: 'forward' } as const;
  if (cell === 'rnn') return { type: 'rnn', activation: 'tanh', ...sizes };
  if (cell === 'gru') return { type: 'gru', reset: 'after', ...sizes };
  return { type: 'lstm', ...sizes };
}
