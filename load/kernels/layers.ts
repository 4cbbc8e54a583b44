// Measures layers without a state: their time beside that of their product alone, x W of T N rows.
//
// A model has at least one recurrent layer, so a layer stands before one of H = SMALL_H hidden units, and the time of
// that one alone is subtracted. An affine layer has no product: it is measured with the linear dense layer behind it.
import type { DenseActivation, Layer } from '../../src/layers.ts';
import { PAIR_BYTES, PAIR_SOURCE, PAIR_TARGET, ROWS_AT_ONCE, SCRATCH_PAIRS } from '../../src/kernels/layout.ts';
import type { TensorView } from '../../src/tensor.ts';
import { Job } from '../../src/wasm/job.ts';
import { isNarrow } from '../../src/wasm/panels.ts';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';
import { referenceModel } from '../../src/wasm/reference/model.ts';
import { makeLayer } from '../cases/layer.ts';
import { packModel } from '../cases/packed-model.ts';
import { fill } from '../../src/cli/bench/pseudo-random-tensors.ts';
import { expectSameBits } from '../../src/cli/bench/same-bits.ts';
import { stateOf } from '../cases/sequence-case.ts';
import { startProgress } from '../report/progress.ts';
import { type Host, startHost } from './host.ts';
import { type Multiply, compileProduct } from './product-alone.ts';
import { type Implementation, type Sampling, sampleInTurn } from './samples.ts';

const SMALL_H = 8;
/** Steps that are compared with the reference. */
const CHECKED_STEPS = 2;
const N = 32;
const SIZES: readonly number[] = [64, 128, 256, 512, 1024];
const T_ALL = [1, 100];
const ACTIVATIONS: readonly DenseActivation[] = ['linear', 'relu', 'tanh', 'sigmoid', 'softmax'];

/** Layers of `size` inputs and outputs, by name. */
const STACKS: Readonly<Record<string, (random: () => number, size: number) => Layer[]>> = {
  ...Object.fromEntries(ACTIVATIONS.map((activation) => [`dense ${activation}`, denseStack(activation)])),
  'affine, dense linear': (random, size) => [affine(random, size), dense(random, size, 'linear')],
};

export interface Shape {
  readonly T: number;
  readonly N: number;
  /** Inputs and outputs. */
  readonly size: number;
}

/** Times in microseconds; lists have one element for each round. */
export interface ShapeResult {
  readonly shape: Shape;
  readonly productUs: readonly number[];
  /** By the name of the layers. */
  readonly layersUs: Readonly<Record<string, readonly number[]>>;
}

/** @throws Error unless the outputs have the bits of the reference */
export async function measureLayers(sampling: Sampling): Promise<ShapeResult[]> {
  const host = startHost();
  const multiply = await compileProduct(host.memory, host.path);
  const shapes = T_ALL.flatMap((T) => SIZES.map((size) => ({ T, N, size })));
  const progress = await startProgress('measuring', shapes.length);
  const results: ShapeResult[] = [];
  try {
    for (const shape of shapes) {
      results.push(await measureShape(host, multiply, shape, sampling));
      progress.update(results.length);
    }
  } finally {
    progress.stop();
  }
  return results;
}

async function measureShape(
  host: Host,
  multiply: Multiply,
  shape: Shape,
  sampling: Sampling,
): Promise<ShapeResult> {
  const { T, size } = shape;
  const random = pseudoRandom(T * 1_009 + size);
  const numbers = T * N * size;
  const x = host.memory.allocate(numbers * Float32Array.BYTES_PER_ELEMENT);
  host.memory.f32(x, numbers).set(fill(random, numbers, 1));
  const last = makeLayer(random, 'rnn', size, SMALL_H);
  const prepared = {
    product: prepareProduct(host, multiply, shape, x, random),
    recurrent: prepareJob(host, [last], shape, x),
    ...Object.fromEntries(
      Object.entries(STACKS).map(([name, make]) => [name, prepareJob(host, [...make(random, size), last], shape, x)]),
    ),
  };
  const { product, recurrent, ...stacks } = await sampleInTurn<string>(prepared, sampling);
  for (const { release } of Object.values(prepared)) release();
  host.memory.free(x);
  const withoutRecurrent = (us: readonly number[]) => us.map((each, round) => each - recurrent![round]!);
  return {
    shape,
    productUs: product!,
    layersUs: Object.fromEntries(Object.entries(stacks).map(([name, us]) => [name, withoutRecurrent(us)])),
  };
}

