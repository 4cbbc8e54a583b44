// The network of the picture: a cell, its sizes and its weights.
import type { Layers, Weights } from '../../client/index.ts';
import { type CellName, gatesOf } from './cells.ts';
import { type Matrix, nested, zeros } from './matrix.ts';
import { pseudoRandom } from './random.ts';

export interface Sizes {
  readonly N: number;
  readonly D: number;
  readonly H: number;
}

/** G is the number of gates, whose weights stand side by side. */
export interface Network extends Sizes {
  readonly cell: CellName;
  /** (D, G·H). */
  readonly W_x: Matrix;
  /** (H, G·H). */
  readonly W_h: Matrix;
  /** (1, G·H), added to each of the N rows. */
  readonly b: Matrix;
}

/**
 * Weights with two decimals, so that the picture shows them whole. Their size is such that a state neither dies out nor saturates
 * in a few steps: the largest eigenvalue of W_h is near 1.
 */
export function randomNetwork(cell: CellName, { N, D, H }: Sizes, seed: number): Network {
  const random = pseudoRandom(seed);
  const columns = gatesOf(cell).length * H;
  const fill = (rows: number, size: number): Matrix => {
    const matrix = zeros(rows, columns);
    for (let k = 0; k < matrix.data.length; k++) matrix.data[k] = Math.round(100 * size * random()) / 100 || 0;
    return matrix;
  };
  return { cell, N, D, H, W_x: fill(D, 1.5 / Math.sqrt(D)), W_h: fill(H, 1.7 / Math.sqrt(H)), b: fill(1, 0.3) };
}

/** The network as `weights` of a call in JSON. */
export function weightsAsJson({ cell, W_x, W_h, b }: Network): Weights | Layers {
  const weights = { W_x: nested(W_x), W_h: nested(W_h), b: nested(b)[0]! };
  return cell === 'rnn' ? weights : { layers: [{ type: cell, ...weights }] };
}
