// Measures every point in every round, so that what slows the machine for a while slows all of them.
import { readConfig } from '../../src/config.ts';
import type { Job } from '../../src/wasm/job.ts';
import { compileKernels } from '../../src/wasm/load.ts';
import { LinearMemory } from '../../src/wasm/memory.ts';
import { type Dispatcher, startPool } from '../dispatch/dispatchers.ts';
import { startProgress } from '../report/progress.ts';
import { type SequenceCase, type Sizes, expectRightStates, makeSequenceCase } from '../cases/sequence-case.ts';
import { type PairResult, startPair } from './pair.ts';
import { BASE, areSame } from './points.ts';
import { IN_FLIGHT_PER_WORKER, type Pools, countFor, runAll, withJobs } from './runs.ts';

const MEMORY_BYTES = 3 * 1024 ** 3;
/** x and hs of all jobs in flight; those of a long sequence are large. */
const JOBS_BYTES_MAX = 2 * 1024 ** 3;

export interface PointResult {
  readonly sizes: Sizes;
  readonly workers: number;
  readonly inFlight: number;
  /** Rows × steps per second, one element for each round. */
  readonly rowStepsPerS: number[];
}

/** About the cost of a dispatch: the scheduler runs smaller jobs inline, as it does in the service. */
const DISPATCH_FLOPS = 500_000;

export interface Measured {
  readonly points: readonly PointResult[];
  readonly pair: PairResult;
}

interface Options {
  readonly shapes: readonly Sizes[];
  readonly workerCounts: readonly number[];
  readonly rounds: number;
  /** Least length of a sample. */
  readonly seconds: number;
}

export async function measureScaling(options: Options): Promise<Measured> {
  const { shapes, workerCounts, rounds, seconds } = options;
  const memory = new LinearMemory(MEMORY_BYTES);
  const parts = { kernels: compileKernels(readConfig().KERNEL), memory: memory.memory };
  const pools = new Map<number, Dispatcher>();
  for (const workers of workerCounts) pools.set(workers, await startPool(parts, workers, DISPATCH_FLOPS));

  const points = shapes.map((sizes) => new Shape(sizes, workersAt(sizes, workerCounts)));
  const pair = await startPair(memory, pools, seconds);
  const progress = await startProgress('measuring', (rounds + 1) * (points.length + 1));
  let done = 0;
  for (let round = -1; round < rounds; round++) {
    // Round -1 is the warm-up; it also finds the number of jobs of a sample.
    const isWarmUp = round < 0;
    for (const shape of points) {
      await (isWarmUp ? shape.warmUp(memory, pools, seconds) : shape.measure(memory, pools));
      progress.update(++done);
    }
    await (isWarmUp ? pair.warmUp() : pair.measure());
    progress.update(++done);
  }
  progress.stop();
  pair.stop();
  await Promise.all([...pools.values()].map((pool) => pool.close()));
  return { points: points.flatMap((shape) => shape.results), pair: pair.result };
}

/** The base point is measured with every number of workers, other points with one and with all. */
function workersAt(sizes: Sizes, workerCounts: readonly number[]): readonly number[] {
  return areSame(sizes, BASE) ? workerCounts : [1, workerCounts.at(-1)!];
}

/** The points of one shape, which share weights and jobs. */
class Shape {
  readonly results: readonly PointResult[];
  readonly #sequence: SequenceCase;
  /** For each result the number of jobs of a sample. */
  readonly #counts: number[] = [];

  constructor(sizes: Sizes, workerCounts: readonly number[]) {
    this.#sequence = makeSequenceCase(sizes);
    this.results = workerCounts.map((workers) => ({
      sizes,
      workers,
      inFlight: inFlightOf(sizes, workers),
      rowStepsPerS: [],
    }));
  }

  /** @throws Error if a job's states are not those of the reference */
  async warmUp(memory: LinearMemory, pools: Pools, seconds: number): Promise<void> {
    await this.#withJobs(memory, async (jobs) => {
      for (const { workers, inFlight } of this.results) {
        const some = jobs.slice(0, inFlight);
        this.#counts.push(await countFor(pools.get(workers)!, some, workers, seconds));
      }
      for (const { hs } of jobs) expectRightStates('the pool', this.#sequence, hs!);
    });
  }

  async measure(memory: LinearMemory, pools: Pools): Promise<void> {
    const { T, N } = this.#sequence;
    await this.#withJobs(memory, async (jobs) => {
      // Not timed: the first run of a job finds its memory in no cache.
      await runAll(pools.get(this.results.at(-1)!.workers)!, jobs, jobs.length);
      for (const [i, { workers, inFlight, rowStepsPerS }] of this.results.entries()) {
        const count = this.#counts[i]!;
        const took = await runAll(pools.get(workers)!, jobs.slice(0, inFlight), count);
        rowStepsPerS.push((count * T * N) / took);
      }
    });
  }

  #withJobs(memory: LinearMemory, use: (jobs: readonly Job[]) => Promise<void>): Promise<void> {
    const count = Math.max(...this.results.map(({ inFlight }) => inFlight));
    return withJobs(memory, this.#sequence, count, use);
  }
}

function inFlightOf({ T, N, D, H }: Sizes, workers: number): number {
  const jobBytes = Float32Array.BYTES_PER_ELEMENT * T * N * (D + H);
  return Math.min(IN_FLIGHT_PER_WORKER * workers, Math.floor(JOBS_BYTES_MAX / jobBytes));
}

