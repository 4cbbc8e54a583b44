// The kernels on this thread, without pool or HTTP: a job in, its numbers out.
import { copyRows } from '../../src/engine/result.ts';
import { readConfig } from '../../src/config.ts';
import { type Layer, tanhLayers } from '../../src/layers.ts';
import type { Readout, TensorView } from '../../src/tensor.ts';
import { type GateTrace, Job, type JobShape } from '../../src/wasm/job.ts';
import { compileKernels, instantiateKernels } from '../../src/wasm/load.ts';
import { LinearMemory } from '../../src/wasm/memory.ts';
import { placeModel } from '../../src/wasm/packed-model.ts';
import type { ReferenceInput, ReferenceOutput } from '../../src/wasm/reference/model.ts';
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

/** What the kernels compute of a model with layers, in the form of the reference. */
export interface LayersOutput extends Pick<ReferenceOutput, 'h' | 'c' | 'y' | 'ys'> {
  /** Undefined unless every state is kept. */
  readonly hs: Float32Array | undefined;
  /** Empty unless it was requested. `gates` of a model of one tanh layer is undefined. */
  readonly trace: readonly { readonly z: Float32Array; readonly gates: Float32Array | undefined }[];
  /** Of a model of one tanh layer, if requested. */
  readonly products: Record<'h_W_h' | 'x_W_x', Float32Array> | undefined;
}

export type LayersOptions = Partial<Pick<JobShape, 'keepsStates' | 'trace'>>;

/** @param run computes the job, in parts or slices, or by another instance; absent: at once */
export function runLayers(
  layers: readonly Layer[],
  input: ReferenceInput,
  { run = (job) => kernels.run(job.ptr), ...options }: LayersOptions & { readonly run?: (job: Job) => void } = {},
): LayersOutput {
  const { job, output, release } = placeLayers(layers, input, options);
  try {
    run(job);
    return output();
  } finally {
    release();
  }
}

/** A model and a job for it, filled and not yet computed. All states are kept and nothing is traced unless told. */
export function placeLayers(layers: readonly Layer[], input: ReferenceInput, options: LayersOptions = {}) {
  const { T, N, lengths, x, h, c } = input;
  const model = placeModel(memory, layers);
  const job = new Job(memory, model, { T, N, lengths, keepsStates: true, trace: false, ...options });
  if (x instanceof Uint32Array) job.ids.set(x);
  else job.x.set(x);
  for (const [k, state] of job.states.entries()) {
    if (h?.[k]) state.h.set(h[k]);
    if (c?.[k]) state.c!.set(c[k]);
  }
  const release = () => {
    job.release();
    memory.free(model.ptr);
  };
  return { job, output: () => outputOf(job), release };
}

function outputOf(job: Job): LayersOutput {
  const { trace, gates = [] } = job;
  const states = job.finalStates();
  return {
    hs: job.hs && dense(job.hs),
    h: states.map(({ h }) => denseRows(h)),
    c: states.map(({ c }) => c && denseRows(c)),
    ...(job.y && { y: denseRows(job.y) }),
    ...(job.ys && { ys: dense(job.ys) }),
    trace: trace
      ? [{ z: dense(trace.z), gates: undefined }]
      : gates.map(({ z, values }) => ({ z: sideBySide(z), gates: sideBySide(values) })),
    products: trace && { h_W_h: dense(trace.h_W_h), x_W_x: dense(trace.x_W_x) },
  };
}

/** (T, N, G, H) of the (T, N, H) of each gate. */
function sideBySide(views: GateTrace['z']): Float32Array {
  const gates = Object.values(views);
  const [, , H] = gates[0]!.shape as [number, number, number];
  const numbers = gates.map(dense);
  const columns = gates.length * H;
  const result = new Float32Array(gates.length * numbers[0]!.length);
  for (const [gate, of] of numbers.entries()) {
    for (let at = 0; at * H < of.length; at++) {
      result.set(of.subarray(at * H, (at + 1) * H), at * columns + gate * H);
    }
  }
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
