// The self-test: before a process serves, its multiply-add must be fused, and its kernels must compute the promised bits
// on a few small jobs, compared with the plain reference: every tile, every length of blocks, trailing rows and columns,
// narrow and wide models, rows of unequal length, readout, trace and the ring of last states; and they must read and print
// decimals. A process that fails does not start. The self-test also makes V8 optimize the kernels before the first
// request.
import { BLOCK_16_MAX, BLOCK_32_MAX, NARROW_MAX, NR } from '../kernels/layout.ts';
import type { Readout, TensorView, Weights } from '../tensor.ts';
import { fusedMultiplyAdd } from './fused-multiply-add.ts';
import { Job, type JobShape, type PackedModel } from './job.ts';
import type { CompiledKernels, Kernels } from './load.ts';
import type { LinearMemory } from './memory.ts';
import { packPanels, packReadout, panelsBytes, readoutOffsets } from './panels.ts';
import { pseudoRandom } from './pseudo-random.ts';
import { type ReferenceStep, referenceReadout, referenceStep } from './reference/step.ts';
import { selfTestDecimals } from './self-test-decimals.ts';

interface Shape {
  readonly T: number;
  readonly N: number;
  readonly D: number;
  readonly H: number;
  /** Outputs of the readout. */
  readonly O: number;
}

/** Two bands, then trailing columns: 32, 16 and 8, of which the last has some beyond H. */
const H_ALL_WIDTHS = 22 * NR + 3;
/** The columns of all tiles of narrow models: 32, 16 and 8. */
const H_NARROW_WIDTHS = 6 * NR + 3;
/** More steps than the ring of last states ever has slots, and more readouts than one product has. */
const T_BEYOND_RING = 130;

/** Batch tiles and trailing rows, all widths, both precisions, all lengths of blocks, single steps and sequences. */
const SHAPES: readonly Shape[] = [
  { T: 3, N: 1, D: 1, H: 1, O: 1 },
  { T: 3, N: 5, D: 5, H: H_NARROW_WIDTHS, O: 3 },
  { T: 3, N: 1, D: NARROW_MAX, H: 4 * NR, O: 2 * NR },
  { T: 3, N: 6, D: NARROW_MAX - 1, H: 5 * NR + 3, O: 1 },
  { T: 3, N: 9, D: NARROW_MAX + 7, H: 6 * NR + 1, O: 5 * NR + 3 },
  { T: 3, N: 1, D: 3, H: H_ALL_WIDTHS, O: NR },
  { T: 1, N: 1, D: 3, H: H_ALL_WIDTHS, O: 1 },
  { T: 1, N: 2, D: 3, H: H_ALL_WIDTHS, O: 1 },
  { T: 1, N: 7, D: 3, H: H_ALL_WIDTHS, O: 1 },
  { T: 1, N: 1, D: BLOCK_16_MAX + 9, H: 1, O: 1 },
  { T: 1, N: 1, D: BLOCK_32_MAX + 9, H: 1, O: 1 },
  { T: T_BEYOND_RING, N: 1, D: 1, H: 2, O: 1 },
  { T: T_BEYOND_RING, N: 2, D: NARROW_MAX, H: 1, O: 1 },
];

