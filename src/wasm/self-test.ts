// The self-test: before a process serves, its multiply-add must be fused, and its kernels must compute the promised bits
// on a few small jobs, compared with the plain reference: every cell and direction, every tile, every length of blocks,
// trailing rows and columns, narrow and wide layers, rows of unequal length, affine and dense layers, traces and rings;
// and they must read and print decimals. A process that fails does not start. The self-test also makes V8 optimize the
// kernels before the first request.
import { BLOCK_16_MAX, BLOCK_32_MAX, NARROW_MAX, NR } from '../kernels/layout.ts';
import { GATES, type Layer, type LayerSpec, type RecurrentSpec, inputsOf, isRecurrent } from '../layers.ts';
import type { TensorView } from '../tensor.ts';
import { fusedMultiplyAdd } from './fused-multiply-add.ts';
import { Job, type JobShape } from './job.ts';
import type { CompiledKernels, Kernels } from './load.ts';
import type { LinearMemory } from './memory.ts';
import { placeModel } from './packed-model.ts';
import { pseudoRandom, randomFloats } from './pseudo-random.ts';
import { randomLayers } from './random-layers.ts';
import { type ReferenceInput, type ReferenceOutput, referenceModel } from './reference/model.ts';
import { referenceProducts } from './reference/step.ts';
import { selfTestDecimals } from './self-test-decimals.ts';

interface Sample<L extends LayerSpec = LayerSpec> {
  readonly T: number;
  readonly N: number;
  readonly layers: readonly L[];
}

const rnn = (D: number, H: number) => ({ type: 'rnn', activation: 'tanh', direction: 'forward', D, H }) as const;
const relu = (D: number, H: number) => ({ ...rnn(D, H), activation: 'relu' }) as const;
const gru = (D: number, H: number, reset: 'after' | 'before') =>
  ({ type: 'gru', reset, direction: 'forward', D, H }) as const;
const lstm = (D: number, H: number) => ({ type: 'lstm', direction: 'forward', D, H }) as const;
const reverse = <Spec extends RecurrentSpec>(spec: Spec): Spec => ({ ...spec, direction: 'reverse' });
const bidirectional = <Spec extends RecurrentSpec>(spec: Spec): Spec => ({ ...spec, direction: 'bidirectional' });
const dense = (I: number, O: number, activation: 'linear' | 'relu' | 'tanh' | 'sigmoid' | 'softmax' = 'linear') =>
  ({ type: 'dense', I, O, activation }) as const;

/** Two bands, then trailing columns: 32, 16 and 8, of which the last has some beyond H. */
const H_ALL_WIDTHS = 22 * NR + 3;
/** The columns of all tiles of narrow layers: 32, 16 and 8. */
const H_NARROW_WIDTHS = 6 * NR + 3;
/** More steps than the ring of last states ever has slots. */
const T_BEYOND_RING = 130;
/** With one input, wide. */
const H_WIDE = NARROW_MAX + 4;

const SAMPLES: readonly Sample[] = [
  // One tanh layer: batch tiles and trailing rows, all widths, both precisions, all lengths of blocks.
  { T: 3, N: 1, layers: [rnn(1, 1), dense(1, 1)] },
  { T: 3, N: 5, layers: [rnn(5, H_NARROW_WIDTHS), dense(H_NARROW_WIDTHS, 3)] },
  { T: 3, N: 6, layers: [rnn(NARROW_MAX - 1, 5 * NR + 3), dense(5 * NR + 3, 1)] },
  { T: 3, N: 9, layers: [rnn(NARROW_MAX + 7, 6 * NR + 1), dense(6 * NR + 1, 5 * NR + 3)] },
  { T: 1, N: 1, layers: [rnn(3, H_ALL_WIDTHS)] },
  { T: 1, N: 2, layers: [rnn(3, H_ALL_WIDTHS)] },
  { T: 1, N: 7, layers: [rnn(3, H_ALL_WIDTHS)] },
  { T: 1, N: 1, layers: [rnn(BLOCK_16_MAX + 9, 1)] },
  { T: 1, N: 1, layers: [rnn(BLOCK_32_MAX + 9, 1)] },
  { T: T_BEYOND_RING, N: 1, layers: [rnn(1, 2), dense(2, 1)] },
  { T: T_BEYOND_RING, N: 2, layers: [rnn(NARROW_MAX, 1), dense(1, 1)] },
  // Cells, narrow, in all directions, behind and in front of layers without a state.
  { T: 4, N: 3, layers: [{ type: 'embedding', V: 7, D: 3 }, bidirectional(relu(3, 5)), lstm(10, 9)] },
  { T: 4, N: 3, layers: [{ type: 'affine', D: 11 }, dense(11, 4, 'relu'), lstm(4, 9), dense(9, 13, 'softmax')] },
  { T: 4, N: 2, layers: [reverse(lstm(2, 3)), bidirectional(gru(3, 5, 'after')), dense(10, 3, 'tanh'), dense(3, 9, 'sigmoid')] },
  { T: 4, N: 3, layers: [gru(2, 9, 'after'), bidirectional(gru(9, 4, 'before')), dense(8, 2)] },
  { T: T_BEYOND_RING, N: 1, layers: [lstm(1, 2), gru(2, 1, 'after')] },
  // Cells, wide: both products of a step at once, and x W_x of several steps.
  { T: 1, N: 2, layers: [lstm(1, H_WIDE), dense(H_WIDE, 2)] },
  { T: 1, N: 2, layers: [gru(1, H_WIDE, 'after')] },
  { T: 1, N: 2, layers: [gru(1, H_WIDE, 'before')] },
  { T: 3, N: 2, layers: [bidirectional(lstm(NARROW_MAX, 3)), reverse(gru(6, 3, 'before'))] },
  { T: 3, N: 2, layers: [gru(NARROW_MAX, 5, 'after'), gru(5, 3, 'before')] },
  { T: 3, N: 1, layers: [gru(NARROW_MAX, 5, 'before')] },
  { T: T_BEYOND_RING, N: 1, layers: [lstm(NARROW_MAX, 1)] },
];

