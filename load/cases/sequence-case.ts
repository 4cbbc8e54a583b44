// T steps of a mini-batch with pseudo-random numbers, and the comparison of its states with the reference.
import type { TensorView, Weights } from '../../src/tensor.ts';
import { Job, type PackedModel } from '../../src/wasm/job.ts';
import type { LinearMemory } from '../../src/wasm/memory.ts';
import { referenceStep } from '../../src/wasm/reference/step.ts';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';
import { fill, makeWeights } from './pseudo-random-tensors.ts';
import { expectSameBits } from './same-bits.ts';

/** Products that a comparison may compute: the plain reference takes some 10 ms for them. */
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
  job.states[0]!.h.set(h);
  return job;
}

/** Floating-point operations of one run: a multiplication and an addition for each weight, row and step. */
export function flopsOf({ T, N, D, H }: Sizes): number {
  return 2 * T * N * (D + H) * H;
}

/**
 * Compares states with the reference, each computed from the state before it in `hs`. Of a large case it
 * compares some states only, spread evenly from the first to the last.
 *
 * @param hs (T, N, H)
 * @throws Error naming the first element whose bits differ
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
    expectSameBits(`${what}: hs[${t}, ${n}]`, stateOf(hs, t, n), expected);
  }
}

/** The state of row n after step t: H elements of `hs` (T, N, H). */
export function stateOf({ shape, strides, data }: TensorView, t: number, n: number): Float32Array {
  const at = t * strides[0]! + n * strides[1]!;
  return data.subarray(at, at + shape[2]!);
}
