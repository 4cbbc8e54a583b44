// Before a process serves, it proves on a few small jobs that its kernels compute the promised bits:
// every tile, every tail, narrow and wide models, compared with the plain reference; and that they read
// and print decimals. A process that fails does not start. It also makes V8 optimize the kernels before
// the first request.
import { NARROW_MAX, NR } from '../kernels/layout.ts';
import type { TensorView, Weights } from '../tensor.ts';
import { Job } from './job.ts';
import type { Kernels } from './load.ts';
import type { LinearMemory } from './memory.ts';
import { packPanels, panelsBytes } from './panels.ts';
import { pseudoRandom } from './pseudo-random.ts';
import { referenceStep } from './reference.ts';
import { selfTestTexts } from './self-test-texts.ts';

interface Shape {
  readonly T: number;
  readonly N: number;
  readonly D: number;
  readonly H: number;
}

/** Two bands, then 32, 16 and 8 columns, the last with some beyond H. */
const H_ALL_WIDTHS = 22 * NR + 3;
/** The same of a narrow model: 32, 16 and 8 columns. */
const H_NARROW_WIDTHS = 6 * NR + 3;

/** Batch tiles and the rows they leave over, all widths, both precisions, single steps and sequences. */
const SHAPES: readonly Shape[] = [
  { T: 3, N: 1, D: 1, H: 1 },
  { T: 3, N: 5, D: 5, H: H_NARROW_WIDTHS },
  { T: 3, N: 1, D: NARROW_MAX, H: 4 * NR },
  { T: 3, N: 6, D: NARROW_MAX - 1, H: 5 * NR + 3 },
  { T: 3, N: 9, D: NARROW_MAX + 7, H: 6 * NR + 1 },
  { T: 3, N: 1, D: 3, H: H_ALL_WIDTHS },
  { T: 1, N: 1, D: 3, H: H_ALL_WIDTHS },
  { T: 1, N: 2, D: 3, H: H_ALL_WIDTHS },
  { T: 1, N: 7, D: 3, H: H_ALL_WIDTHS },
];

/** @throws Error naming the first element whose bits differ */
export function selfTest(kernels: Kernels, memory: LinearMemory): void {
  const random = pseudoRandom(1);
  for (const shape of SHAPES) checkShape(kernels, memory, shape, random);
  selfTestTexts(kernels, memory);
}

function checkShape(
  kernels: Kernels,
  memory: LinearMemory,
  shape: Shape,
  random: () => number,
): void {
  const { T, N, D, H } = shape;
  const fill = (count: number) => Float32Array.from({ length: count }, random);
  const weights: Weights = { D, H, W_x: fill(D * H), W_h: fill(H * H), b: fill(H) };
  const bytes = panelsBytes(D, H);
  const panelsPtr = memory.allocate(bytes);
  packPanels(weights, memory.f32(panelsPtr, bytes / Float32Array.BYTES_PER_ELEMENT));
  const job = new Job(memory, { D, H, panelsPtr }, { T, N, keepsStates: true, trace: false });
  job.x.set(fill(T * N * D));
  const expected = referenceStates(weights, job.x, shape);
  // Twice, as columns are gone through forwards and backwards in turn.
  for (let pass = 0; pass < 2; pass++) {
    kernels.run(job.ptr);
    expectStates(job.hs!, expected, shape);
  }
  job.release();
  memory.free(panelsPtr);
}

/** (T, N, H), from states of zeros on. */
function referenceStates(weights: Weights, x: Float32Array, { T, N, D, H }: Shape): Float32Array {
  const states = new Float32Array(T * N * H);
  for (let row = 0; row < T * N; row++) {
    const before = row < N ? new Float32Array(H) : states.subarray((row - N) * H, (row - N + 1) * H);
    const step = referenceStep(weights, x.subarray(row * D, (row + 1) * D), before);
    states.set(step.state, row * H);
  }
  return states;
}

function expectStates({ data, strides }: TensorView, expected: Float32Array, { T, N, D, H }: Shape): void {
  for (let index = 0; index < expected.length; index++) {
    const [t, n, j] = [Math.floor(index / (N * H)), Math.floor(index / H) % N, index % H];
    const computed = data[t * strides[0]! + n * strides[1]! + j];
    if (Object.is(computed, expected[index])) continue;
    throw new Error(
      `Self-test failed: for T=${T}, N=${N}, D=${D}, H=${H} the kernels computed ` +
        `h[${t}][${n}][${j}] = ${computed}, the reference ${expected[index]}. This build of ` +
        'the kernels, or this JavaScript engine, does not keep the numeric promise.',
    );
  }
}