/** What jobs of each sample keep. Each runs twice, so that its bands are computed in both directions. */
const OUTPUTS: readonly Pick<JobShape, 'keepsStates' | 'trace'>[] = [
  { keepsStates: true, trace: true },
  { keepsStates: false, trace: false },
];

const tested = new WeakSet<WebAssembly.Module>();

/**
 * The self-test of a module's first instance: further ones in this process run the same machine code.
 *
 * @throws as selfTest
 */
export function selfTestOnce({ module }: CompiledKernels, kernels: Kernels, memory: LinearMemory): void {
  if (tested.has(module)) return;
  selfTest(kernels, memory);
  tested.add(module);
}

/** @throws Error in one line, naming the lack of a fused multiply-add, or the first element whose bits differ */
export function selfTest(kernels: Kernels, memory: LinearMemory): void {
  expectFusedMultiplyAdd(kernels);
  const random = pseudoRandom(1);
  for (const sample of SAMPLES) checkSample(kernels, memory, sample, random);
  selfTestDecimals(kernels, memory);
}

/**
 * An engine may compute f32x4.relaxed_madd as a product and a sum, each rounded, and does where the processor has no
 * fused multiply-add. With a = 1 + 2^-12, the product a a = 1 + 2^-11 + 2^-24 is rounded to 1 + 2^-11, so a a - (1 + 2^-11)
 * is 2^-24 if it is fused, and else 0.
 */
function expectFusedMultiplyAdd(kernels: Kernels): void {
  const [a, b] = [1 + 2 ** -12, 1 + 2 ** -11];
  const computed = kernels.multiplyAdd(a, a, -b);
  const promised = fusedMultiplyAdd(a, a, -b);
  if (computed === promised) return;
  throw new Error(
    `Self-test failed: this processor or this JavaScript engine has no fused multiply-add: ${a} * ${a} - ${b} is ` +
      `${promised} with one rounding, and f32x4.relaxed_madd computed ${computed}. The kernels need x86-64 with FMA3, ` +
      'or arm64.',
  );
}

function checkSample(kernels: Kernels, memory: LinearMemory, { T, N, layers }: Sample, random: () => number): void {
  compareWithReference(kernels, memory, { T, N, layers: randomLayers(layers, random) }, random);
}

/**
 * Runs layers over random numbers and states, with rows of equal and of unequal length, and compares all bits with the
 * reference, of all states and gates.
 *
 * @throws Error as selfTest · memory_full
 */
export function compareWithReference(
  kernels: Kernels,
  memory: LinearMemory,
  sample: Sample<Layer>,
  random: () => number,
): void {
  const { T, N, layers } = sample;
  const model = placeModel(memory, layers);
  const ragged = Array.from({ length: N }, (_, n) => (T + n) % (T + 1));
  for (const lengths of T > 1 ? [undefined, ragged] : [undefined]) {
    const input = inputOf(layers, { T, N, lengths }, random);
    const expected = referenceModel(layers, input);
    for (const outputs of OUTPUTS) {
      const job = new Job(memory, model, { T, N, lengths, ...outputs });
      fillJob(job, input);
      kernels.run(job.ptr);
      expectValues(job, expected, { sample, layers, input });
      job.release();
    }
  }
  memory.free(model.ptr);
}

type Size = Pick<ReferenceInput, 'T' | 'N' | 'lengths'>;

/** Numbers and initial states for a job. */
function inputOf(layers: readonly Layer[], { T, N, lengths }: Size, random: () => number): ReferenceInput {
  const floats = (count: number) => randomFloats(count, random);
  const first = layers[0]!;
  const x =
    first.type === 'embedding'
      ? Uint32Array.from({ length: T * N }, () => Math.abs(random()) * first.V)
      : floats(T * N * inputsOf(first));
  const states = layers
    .filter((layer) => isRecurrent(layer))
    .flatMap(({ type, H, direction }) =>
      Array.from({ length: direction === 'bidirectional' ? 2 : 1 }, () => ({ isLstm: type === 'lstm', numbers: N * H })),
    );
  const h = states.map(({ numbers }) => floats(numbers));
  const c = states.map(({ isLstm, numbers }) => (isLstm ? floats(numbers) : undefined));
  return { T, N, lengths, x, h, c };
}

