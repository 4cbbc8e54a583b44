// Every point in every round, so that a slow minute of the machine touches all of them alike.
import { readConfig } from '../../src/config.ts';
import type { Job } from '../../src/wasm/job.ts';
import { compileKernels } from '../../src/wasm/load.ts';
import { LinearMemory } from '../../src/wasm/memory.ts';
import { type Contestant, startPool } from '../parts/contestants.ts';
import { startProgress } from '../progress.ts';
import { type SequenceCase, type Sizes, expectRightStates, makeSequenceCase } from '../sequence-case.ts';
import { type PairResult, startPair } from './pair.ts';
import { BASE, areSame } from './points.ts';
import { IN_FLIGHT_PER_WORKER, type Pools, countFor, runAll, withJobs } from './runs.ts';

const MEMORY_BYTES = 3 * 1024 ** 3;
/** Of all jobs in flight: x and hs of a long sequence are large. */
const JOBS_BYTES_MAX = 2 * 1024 ** 3;

export interface PointResult {
  readonly sizes: Sizes;
  readonly workers: number;
  readonly inFlight: number;
  /** Rows × steps a second, one list element a round. */
  readonly rowStepsPerS: number[];
}

/** About what a hand-over costs: smaller jobs would not be handed over, as in the service. */
const HAND_OVER_FLOPS = 500_000;

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
  const pools = new Map<number, Contestant>();
  for (const workers of workerCounts) pools.set(workers, await startPool(parts, workers, HAND_OVER_FLOPS));

  const points = shapes.map((sizes) => new Shape(sizes, workersAt(sizes, workerCounts)));
  const pair = await startPair(memory, pools, seconds);
  const progress = startProgress('measuring', (rounds + 1) * (points.length + 1));
  let done = 0;
  for (let round = -1; round < rounds; round++) {
    // The first round is the warm-up; it also finds out how many jobs a sample takes.
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

/** The axis of workers is at the base point; elsewhere there are one worker and all of them. */
function workersAt(sizes: Sizes, workerCounts: readonly number[]): readonly number[] {
  return areSame(sizes, BASE) ? workerCounts : [1, workerCounts.at(-1)!];
}

/** The points of one shape: they share weights and jobs. */
class Shape {
  readonly results: readonly PointResult[];
  readonly #sequence: SequenceCase;
  /** Of each result: how many jobs make a sample. */
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
      // Not timed: the first run of a job meets memory that no cache has.
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

