// carryover import --check: computes what a framework computed, with the kernels, and compares.
import type { Layer } from '../../layers.ts';
import { type TensorView, swapAxes } from '../../tensor.ts';
import { Job } from '../../wasm/job.ts';
import { placeModel } from '../../wasm/packed-model.ts';
import { openKernels } from '../kernels.ts';
import { readArrays } from './arrays.ts';
import { type Difference, compare } from './compare.ts';
import { type CheckInput, type ExpectedOutput, type Layout, readInputs } from './inputs.ts';

export interface CheckResult {
  readonly T: number;
  readonly N: number;
  readonly outputs: readonly Difference[];
  readonly isWithin: boolean;
}

/**
 * float32 programs that add in different orders differ by some 1e-6 of the larger of 1 and the value, after a hundred
 * steps; a transposed matrix, exchanged gates or another activation by more than 1e-2.
 */
const TOLERANCE = 1e-5;
/** float16 has 11 bits: rounding alone is up to 2^-12 of the value. */
const TOLERANCE_HALF = 1e-3;

/**
 * @param path of the arrays
 * @param tolerance as compare(); by the precision of each array if absent
 * @throws CliError if an array is missing, damaged or of another shape
 */
export async function checkModel(
  layers: readonly Layer[],
  path: string,
  { layout, tolerance }: { readonly layout: Layout; readonly tolerance?: number },
): Promise<CheckResult> {
  const { input, expected } = readInputs(layers, await readArrays(path), layout);
  const outputs = compute(layers, input, (computed) =>
    expected.map((output) => {
      const view = inAxesOf(output, computed(output.name), layout);
      return compare(output, view, tolerance ?? (output.isHalf ? TOLERANCE_HALF : TOLERANCE));
    }),
  );
  const { T, N } = input;
  return { T, N, outputs, isWithin: outputs.every(({ beyond }) => beyond === 0) };
}

/** What was computed with the axes of what is expected: in its layout, or the last step alone. */
function inAxesOf({ shape }: ExpectedOutput, view: TensorView, layout: Layout): TensorView {
  if (shape.length < view.shape.length) {
    const [stride, ...strides] = view.strides;
    return { shape, strides, data: view.data.subarray((view.shape[0]! - 1) * stride!) };
  }
  return shape.length === 3 && layout === 'NTD' ? swapAxes(view) : view;
}

/** Runs the kernels, and has their results looked at while they are in memory. */
function compute<Result>(
  layers: readonly Layer[],
  { T, N, lengths, x, h, c }: CheckInput,
  look: (computed: (name: string) => TensorView) => Result,
): Result {
  const { kernels, memory } = openKernels();
  const model = placeModel(memory, layers);
  const job = new Job(memory, model, { T, N, lengths, keepsStates: true, trace: false });
  try {
    if (x instanceof Uint32Array) job.ids.set(x);
    else job.x.set(x);
    for (const [k, state] of job.states.entries()) {
      if (h[k]) state.h.set(h[k]);
      if (c[k]) state.c!.set(c[k]);
    }
    kernels.run(job.ptr);
    return look((name) => outputOf(job, name));
  } finally {
    job.release();
    memory.free(model.ptr);
  }
}

/** @param name as of ExpectedOutput */
function outputOf(job: Job, name: string): TensorView {
  if (name === 'hs' || name === 'ys' || name === 'y') return job[name]!;
  const [kind, k = '0'] = name.split('.');
  const states = job.finalStates();
  // Of one lstm among others, c alone means its own.
  return kind === 'h' ? states[Number(k)]!.h : states[Number(k)]!.c!;
}
