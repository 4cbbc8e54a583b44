// What a long life must not change: after many small jobs and many packings the linear memory is
// back on its free list and the process is as large as before.
import { WeightsCache } from '../../src/models/weights-cache.ts';
import { Job } from '../../src/wasm/job.ts';
import { LinearMemory } from '../../src/wasm/memory.ts';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';
import { randomRecurrence } from '../helpers/recurrence.ts';
import { compiledKernels } from '../helpers/kernels.ts';
import { instantiateKernels } from '../../src/wasm/load.ts';

export interface SoakResult {
  /** Resident size of the process half-way and at the end, MiB. */
  readonly rssMiB: readonly [number, number];
  /** What the linear memory has grown to, at the same two moments, MiB. */
  readonly grownMiB: readonly [number, number];
  /** Bytes in use beyond the cache, at the end. */
  readonly bytesLeft: number;
}

/** Runs `jobs` small jobs of random shapes over `packings` different models. */
export function soak(jobs: number, packings: number): SoakResult {
  const memory = new LinearMemory(128 * 1024 * 1024);
  const { run } = instantiateKernels(compiledKernels, memory.memory);
  const cache = new WeightsCache(memory, 4 * 1024 * 1024);
  const random = pseudoRandom(3);
  const pick = (max: number) => 1 + Math.floor(((random() + 1) / 2) * max);

  const rss: number[] = [];
  const grown: number[] = [];
  const note = () => {
    rss.push(process.memoryUsage.rss() / 2 ** 20);
    grown.push(memory.bytesGrown / 2 ** 20);
  };
  for (let packing = 0; packing < packings; packing++) {
    const shape = { T: 1, N: 1, D: pick(90), H: pick(90) };
    const lease = cache.acquire(randomRecurrence(shape, packing).weights);
    for (let i = 0; i < jobs / packings; i++) {
      const T = pick(3);
      const job = new Job(memory, lease.model, { T, N: pick(4), keepsStates: true, trace: false });
      job.x.fill(0.5);
      run(job.ptr);
      job.release();
    }
    lease.release();
    if (packing + 1 === Math.ceil(packings / 2)) note();
  }
  note();
  const bytesLeft = memory.bytesUsed - cache.bytes;
  return {
    rssMiB: rss as [number, number],
    grownMiB: grown as [number, number],
    bytesLeft,
  };
}
