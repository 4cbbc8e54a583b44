// What a long life must not change: after many small jobs and many packings the linear memory is back on
// its free list, and the heap is as large as before.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { WeightsCache } from '../../src/models/weights-cache.ts';
import { Job } from '../../src/wasm/job.ts';
import { instantiateKernels } from '../../src/wasm/load.ts';
import { LinearMemory } from '../../src/wasm/memory.ts';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';
import { compiledKernels } from '../helpers/kernels.ts';
import { randomStack } from '../helpers/stacks.ts';

/** The most that may stay behind, in bytes a job: nothing that is kept for a job is as small. */
export const LEAK_BYTES_MAX = 1;

export interface SoakResult {
  /** What each job of the second half has left on the heap and in buffers beside it, bytes. */
  readonly heapBytesPerJob: number;
  /** What each job has left in linear memory, beyond the weights that are kept, bytes. */
  readonly linearBytesPerJob: number;
  /** By how much the linear memory has grown in the second half, bytes. */
  readonly grownBytes: number;
  /** Resident size of the process half-way and at the end, bytes. */
  readonly rssBytes: readonly [number, number];
}

/** Each is called with every job: for leaks that are planted to see that they are found. */
export interface Leaks {
  readonly onRun?: (job: Job) => void;
  /** In place of job.release(). */
  readonly release?: (job: Job, index: number) => void;
}

/** Each model leaves the cache with its last job: one that stayed would keep the layouts of its jobs on the heap. */
const CACHE_BYTES = 0;

/** Runs `jobs` small jobs of random shapes over `packings` different models of all kinds of layers. */
export function soak(jobs: number, packings: number, leaks: Leaks = {}): SoakResult {
  const memory = new LinearMemory(128 * 1024 * 1024);
  const { run } = instantiateKernels(compiledKernels, memory.memory);
  const cache = new WeightsCache(memory, CACHE_BYTES);
  const random = pseudoRandom(3);
  const pick = (max: number) => 1 + Math.floor(((random() + 1) / 2) * max);
  const release = leaks.release ?? ((job: Job) => job.release());

  const half = Math.ceil(packings / 2);
  const jobsPerPacking = Math.ceil(jobs / packings);
  const runPackings = (from: number, to: number) => {
    for (let packing = from; packing < to; packing++) {
      // Some of them wide.
      const size = packing % 4 === 0 ? { depth: 1, size: 90 } : { depth: pick(3), size: pick(24) };
      const lease = cache.acquire(randomStack({ ...size, T: 1, N: 1 }, packing).layers);
      for (let i = 0; i < jobsPerPacking; i++) {
        const job = new Job(memory, lease.model, { T: pick(3), N: pick(4), keepsStates: true, trace: false });
        // As a token id, too: there is a row 0 in every table.
        job.x.fill(0);
        run(job.ptr);
        leaks.onRun?.(job);
        release(job, packing * jobsPerPacking + i);
      }
      lease.release();
    }
    return { heapBytes: heapBytes(), grownBytes: memory.bytesGrown, rssBytes: process.memoryUsage.rss() };
  };
  const before = runPackings(0, half);
  const after = runPackings(half, packings);
  return {
    heapBytesPerJob: (after.heapBytes - before.heapBytes) / ((packings - half) * jobsPerPacking),
    linearBytesPerJob: (memory.bytesUsed - cache.bytes) / (packings * jobsPerPacking),
    grownBytes: after.grownBytes - before.grownBytes,
    rssBytes: [before.rssBytes, after.rssBytes],
  };
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** In use, after what is garbage was collected. */
function heapBytes(): number {
  // What has a finalizer goes with the second.
  for (let pass = 0; pass < 2; pass++) collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
