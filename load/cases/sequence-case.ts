// T steps of a mini-batch through one recurrent layer, with pseudo-random numbers, and the comparison of its states
// with the reference.
import { type CellType, GATES, type RecurrentLayer } from '../../src/layers.ts';
import type { TensorView } from '../../src/tensor.ts';
import { Job, type PackedModel } from '../../src/wasm/job.ts';
import type { LinearMemory } from '../../src/wasm/memory.ts';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';
import { cellStep } from '../../src/wasm/reference/cells.ts';
import { makeLayer } from './layer.ts';
import { fill } from '../../src/cli/bench/pseudo-random-tensors.ts';
import { expectSameBits } from '../../src/cli/bench/same-bits.ts';

/** Products that a comparison may compute: the plain reference takes some 100 ms for them. */
const CHECK_PRODUCTS_MAX = 8_000_000;

export interface Sizes {
  readonly T: number;
  readonly N: number;
  readonly D: number;
  readonly H: number;
}

export interface SequenceCase {
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

export function makeSequenceCase({ T, N, D, H }: Sizes, cell: CellType = 'rnn'): SequenceCase {
  const random = pseudoRandom(T * 1_000_003 + N * 10_007 + D * 1_009 + H);
  const layer = makeLayer(random, cell, D, H);
  const x = fill(random, T * N * D, 1);
  const h = fill(random, N * H, 1);
  return { T, N, layer, x, h, c: cell === 'lstm' ? fill(random, N * H, 1) : undefined };
}

/** A job with the inputs of the case; every output is kept if `keepsStates`. */
export function makeJob(
  memory: LinearMemory,
  model: PackedModel,
  { T, N, x, h, c }: SequenceCase,
  keepsStates = true,
): Job {
  const job = new Job(memory, model, { T, N, keepsStates, trace: false });
  job.x.set(x);
  const [states] = job.states;
  states!.h.set(h);
  if (c) states!.c!.set(c);
  return job;
}

/** Floating-point operations of one run: a multiplication and an addition for each weight, row and step. */
export function flopsOf({ T, N, D, H }: Sizes, cell: CellType = 'rnn'): number {
  return 2 * T * N * (D + H) * GATES[cell].length * H;
}

/**
 * Compares states with the reference, each computed from the state before it. Of a large case it compares some
 * states only, spread evenly from the first to the last.
 *
 * @param hs (T, N, H)
 * @param cAfter (N, H), the cell states of an LSTM after step t
 * @throws Error naming the first element whose bits differ
 */
export function expectRightStates(
  what: string,
  sequence: SequenceCase,
  hs: TensorView,
  cAfter?: (t: number) => TensorView,
): void {
  const { T, N, layer, x, h, c } = sequence;
  const { D, H } = layer;
  for (const index of spread(T * N, flopsOf({ T: 1, N: 1, D, H }, layer.type) / 2)) {
    const [t, n] = [Math.floor(index / N), index % N];
    const before = {
      h: t === 0 ? h.subarray(n * H, (n + 1) * H) : stateOf(hs, t - 1, n),
      c: c && (t === 0 ? c.subarray(n * H, (n + 1) * H) : rowOf(cAfter!(t - 1), n)),
    };
    const expected = cellStep(layer, layer.weights, x.subarray(index * D, (index + 1) * D), before);
    expectSameBits(`${what}: hs[${t}, ${n}]`, stateOf(hs, t, n), expected.h);
    if (c) expectSameBits(`${what}: c after step ${t} of row ${n}`, rowOf(cAfter!(t), n), expected.c!);
  }
}

/** Some of the numbers 0 … count - 1, the first and the last among them, by how many products each takes to check. */
function spread(count: number, products: number): number[] {
  const some = Math.min(count, Math.max(3, Math.floor(CHECK_PRODUCTS_MAX / products)));
  return Array.from({ length: some }, (_, i) => (some === 1 ? 0 : Math.floor((i * (count - 1)) / (some - 1))));
}

/** The state of row n after step t: H elements of `hs` (T, N, H). */
export function stateOf({ shape, strides, data }: TensorView, t: number, n: number): Float32Array {
  const at = t * strides[0]! + n * strides[1]!;
  return data.subarray(at, at + shape[2]!);
}

/** Row n of a view (N, columns). */
export function rowOf({ shape, strides, data }: TensorView, n: number): Float32Array {
  return data.subarray(n * strides[0]!, n * strides[0]! + shape[1]!);
}
