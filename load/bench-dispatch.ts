// npm run bench:dispatch: the cost of dispatching one job to a worker thread.
//
// The job is a step of N=1, D=H=128 over packed weights in shared memory. Each round measures every dispatcher:
// with one job at a time (the round trip, compute included), then with 16 jobs in flight over one and over two
// workers. The direct call on this thread is the compute without dispatch.
//
//   node load/bench-dispatch.ts [--seconds 0.3] [--rounds 7] [--json FILE]
import { parseArgs } from 'node:util';
import { copyRows } from '../src/engine/result.ts';
import { tanhLayers } from '../src/layers.ts';
import { Job } from '../src/wasm/job.ts';
import { compileKernels, instantiateKernels } from '../src/wasm/load.ts';
import { LinearMemory } from '../src/wasm/memory.ts';
import { packModel } from './cases/packed-model.ts';
import { INSTALL_PEERS } from './peers/install.ts';
import { runProgram, secondsOf, wholeNumber, writeReport } from './report/program.ts';
import { startProgress } from './report/progress.ts';
import { percentile, ratiosOf, spreadOf } from '../src/cli/bench/statistics.ts';
import { expectSameBits } from '../src/cli/bench/same-bits.ts';
import { type StepCase, makeStepCase } from '../src/cli/bench/step-case.ts';
import { formatNumber, formatTable } from '../src/cli/table.ts';
import {
  type Dispatcher,
  type KernelParts,
  isPiscinaInstalled,
  startMessages,
  startPiscina,
  startPool,
} from './dispatch/dispatchers.ts';

const IN_FLIGHT = 16;
const SIZES = { N: 1, D: 128, H: 128 };

await runProgram(main);

async function main(): Promise<void> {
  const { seconds, rounds, json } = readArguments();
  if (!isPiscinaInstalled) console.log(`piscina is left out; to install it: ${INSTALL_PEERS}`);
  const memory = new LinearMemory(64 * 1024 * 1024);
  const parts = { kernels: compileKernels(), memory: memory.memory };
  const stepCase = makeStepCase(SIZES);
  const jobs = makeJobs(memory, stepCase);
  const direct = startDirect(parts);
  const pairs = await startDispatchers(parts);

  const results = [direct, ...pairs.map(({ one }) => one)].map(
    ({ name }): Figures => ({ name, alone: [], one: [], two: [] }),
  );
  const progress = await startProgress('measuring', (rounds + 1) * results.length);
  for (let round = -1; round < rounds; round++) {
    for (const [i, figures] of results.entries()) {
      const pair = pairs[i - 1] ?? { one: direct, two: undefined };
      const measured = await measure(pair, jobs, stepCase, seconds);
      // Round -1 is the warm-up.
      if (round >= 0) keep(figures, measured);
      progress.update((round + 1) * results.length + i + 1);
    }
  }
  progress.stop();
  await Promise.all(pairs.flatMap(({ one, two }) => [one.close(), two.close()]));

  console.log(describe(results, rounds));
  writeReport(json, { node: process.version, sizes: SIZES, inFlight: IN_FLIGHT, results });
}

function readArguments() {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '0.3' },
      rounds: { type: 'string', default: '7' },
      json: { type: 'string' },
    },
  });
  const seconds = secondsOf(values.seconds, 0.001, 60);
  const rounds = wholeNumber('rounds', values.rounds);
  return { seconds, rounds, json: values.json };
}

/** One job for each that is in flight, so that no two threads write the same bytes. */
function makeJobs(memory: LinearMemory, { N, weights, x, h }: StepCase): Job[] {
  const model = packModel(memory, tanhLayers(weights));
  return Array.from({ length: IN_FLIGHT }, () => {
    const job = new Job(memory, model, { T: 1, N, keepsStates: true, trace: false });
    job.x.set(x);
    job.states[0]!.h.set(h);
    return job;
  });
}

/** No dispatch. It returns a promise like the others, so that the measured loops are the same. */
function startDirect({ kernels, memory }: KernelParts): Dispatcher {
  const { run } = instantiateKernels(kernels, memory);
  return {
    name: 'direct call',
    run: async ({ ptr }) => run(ptr),
    close: async () => undefined,
  };
}

interface Pair {
  /** With one worker. */
  readonly one: Dispatcher;
  /** With two. */
  readonly two: Dispatcher;
}