/** What jobs of each shape keep. Each runs twice, so that its bands are computed in both directions. */
const OUTPUTS: readonly Pick<JobShape, 'keepsStates' | 'trace'>[] = [
  { keepsStates: true, trace: true },
  { keepsStates: true, trace: false },
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
  for (const shape of SHAPES) checkShape(kernels, memory, shape, random);
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

function checkShape(kernels: Kernels, memory: LinearMemory, shape: Shape, random: () => number): void {
  const { T, N, D, H, O } = shape;
  const fill = (count: number) => Float32Array.from({ length: count }, random);
  const weights: Weights = { D, H, W_x: fill(D * H), W_h: fill(H * H), b: fill(H) };
  const readout: Readout = { O, W_y: fill(H * O), b_y: fill(O) };
  const model = packedModel(memory, weights, readout);
  const [x, h] = [fill(T * N * D), fill(N * H)];
  const expected = expectedValues(weights, readout, shape, x, h);
  const lengths = Array.from({ length: N }, (_, n) => (T + n) % (T + 1));
  for (const outputs of OUTPUTS) {
    for (const jobLengths of [undefined, lengths]) {
      const job = new Job(memory, model, { T, N, lengths: jobLengths, ...outputs });
      job.x.set(x);
      job.h.set(h);
      kernels.run(job.ptr);
      expectValues(job, expected, shape, jobLengths);
      job.release();
    }
  }
  memory.free(model.panelsPtr);
  memory.free(model.readout.panelsPtr);
}

type PackedWithReadout = PackedModel & { readonly readout: { readonly O: number; readonly panelsPtr: number } };

function packedModel(memory: LinearMemory, weights: Weights, readout: Readout): PackedWithReadout {
  const { D, H } = weights;
  const place = (bytes: number, pack: (target: Float32Array) => void) => {
    const ptr = memory.allocate(bytes);
    pack(memory.f32(ptr, bytes / Float32Array.BYTES_PER_ELEMENT));
    return ptr;
  };
  const panelsPtr = place(panelsBytes(D, H), (target) => packPanels(weights, target));
  const readoutBytes = readoutOffsets(H, readout.O).bytes;
  const readoutPtr = place(readoutBytes, (target) => packReadout(H, readout, target));
  return { D, H, panelsPtr, readout: { O: readout.O, panelsPtr: readoutPtr } };
}

/** By the reference, for T steps of all N rows; a row that stops earlier has the same ones until then. */
interface Expected {
  /** [t N + n] */
  readonly steps: readonly ReferenceStep[];
  /** [t N + n], O elements each. */
  readonly ys: readonly Float32Array[];
  /** [n]: h before the first step and its readout, the result of a row of length 0. */
  readonly before: readonly { readonly state: Float32Array; readonly y: Float32Array }[];
}

function expectedValues(
  weights: Weights,
  readout: Readout,
  { T, N, D, H }: Shape,
  x: Float32Array,
  h: Float32Array,
): Expected {
  const before = Array.from({ length: N }, (_, n) => {
    const state = h.subarray(n * H, (n + 1) * H);
    return { state, y: referenceReadout(readout, state) };
  });
  const steps: ReferenceStep[] = [];
  for (let row = 0; row < T * N; row++) {
    const { state } = steps[row - N] ?? before[row]!;
    steps.push(referenceStep(weights, x.subarray(row * D, (row + 1) * D), state));
  }
  return { steps, ys: steps.map(({ state }) => referenceReadout(readout, state)), before };
}

/** Compares all that a job has with what the reference computes. */
function expectValues(
  job: Job,
  { steps, ys, before }: Expected,
  shape: Shape,
  lengths: readonly number[] | undefined,
): void {
  const { T, N } = shape;
  const h = job.finalState();
  for (let n = 0; n < N; n++) {
    const length = lengths?.[n] ?? T;
    const last = (length - 1) * N + n;
    expectRow('h', h, [n], (steps[last] ?? before[n]!).state, shape);
    expectRow('y', job.y, [n], ys[last] ?? before[n]!.y, shape);
    for (let t = 0; t < T; t++) {
      const at = t * N + n;
      const isBeyond = t >= length;
      expectRow('hs', job.hs, [t, n], isBeyond ? undefined : steps[at]!.state, shape);
      expectRow('ys', job.ys, [t, n], isBeyond ? undefined : ys[at]!, shape);
      if (!job.trace) continue;
      for (const name of ['h_W_h', 'x_W_x', 'z'] as const) {
        expectRow(name, job.trace[name], [t, n], isBeyond ? undefined : steps[at]![name], shape);
      }
    }
  }
}

/** @param expected zeros if absent · @throws Error naming the first element of the row whose bits differ */
function expectRow(
  name: string,
  view: TensorView | undefined,
  row: readonly number[],
  expected: Float32Array | undefined,
  { T, N, D, H, O }: Shape,
): void {
  if (!view) return;
  const { data, shape, strides } = view;
  const from = row.reduce((sum, index, axis) => sum + index * strides[axis]!, 0);
  for (let j = 0; j < shape.at(-1)!; j++) {
    const [computed, promised] = [data[from + j], expected?.[j] ?? 0];
    if (Object.is(computed, promised)) continue;
    throw new Error(
      `Self-test failed: for T=${T}, N=${N}, D=${D}, H=${H}, O=${O} the kernels computed ` +
        `${name}[${[...row, j].join('][')}] = ${computed}, the reference ${promised}. This build of ` +
        'the kernels, or this JavaScript engine, does not keep the numeric promise.',
    );
  }
}
