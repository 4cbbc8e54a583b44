// Before a process serves, it proves on a few small jobs that its kernels compute the promised bits:
// every tile, every tail, narrow and wide models, compared with the plain reference; and that they read
// and print decimals. A process that
// fails does not start. It also makes V8 optimize the kernels before the first request.
import { NARROW_MAX, NR } from '../kernels/layout.ts';
import type { Weights } from '../tensor.ts';
import { Job } from './job.ts';
import type { Kernels } from './load.ts';
import type { LinearMemory } from './memory.ts';
import { packPanels, panelsBytes } from './panels.ts';
import { pseudoRandom } from './pseudo-random.ts';
import { referenceStep } from './reference.ts';
import { selfTestTexts } from './self-test-texts.ts';

interface Shape {
  readonly N: number;
  readonly D: number;
  readonly H: number;
}

/** Batch tiles and their tails, two wide panels, one and the last of NR, columns beyond H; both precisions. */
const SHAPES: readonly Shape[] = [
  { N: 1, D: 1, H: 1 },
  { N: 5, D: 5, H: 2 * NR + 3 },
  { N: 1, D: NARROW_MAX, H: 4 * NR },
  { N: 6, D: NARROW_MAX - 1, H: 5 * NR + 3 },
  { N: 9, D: NARROW_MAX + 7, H: 6 * NR + 1 },
  { N: 1, D: 3, H: 14 * NR + 3 },
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
  { N, D, H }: Shape,
  random: () => number,
): void {
  const fill = (count: number) => Float32Array.from({ length: count }, random);
  const weights: Weights = { D, H, W_x: fill(D * H), W_h: fill(H * H), b: fill(H) };
  const T = 3;
  const bytes = panelsBytes(D, H);
  const panelsPtr = memory.allocate(bytes);
  packPanels(weights, memory.f32(panelsPtr, bytes / Float32Array.BYTES_PER_ELEMENT));
  const job = new Job(memory, { D, H, panelsPtr }, { T, N, keepsStates: true, trace: false });
  const x = fill(T * N * D);
  job.x.set(x);
  kernels.run(job.ptr);

  const { data, strides } = job.hs!;
  for (let n = 0; n < N; n++) {
    let h = new Float32Array(H);
    for (let t = 0; t < T; t++) {
      const start = (t * N + n) * D;
      h = Float32Array.from(referenceStep(weights, x.subarray(start, start + D), h).state);
      const at = t * strides[0]! + n * strides[1]!;
      const wrong = h.findIndex((value, j) => !Object.is(value, data[at + j]));
      if (wrong < 0) continue;
      throw new Error(
        `Self-test failed: for N=${N}, D=${D}, H=${H} the kernels computed ` +
          `h[${t}][${n}][${wrong}] = ${data[at + wrong]}, the reference ${h[wrong]}. This build of ` +
          'the kernels, or this JavaScript engine, does not keep the numeric promise.',
      );
    }
  }
  job.release();
  memory.free(panelsPtr);
}