interface Prepared extends Implementation {
  readonly release: () => void;
}

/** @param xPtr address of x (T, N, size) */
function prepareJob({ memory, kernels }: Host, layers: readonly Layer[], { T }: Shape, xPtr: number): Prepared {
  const model = packModel(memory, layers);
  const job = new Job(memory, model, { T, N, xPtr, keepsStates: true, trace: false });
  kernels.run(job.ptr);
  expectRightOutputs(layers, job.x, job.hs!);
  return {
    repeat(count) {
      for (let i = 0; i < count; i++) kernels.run(job.ptr);
    },
    release() {
      job.release();
      memory.free(model.ptr);
    },
  };
}

/** Compares the first steps of the first and the last row, which depend on all layers. */
function expectRightOutputs(layers: readonly Layer[], x: Float32Array, hs: TensorView): void {
  const steps = Math.min(hs.shape[0]!, CHECKED_STEPS);
  const columns = x.length / (hs.shape[0]! * N);
  for (const n of [0, N - 1]) {
    const rows = Array.from({ length: steps }, (_, t) => x.subarray((t * N + n) * columns, (t * N + n + 1) * columns));
    const input = { T: steps, N: 1, x: Float32Array.from(rows.flatMap((row) => [...row])) };
    const expected = referenceModel(layers, input).hs;
    for (let t = 0; t < steps; t++) {
      const row = expected.subarray(t * SMALL_H, (t + 1) * SMALL_H);
      expectSameBits(`our kernel: hs[${t}, ${n}]`, stateOf(hs, t, n), row);
    }
  }
}

/** x W with any weights, as many rows at once as layers compute. */
function prepareProduct(
  { memory }: Host,
  multiply: Multiply,
  { T, size }: Shape,
  xPtr: number,
  random: () => number,
): Prepared {
  const rows = T * N;
  const rowBytes = Float32Array.BYTES_PER_ELEMENT * size;
  const numbers = fill(random, size * size, 1 / Math.sqrt(size));
  const weights = isNarrow(size) ? Float64Array.from(numbers) : numbers;
  const W = memory.allocate(weights.byteLength);
  const C = memory.allocate(rows * rowBytes);
  new Uint8Array(memory.memory.buffer, W, weights.byteLength).set(new Uint8Array(weights.buffer));
  const parts = Array.from({ length: Math.ceil(rows / ROWS_AT_ONCE) }, (_, part) => {
    const first = part * ROWS_AT_ONCE;
    const count = Math.min(ROWS_AT_ONCE, rows - first);
    const pairs = memory.allocate((count + SCRATCH_PAIRS) * PAIR_BYTES);
    const view = new DataView(memory.memory.buffer, pairs, count * PAIR_BYTES);
    for (let i = 0; i < count; i++) {
      view.setUint32(i * PAIR_BYTES + PAIR_SOURCE, xPtr + (first + i) * rowBytes, true);
      view.setUint32(i * PAIR_BYTES + PAIR_TARGET, C + (first + i) * rowBytes, true);
    }
    return { pairs, count };
  });
  return {
    repeat(count) {
      for (let i = 0; i < count; i++) {
        for (const part of parts) multiply(part.pairs, part.count, W, size, size);
      }
    },
    release() {
      for (const ptr of [W, C, ...parts.map(({ pairs }) => pairs)]) memory.free(ptr);
    },
  };
}

function denseStack(activation: DenseActivation) {
  return (random: () => number, size: number) => [dense(random, size, activation)];
}

function dense(random: () => number, size: number, activation: DenseActivation): Layer {
  const scale = 1 / Math.sqrt(size);
  const [W, b] = [fill(random, size * size, scale), fill(random, size, scale)];
  return { type: 'dense', I: size, O: size, activation, W, b };
}

function affine(random: () => number, size: number): Layer {
  return { type: 'affine', D: size, scale: fill(random, size, 1), offset: fill(random, size, 1) };
}
