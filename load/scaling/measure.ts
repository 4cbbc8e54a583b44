// Every point in every round, so that a slow minute of the machine touches all of them alike.
import { readConfig } from '../../src/config.ts';
import type { Job } from '../../src/wasm/job.ts';
import { compileKernels } from '../../src/wasm/load.ts';
import { LinearMemory } from '../../src/wasm/memory.ts';
import { packModel } from '../packed-model.ts';
import { type Contestant, startPool } from '../parts/contestants.ts';
import { startProgress } from '../progress.ts';
import {
  type SequenceCase,
  type Sizes,
  expectRightStates,
  makeJob,
  makeSequenceCase,
} from '../sequence-case.ts';
import { percentile } from '../statistics.ts';
import { ALONE, BASE, allShapes, areSame } from './points.ts';

const MEMORY_BYTES = 3 * 1024 ** 3;
/** Of all jobs in flight: x and hs of a long sequence are large. */
const JOBS_BYTES_MAX = 2 * 1024 ** 3;
/** One that runs and one that waits: a worker is never without. */
const IN_FLIGHT_PER_WORKER = 2;

export interface PointResult {
  readonly sizes: Sizes;
  readonly workers: number;
  readonly inFlight: number;
  /** Rows × steps a second, one list element a round. */
  readonly rowStepsPerS: number[];
}

/** One job at a time. */
export interface AloneResult {
  readonly sizes: Sizes;
  readonly workers: number;
  /** Median of the round, one list element a round. */
  readonly p50Ms: number[];
}

/** About what a hand-over costs: smaller jobs would not be handed over, as in the service. */
const HAND_OVER_FLOPS = 500_000;

export interface Measured {
  readonly points: readonly PointResult[];
  readonly alone: readonly AloneResult[];
}

interface Options {
  readonly workerCounts: readonly number[];
  readonly rounds: number;
  /** Least length of a sample. */
  readonly seconds: number;
}

export async function measureScaling(options: Options): Promise<Measured> {
  const { workerCounts, rounds, seconds } = options;
  const memory = new LinearMemory(MEMORY_BYTES);
  const parts = { kernels: compileKernels(readConfig().KERNEL), memory: memory.memory };
  const pools = new Map<number, Contestant>();
  for (const workers of workerCounts) pools.set(workers, await startPool(parts, workers, HAND_OVER_FLOPS));

  const points = allShapes().map((sizes) => new Shape(sizes, workersAt(sizes, workerCounts)));
  const alone = [1, 2].map((workers) => ({ sizes: ALONE, workers, p50Ms: [] as number[] }));
  const aloneCase = makeSequenceCase(ALONE);
  const progress = startProgress('measuring', (rounds + 1) * (points.length + 1));
  let done = 0;
  for (let round = -1; round < rounds; round++) {
    // The first round is the warm-up; it also finds out how many jobs a sample takes.
    const isWarmUp = round < 0;
    for (const shape of points) {
      await (isWarmUp ? shape.warmUp(memory, pools, seconds) : shape.measure(memory, pools));
      progress.update(++done);
    }
    await withJobs(memory, aloneCase, 1, async ([job]) => {
      for (const { workers, p50Ms } of alone) {
        const ms = await latencyMs(pools.get(workers)!, job!, seconds);
        if (!isWarmUp) p50Ms.push(ms);
      }
    });
    progress.update(++done);
  }
  progress.stop();
  await Promise.all([...pools.values()].map((pool) => pool.close()));
  return { points: points.flatMap((shape) => shape.results), alone };
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

type Pools = ReadonlyMap<number, Contestant>;

function inFlightOf({ T, N, D, H }: Sizes, workers: number): number {
  const jobBytes = Float32Array.BYTES_PER_ELEMENT * T * N * (D + H);
  return Math.min(IN_FLIGHT_PER_WORKER * workers, Math.floor(JOBS_BYTES_MAX / jobBytes));
}

/** As many jobs as are in flight, so that no two threads write the same bytes. */
async function withJobs(
  memory: LinearMemory,
  sequence: SequenceCase,
  count: number,
  use: (jobs: readonly Job[]) => Promise<void>,
): Promise<void> {
  const model = packModel(memory, sequence.weights);
  const jobs = Array.from({ length: count }, () => makeJob(memory, model, sequence));
  await use(jobs);
  for (const job of jobs) job.release();
  memory.free(model.panelsPtr);
}

/** How many jobs last for `seconds`: a multiple of the workers, so that all end together. */
async function countFor(
  pool: Contestant,
  jobs: readonly Job[],
  workers: number,
  seconds: number,
): Promise<number> {
  for (let count = jobs.length; ; count *= 2) {
    const took = await runAll(pool, jobs, count);
    if (took < seconds / 2) continue;
    const enough = Math.max(jobs.length, (count * seconds) / took);
    return Math.ceil(enough / workers) * workers;
  }
}

/** Seconds for `count` runs; each job is handed over again as soon as it is back. */
async function runAll({ run }: Contestant, jobs: readonly Job[], count: number): Promise<number> {
  const startMs = performance.now();
  let left = count;
  await Promise.all(
    jobs.map(async (job) => {
      while (left-- > 0) await run(job);
    }),
  );
  return (performance.now() - startMs) / 1000;
}

async function latencyMs({ run }: Contestant, job: Job, seconds: number): Promise<number> {
  const timesMs: number[] = [];
  const endMs = performance.now() + seconds * 1000;
  for (let startMs = performance.now(); startMs < endMs || timesMs.length < 3; ) {
    await run(job);
    const nowMs = performance.now();
    timesMs.push(nowMs - startMs);
    startMs = nowMs;
  }
  return percentile(timesMs, 50);
}
