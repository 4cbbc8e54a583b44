// Two workers against one at one shape, beside two processes that share nothing against one. The processes show
// what the machine gives to two of anything; workers cannot gain more.
import type { Job } from '../../src/wasm/job.ts';
import type { LinearMemory } from '../../src/wasm/memory.ts';
import { expectRightStates, makeSequenceCase, type Sizes } from '../cases/sequence-case.ts';
import { PAIR } from './points.ts';
import { startProcesses } from './processes.ts';
import { IN_FLIGHT_PER_WORKER, type Pools, countFor, latencyMs, runAll, withJobs } from './runs.ts';

/** Rows × steps per second, one element for each round. */
export interface OneAndTwo {
  readonly one: number[];
  readonly two: number[];
}

export interface PairResult {
  readonly sizes: Sizes;
  /** With enough jobs in flight for both workers. */
  readonly inFlight: OneAndTwo;
  /** With one job at a time, whose rows are split over the workers; from the median latency. */
  readonly alone: OneAndTwo;
  readonly processes: OneAndTwo;
}

export interface Pair {
  readonly result: PairResult;
  warmUp(): Promise<void>;
  measure(): Promise<void>;
  stop(): void;
}

export async function startPair(memory: LinearMemory, pools: Pools, seconds: number): Promise<Pair> {
  const sequence = makeSequenceCase(PAIR);
  const rowSteps = PAIR.T * PAIR.N;
  const both = [1, 2] as const;
  const processes = await startProcesses(PAIR);
  const result: PairResult = {
    sizes: PAIR,
    inFlight: { one: [], two: [] },
    alone: { one: [], two: [] },
    processes: { one: [], two: [] },
  };
  const counts: number[] = [];

  const withAll = (use: (jobs: readonly Job[]) => Promise<void>) =>
    withJobs(memory, sequence, 2 * IN_FLIGHT_PER_WORKER, use);
  const inFlight = (jobs: readonly Job[], workers: number) =>
    jobs.slice(0, workers * IN_FLIGHT_PER_WORKER);
  const listOf = ({ one, two }: OneAndTwo, count: number) => (count === 1 ? one : two);

  return {
    result,
    warmUp: () =>
      withAll(async (jobs) => {
        for (const workers of both) {
          const pool = pools.get(workers)!;
          counts[workers] = await countFor(pool, inFlight(jobs, workers), workers, seconds);
          await latencyMs(pool, jobs[0]!, seconds);
          await processes.rate(workers, seconds);
        }
        for (const { hs } of jobs) expectRightStates('the pool', sequence, hs!);
      }),
    measure: () =>
      withAll(async (jobs) => {
        await runAll(pools.get(2)!, jobs, jobs.length);
        for (const workers of both) {
          const took = await runAll(pools.get(workers)!, inFlight(jobs, workers), counts[workers]!);
          listOf(result.inFlight, workers).push((counts[workers]! * rowSteps) / took);
        }
        for (const workers of both) {
          const ms = await latencyMs(pools.get(workers)!, jobs[0]!, seconds);
          listOf(result.alone, workers).push((rowSteps * 1000) / ms);
        }
        for (const count of both) {
          const runs = await processes.rate(count, seconds);
          listOf(result.processes, count).push(runs * rowSteps);
        }
      }),
    stop: () => processes.stop(),
  };
}
