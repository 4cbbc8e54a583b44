// Random recurrences, and what they must come out as: the plain reference of src/wasm/reference/step.ts
// run over whole batches and sequences.
import type { Weights } from '../../src/tensor.ts';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';
import { referenceStep } from '../../src/wasm/reference/step.ts';
import { fc } from './seed.ts';

export interface Recurrence {
  readonly T: number;
  readonly N: number;
  readonly weights: Weights;
  /** (T, N, D) */
  readonly x: Float32Array;
  /** (N, H) */
  readonly h: Float32Array;
}

export interface Shape {
  readonly T: number;
  readonly N: number;
  readonly D: number;
  readonly H: number;
}

/** Shapes around the tiles' edges as often as anywhere else; N · D · H stays small. */
export const shapes = (max = 70, stepsMax = 6): fc.Arbitrary<Shape> => {
  const size = fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max }));
  return fc.record({ T: fc.integer({ min: 1, max: stepsMax }), N: size, D: size, H: size });
};

export const recurrences = (max?: number, stepsMax?: number): fc.Arbitrary<Recurrence> =>
  fc
    .tuple(shapes(max, stepsMax), fc.integer())
    .map(([shape, seed]) => randomRecurrence(shape, seed));

export function randomRecurrence({ T, N, D, H }: Shape, seed: number): Recurrence {
  const random = pseudoRandom(seed);
  const fill = (count: number, scale: number) =>
    Float32Array.from({ length: count }, () => random() * scale);
  return {
    T,
    N,
    weights: {
      D,
      H,
      W_x: fill(D * H, 1.5 / Math.sqrt(D)),
      W_h: fill(H * H, 1.5 / Math.sqrt(H)),
      b: fill(H, 0.2),
    },
    x: fill(T * N * D, 2),
    h: fill(N * H, 1),
  };
}

/** (T, N, H) by the reference; row n takes lengths[n] steps, beyond them it is 0. */
export function referenceStates(input: Recurrence, lengths?: readonly number[]): Float32Array {
  const { T, N, weights, x, h } = input;
  const { D, H } = weights;
  const hs = new Float32Array(T * N * H);
  for (let n = 0; n < N; n++) {
    let state: Float32Array = h.subarray(n * H, (n + 1) * H);
    for (let t = 0; t < (lengths?.[n] ?? T); t++) {
      const at = t * N + n;
      ({ state } = referenceStep(weights, x.subarray(at * D, (at + 1) * D), state));
      hs.set(state, at * H);
    }
  }
  return hs;
}

/** Nested arrays for a JSON body. */
export function nested(data: Float32Array, shape: readonly number[]): any {
  if (shape.length === 1) return [...data];
  const [size, ...rest] = shape as [number, ...number[]];
  const stride = data.length / size;
  return Array.from({ length: size }, (_, i) =>
    nested(data.subarray(i * stride, (i + 1) * stride), rest),
  );
}

export function weightsBody({ D, H, W_x, W_h, b }: Weights) {
  return { W_x: nested(W_x, [D, H]), W_h: nested(W_h, [H, H]), b: nested(b, [H]) };
}

/** The bytes of nested arrays of float32, as a comparison that sees every bit, -0 included. */
export function bitsOf(values: unknown): Buffer {
  const flat = values instanceof Float32Array ? values : ([values].flat(4) as number[]);
  return Buffer.from(Float32Array.from(flat).buffer);
}
