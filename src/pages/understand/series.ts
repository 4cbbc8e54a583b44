// What the network is given step after step.
import type { Sizes } from './network.ts';
import { type Matrix, zeros } from './matrix.ts';
import { pseudoRandom } from './random.ts';

/** Steps of one period of the sine. */
const PERIOD = 16;

/** x_t (N, D) of step t, which counts from 1. `last` is the x of the step before, if there is one. */
type Series = (sizes: Sizes, t: number, last: Matrix | undefined, seed: number) => Matrix;

export const SERIES = {
  /** Inputs and rows of the batch are out of phase, so that they can be told apart. */
  sine: (sizes, t) => filled(sizes, (n, d) => Math.sin((2 * Math.PI * (t - 1)) / PERIOD + d + n / 2)),
  /** 1 at the first step, then nothing: what is seen later is memory alone. */
  impulse: (sizes, t) => filled(sizes, () => (t === 1 ? 1 : 0)),
  noise: (sizes, t, _, seed) => {
    const random = pseudoRandom(seed * 65_537 + t);
    return filled(sizes, () => random());
  },
  /** The input of the last step again, which a person may have typed. */
  same: (sizes, _, last) => last ?? filled(sizes, () => 1),
} as const satisfies Record<string, Series>;

export type SeriesName = keyof typeof SERIES;

/** With two decimals, so that the picture shows the numbers whole. */
function filled({ N, D }: Sizes, valueOf: (n: number, d: number) => number): Matrix {
  const x = zeros(N, D);
  for (let k = 0; k < N * D; k++) x.data[k] = Math.round(100 * valueOf(Math.floor(k / D), k % D)) / 100 || 0;
  return x;
}