async function startDispatchers(parts: KernelParts): Promise<Pair[]> {
  const starts = [startPool, startMessages, ...(isPiscinaInstalled ? [startPiscina] : [])];
  return Promise.all(
    starts.map(async (start) => ({ one: await start(parts, 1), two: await start(parts, 2) })),
  );
}

interface RoundTrip {
  readonly p50Us: number;
  readonly p99Us: number;
}

/** Lists have one element for each round; `one` and `two` are jobs/s with one and with two workers. */
interface Figures {
  readonly name: string;
  readonly alone: RoundTrip[];
  readonly one: number[];
  readonly two: number[];
}

interface Measured {
  readonly alone: RoundTrip;
  readonly one: number;
  readonly two: number | undefined;
}

async function measure(
  { one, two }: { one: Dispatcher; two: Dispatcher | undefined },
  jobs: readonly Job[],
  stepCase: StepCase,
  seconds: number,
): Promise<Measured> {
  for (const { hs } of jobs) hs!.data.fill(0);
  const measured = {
    alone: await roundTrips(one, jobs[0]!, seconds),
    one: await throughput(one, jobs, seconds),
    two: two && (await throughput(two, jobs, seconds)),
  };
  for (const job of jobs) {
    const h = new Float32Array(stepCase.expected.length);
    copyRows(job.finalStates()[0]!.h, h);
    expectSameBits(`${one.name}: h`, h, stepCase.expected);
  }
  return measured;
}

function keep(figures: Figures, { alone, one, two }: Measured): void {
  figures.alone.push(alone);
  figures.one.push(one);
  if (two !== undefined) figures.two.push(two);
}

/** One job at a time. */
async function roundTrips({ run }: Dispatcher, job: Job, seconds: number): Promise<RoundTrip> {
  const timesUs: number[] = [];
  const endMs = performance.now() + seconds * 1000;
  for (let startMs = performance.now(); startMs < endMs; ) {
    await run(job);
    const nowMs = performance.now();
    timesUs.push((nowMs - startMs) * 1000);
    startMs = nowMs;
  }
  return { p50Us: percentile(timesUs, 50), p99Us: percentile(timesUs, 99) };
}

/** Jobs per second with all of them in flight: each is dispatched again as soon as it is done. */
async function throughput({ run }: Dispatcher, jobs: readonly Job[], seconds: number) {
  const startMs = performance.now();
  const endMs = startMs + seconds * 1000;
  let count = 0;
  await Promise.all(
    jobs.map(async (job) => {
      while (performance.now() < endMs) {
        await run(job);
        count++;
      }
    }),
  );
  return (count / (performance.now() - startMs)) * 1000;
}

function describe(results: readonly Figures[], rounds: number): string {
  const { N, D, H } = SIZES;
  const jobsPerS = `${IN_FLIGHT} in flight, jobs/s`;
  const headings = [
    '',
    'alone p50 µs',
    'p99 µs',
    '÷ pool',
    `1 worker, ${jobsPerS}`,
    '÷ pool',
    `2 workers, ${jobsPerS}`,
    '÷ pool',
  ];
  const pool = results[1]!;
  return `
Node ${process.version}, a step of N=${N} D=${D} H=${H}, median (min … max) of ${rounds} rounds

${formatTable([headings, ...results.map((figures) => row(figures, pool))])}
`;
}

function row({ name, alone, one, two }: Figures, pool: Figures): string[] {
  const p50s = alone.map(({ p50Us }) => p50Us);
  const p99s = alone.map(({ p99Us }) => p99Us);
  const poolP50s = pool.alone.map(({ p50Us }) => p50Us);
  return [
    name,
    formatSpread(p50s),
    formatNumber(spreadOf(p99s).median),
    formatNumber(ratiosOf(p50s, poolP50s).median),
    formatSpread(one),
    formatNumber(ratiosOf(one, pool.one).median),
    two.length > 0 ? formatSpread(two) : '–',
    two.length > 0 ? formatNumber(ratiosOf(two, pool.two).median) : '–',
  ];
}

function formatSpread(values: readonly number[]): string {
  const { median, min, max } = spreadOf(values);
  return `${formatNumber(median)} (${formatNumber(min)} … ${formatNumber(max)})`;
}