function fillJob(job: Job, { x, h, c }: ReferenceInput): void {
  if (x instanceof Uint32Array) job.ids.set(x);
  else job.x.set(x);
  for (const [k, state] of job.states.entries()) {
    state.h.set(h![k]!);
    state.c?.set(c![k]!);
  }
}

interface Computation {
  readonly sample: Sample;
  readonly layers: readonly Layer[];
  readonly input: ReferenceInput;
}

/** Compares all that a job has with what the reference computes. */
function expectValues(job: Job, expected: ReferenceOutput, computation: Computation): void {
  const { sample } = computation;
  const compare = (name: string, view: TensorView | undefined, numbers: Float32Array | undefined) => {
    if (view) expectSame(name, view, numbers!, sample);
  };
  for (const [k, { h, c }] of job.finalStates().entries()) {
    compare(`h.${k}`, h, expected.h[k]);
    compare(`c.${k}`, c, expected.c[k]);
  }
  compare('hs', job.hs, expected.hs);
  compare('y', job.y, expected.y);
  compare('ys', job.ys, expected.ys);
  for (const [k, { z, values }] of (job.gates ?? []).entries()) {
    const names = Object.keys(z);
    const { z: expectedZ, gates } = expected.trace[k]!;
    for (const [gate, name] of names.entries()) {
      compare(`z.${name}`, z[name], columnsOf(expectedZ, gate, names.length, z[name]!.shape[2]!));
      compare(name, values[name], columnsOf(gates, gate, names.length, z[name]!.shape[2]!));
    }
  }
  if (job.trace && !computation.input.lengths) expectProducts(job, expected, computation);
}

/** The columns of one gate, of H each, out of those of all gates. */
function columnsOf(rows: Float32Array, gate: number, gates: number, H: number): Float32Array {
  const count = rows.length / (gates * H);
  const columns = new Float32Array(count * H);
  for (let row = 0; row < count; row++) {
    columns.set(rows.subarray((row * gates + gate) * H, (row * gates + gate + 1) * H), row * H);
  }
  return columns;
}

/** Compares the trace of a model of one tanh layer, all of whose rows have T steps. */
function expectProducts(job: Job, { hs, trace }: ReferenceOutput, { sample, layers, input }: Computation): void {
  const { D, H, weights } = layers[0] as Extract<Layer, RecurrentSpec>;
  const { T, N, x, h } = input;
  const [h_W_h, x_W_x] = [new Float32Array(T * N * H), new Float32Array(T * N * H)];
  for (let at = 0; at < T * N; at++) {
    const before = at < N ? rowOf(h![0]!, at, H) : rowOf(hs, at - N, H);
    const products = referenceProducts({ D, H, ...weights }, rowOf(x as Float32Array, at, D), before);
    h_W_h.set(products.h_W_h, at * H);
    x_W_x.set(products.x_W_x, at * H);
  }
  expectSame('h_W_h', job.trace!.h_W_h, h_W_h, sample);
  expectSame('x_W_x', job.trace!.x_W_x, x_W_x, sample);
  expectSame('z', job.trace!.z, trace[0]!.z, sample);
}

function rowOf(rows: Float32Array, at: number, size: number): Float32Array {
  return rows.subarray(at * size, (at + 1) * size);
}

/** @param expected the same elements, row-major · @throws Error naming the first element whose bits differ */
function expectSame(name: string, view: TensorView, expected: Float32Array, sample: Sample): void {
  const size = view.shape.at(-1)!;
  for (let row = 0; row * size < expected.length; row++) {
    const place = view.shape.length === 2 ? [row] : [Math.floor(row / view.shape[1]!), row % view.shape[1]!];
    const from = place.reduce((sum, index, axis) => sum + index * view.strides[axis]!, 0);
    for (let j = 0; j < size; j++) {
      const [computed, promised] = [view.data[from + j]!, expected[row * size + j]!];
      // Of two zeros the signs are compared, too. Layers of a file may overflow to NaN.
      if (Object.is(computed, promised)) continue;
      throw new Error(
        `Self-test failed: for T=${sample.T}, N=${sample.N}, ${sample.layers.map(describe).join(' → ')} the kernels ` +
          `computed ${name}[${[...place, j].join('][')}] = ${computed}, the reference ${promised}. This build of ` +
          'the kernels, or this JavaScript engine, does not keep the numeric promise.',
      );
    }
  }
}

function describe(layer: LayerSpec): string {
  return layer.type in GATES && 'H' in layer ? `${layer.type} D=${layer.D} H=${layer.H} ${layer.direction}` : layer.type;
}
