// T steps of a mini-batch with made-up numbers, and whether its states are right.
import type { TensorView, Weights } from '../src/tensor.ts';
import { Job, type PackedModel } from '../src/wasm/job.ts';
import type { LinearMemory } from '../src/wasm/memory.ts';
import { referenceStep } from '../src/wasm/reference.ts';
import { pseudoRandom } from '../src/wasm/pseudo-random.ts';
import { fill, makeWeights } from './made-up.ts';

/** The plain reference is slow; this much of it is a matter of some 10 ms. */
const CHECK_PRODUCTS_MAX = 8_000_000;

export interface Sizes {
  readonly T: number;
  readonly N: number;
  readonly D: number;
  readonly H: number;
}

export interface SequenceCase extends Sizes {
  readonly weights: Weights;
  /** (T, N, D) */
  readonly x: Float32Array;
  /** (N, H) */
  readonly h: Float32Array;
}

export function makeSequenceCase({ T, N, D, H }: Sizes): SequenceCase {
  const random = pseudoRandom(T * 1_000_003 + N * 10_007 + D * 1_009 + H);
  const weights = makeWeights(random, D, H);
  return { T, N, D, H, weights, x: fill(random, T * N * D, 1), h: fill(random, N * H, 1) };
}

export function makeJob(memory: LinearMemory, model: PackedModel, sequence: SequenceCase): Job {
  const { T, N, x, h } = sequence;
  const job = new Job(memory, model, { T, N, keepsStates: true, trace: false });
  job.x.set(x);
  job.h.set(h);
  return job;
}

/** Floating-point operations of one run: a multiplication and an addition for each weight. */
export function flopsOf({ T, N, D, H }: Sizes): number {
  return 2 * T * N * (D + H) * H;
}

/**
 * Compares states with the reference, each computed from the state before it as `hs` has it. Of
 * many only some are, from the first to the last.
 *
 * @throws Error on the first bit that differs: wrong answers are not worth timing
 */
export function expectRightStates(what: string, sequence: SequenceCase, hs: TensorView): void {
  const { T, N, D, H, weights, x, h } = sequence;
  const all = T * N;
  const count = Math.min(all, Math.max(3, Math.floor(CHECK_PRODUCTS_MAX / ((D + H) * H))));
  for (let i = 0; i < count; i++) {
    const index = count === 1 ? 0 : Math.floor((i * (all - 1)) / (count - 1));
    const [t, n] = [Math.floor(index / N), index % N];
    const before = t === 0 ? h.subarray(n * H, (n + 1) * H) : stateOf(hs, t - 1, n);
    const expected = referenceStep(weights, x.subarray(index * D, (index + 1) * D), before).state;
    const state = stateOf(hs, t, n);
    const wrong = expected.findIndex((value, j) => !Object.is(value, state[j]));
    if (wrong < 0) continue;
    throw new Error(
      `${what}: hs[${t}, ${n}, ${wrong}] is ${state[wrong]}, the reference has ${expected[wrong]}.`,
    );
  }
}

/** State of row n after step t, H elements. */
export function stateOf({ shape, strides, data }: TensorView, t: number, n: number): Float32Array {
  const at = t * strides[0]! + n * strides[1]!;
  return data.subarray(at, at + shape[2]!);
}
