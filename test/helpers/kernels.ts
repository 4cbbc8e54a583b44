// The kernels on this thread, without pool or HTTP: a job in, its numbers out.
import { copyRows } from '../../src/engine/result.ts';
import { readConfig } from '../../src/config.ts';
import { type Layer, tanhLayers } from '../../src/layers.ts';
import type { Readout, TensorView } from '../../src/tensor.ts';
import { Job, type JobShape } from '../../src/wasm/job.ts';
import { compileKernels, instantiateKernels } from '../../src/wasm/load.ts';
import { LinearMemory } from '../../src/wasm/memory.ts';
import { placeModel } from '../../src/wasm/packed-model.ts';
import type { ReferenceInput } from '../../src/wasm/reference/model.ts';
import type { Recurrence } from './recurrence.ts';

export const memory = new LinearMemory(256 * 1024 * 1024);
/** KERNEL as for the server: `simd128` for no 256-bit vectors. */
export const compiledKernels = compileKernels(readConfig().KERNEL);
export const kernels = instantiateKernels(compiledKernels, memory.memory);

export interface KernelResult {
  readonly h: Float32Array;
  readonly hs: Float32Array | undefined;
  readonly trace: Record<'h_W_h' | 'x_W_x' | 'z', Float32Array> | undefined;
  /** (N, O) */
  readonly y: Float32Array | undefined;
  /** (T, N, O) */
  readonly ys: Float32Array | undefined;
}

export function runKernels(
  { T, N, weights, x, h }: Recurrence,
  options: Partial<Pick<JobShape, 'lengths' | 'keepsStates' | 'trace'>> & { readout?: Readout } = {},
): KernelResult {
  const { readout, ...more } = options;
  const model = placeModel(memory, tanhLayers(weights, readout));
  const job = new Job(memory, model, { T, N, keepsStates: true, trace: false, ...more });
  job.x.set(x);
  job.states[0]!.h.set(h);
  kernels.run(job.ptr);
  const result = {
    h: denseRows(job.finalStates()[0]!.h),
    hs: job.hs && dense(job.hs),
    trace: job.trace && {
      h_W_h: dense(job.trace.h_W_h),
      x_W_x: dense(job.trace.x_W_x),
      z: dense(job.trace.z),
    },
    y: job.y && denseRows(job.y),
    ys: job.ys && dense(job.ys),
  };
  job.release();
  memory.free(model.ptr);
  return result;
}

/** A (N, H) view without the padding behind its rows. */
function denseRows(view: TensorView): Float32Array {
  const [N, H] = view.shape as [number, number];
  const copy = new Float32Array(N * H);
  copyRows(view, copy);
  return copy;
}

/** A (T, N, H) view without the padding behind its rows. */
function dense({ shape, strides, data }: TensorView): Float32Array {
  const [T, N, H] = shape as [number, number, number];
  const [stepStride, rowStride] = strides as [number, number, number];
  const copy = new Float32Array(T * N * H);
  for (let t = 0; t < T; t++) {
    for (let n = 0; n < N; n++) {
      const from = t * stepStride + n * rowStride;
      copy.set(data.subarray(from, from + H), (t * N + n) * H);
    }
  }
  return copy;
}

/** The kernels over any layers; the states are copies without padding, in the order of the layers. */
export function runLayers(layers: readonly Layer[], { T, N, x, lengths, h, c }: ReferenceInput) {
  const model = placeModel(memory, layers);
  const job = new Job(memory, model, { T, N, lengths, keepsStates: true, trace: false });
  if (x instanceof Uint32Array) job.ids.set(x);
  else job.x.set(x);
  for (const [k, state] of job.states.entries()) {
    if (h?.[k]) state.h.set(h[k]);
    if (c?.[k]) state.c!.set(c[k]);
  }
  kernels.run(job.ptr);
  const states = job.finalStates();
  const result = {
    hs: dense(job.hs!),
    h: states.map((state) => denseRows(state.h)),
    c: states.map((state) => state.c && denseRows(state.c)),
    ys: job.ys && dense(job.ys),
  };
  job.release();
  memory.free(model.ptr);
  return result;
}
