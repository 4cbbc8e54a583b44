// npm run load:overload: the service under more requests than its workers can compute.
//
//   node load/load-overload.ts [--seconds 60] [--workers 1,2] [--factors 1.5,3,10] [--json FILE]
//
// Capacity is measured before and after each round, with as many callers as keep the workers busy. Open loop:
// requests are sent at a fixed rate, whether or not earlier ones are answered. Closed loop: each caller waits for its
// answer, and after a refusal for Retry-After; there are as many callers as could be answered just within the
// deadline, times the factor. Exit code 1 if less than 0.9 of the capacity is answered within the deadline, if a worker
// was lost, if the service was ever not ready, if the p99 of accepted requests exceeds the deadline, or if an answer is
// wrong.
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { describeMachine, machineInfo } from './report/machine.ts';
import { type Answer, JOB, OverloadClient, ProcessorShare } from './clients/overload-client.ts';
import { cpuTimeMs } from './processes/cpu-time.ts';
import { type ServerProcess, startServer } from './processes/server-process.ts';
import { runProgram, secondsOf, writeReport } from './report/program.ts';
import { percentile } from '../src/cli/bench/statistics.ts';
import { formatNumber, formatTable } from '../src/cli/table.ts';

const DEADLINE_MS = 2_000;
/** Between two requests for /health/ready. */
const READY_POLL_MS = 50;
const GOODPUT_MIN = 0.9;
const ROUND_S = 10;
const CAPACITY_S = 3;

interface Load {
  readonly workers: number;
  readonly factor: number;
  readonly loop: 'open' | 'closed';
}

interface Result extends Load {
  readonly capacityPerS: number;
  readonly goodput: number;
  /** Answers in time for each second of the service's processor time ÷ those while the capacity is measured. */
  readonly perProcessorTime: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Number of answers by code; `ok` for those that were computed. */
  readonly codes: Readonly<Record<string, number>>;
  readonly workersLost: number;
  readonly notReady: number;
}

await runProgram(main);

async function main(): Promise<void> {
  const { seconds, workers, factors, json } = readArguments();
  const servers: ServerProcess[] = [];
  const results: Result[] = [];
  try {
    for (const count of workers) {
      const settings = { WORKERS: String(count), JOB_DEADLINE_MS: String(DEADLINE_MS) };
      servers.push(await startServer(settings));
    }
    for (const [i, server] of servers.entries()) {
      const client = new OverloadClient(server);
      const processorMs = () => cpuTimeMs(server.pid);
      await client.prepare();
      for (const factor of factors) {
        for (const loop of ['open', 'closed'] as const) {
          const load = { workers: workers[i]!, factor, loop };
          results.push(await measure(client, processorMs, load, seconds));
          process.stderr.write(`${formatTable([rowOf(results.at(-1)!)])}\n`);
        }
      }
    }
  } finally {
    for (const server of servers) await server.stop();
  }
  console.log(`${describeMachine(machineInfo())}\n\n${describe(results)}`);
  writeReport(json, results);
  const missed = results.filter((result) => missesOf(result).length > 0);
  if (missed.length > 0) throw new Error(`${missed.length} of ${results.length} loads missed a target.`);
}

function readArguments() {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '60' },
      workers: { type: 'string', default: '1,2' },
      factors: { type: 'string', default: '1.5,3,10' },
      json: { type: 'string' },
    },
  });
  const numbers = (text: string) => text.split(',').map(Number);
  return {
    seconds: secondsOf(values.seconds, 1),
    workers: numbers(values.workers),
    factors: numbers(values.factors),
    json: values.json,
  };
}

/** Rounds between measurements of the capacity, because a shared machine is slower by half at times. */
async function measure(client: OverloadClient, processorMs: () => number, load: Load, seconds: number): Promise<Result> {
  const { workers, factor, loop } = load;
  const rounds = Math.max(1, Math.round(seconds / ROUND_S));
  const roundSeconds = seconds / rounds;
  const [idle, loaded] = [new ProcessorShare(processorMs, DEADLINE_MS), new ProcessorShare(processorMs, DEADLINE_MS)];
  // Two callers for each worker: one is computed while the answer of the other is sent.
  const capacity = async () => rateOf(await idle.of(() => client.closedLoop(2 * workers, CAPACITY_S)), CAPACITY_S);
  const lostBefore = client.workersLost();
  const answers: Answer[] = [];
  let [possible, notReady] = [0, 0];
  let before = await capacity();
  for (let round = 0; round < rounds; round++) {
    const health = watchReadiness(client.url);
    const callers = Math.round((factor * before * DEADLINE_MS) / 1_000);
    const send = () => (loop === 'open' ? client.openLoop(factor * before, roundSeconds) : client.closedLoop(callers, roundSeconds));
    answers.push(...(await loaded.of(send)));
    notReady += await health.stop();
    await sleep(DEADLINE_MS);
    const after = await capacity();
    possible += ((before + after) / 2) * roundSeconds;
    before = after;
  }
  const codes: Record<string, number> = {};
  for (const { code } of answers) codes[code] = (codes[code] ?? 0) + 1;
  const accepted = answers.filter(({ code }) => code === 'ok').map(({ ms }) => ms);
  return {
    ...load,
    capacityPerS: possible / seconds,
    goodput: accepted.filter((ms) => ms <= DEADLINE_MS).length / possible,
    perProcessorTime: loaded.perMs / idle.perMs,
    p50Ms: percentile(accepted, 50),
    p99Ms: percentile(accepted, 99),
    codes,
    workersLost: client.workersLost() - lostBefore,
    notReady,
  };
}

/** Computed answers per second. */
function rateOf(answers: readonly Answer[], seconds: number): number {
  return answers.filter(({ code }) => code === 'ok').length / seconds;
}

/** Polls /health/ready. `stop` returns how often the service was not ready. */
function watchReadiness(url: string): { stop(): Promise<number> } {
  const stopping = new AbortController();
  let notReady = 0;
  const polling = (async () => {
    while (!stopping.signal.aborted) {
      const answer = await fetch(`${url}/health/ready`);
      await answer.arrayBuffer();
      if (!answer.ok) notReady++;
      await sleep(READY_POLL_MS);
    }
  })();
  return {
    stop: async () => {
      stopping.abort();
      await polling;
      return notReady;
    },
  };
}

function missesOf({ goodput, p99Ms, workersLost, notReady }: Result): string[] {
  return [
    ...(goodput >= GOODPUT_MIN ? [] : ['goodput']),
    ...(p99Ms <= DEADLINE_MS ? [] : ['p99']),
    ...(workersLost > 0 ? ['workers'] : []),
    ...(notReady > 0 ? ['ready'] : []),
  ];
}

function describe(results: readonly Result[]): string {
  const head = ['load', 'capacity/s', 'goodput', '÷ processor time', 'p50 ms', 'p99 ms', 'lost', 'not ready', 'targets', 'answers'];
  return `${formatTable([head, ...results.map(rowOf)])}\n\nJobs of T=${JOB.T}, N=${JOB.N}, H=${JOB.H}; JOB_DEADLINE_MS=${DEADLINE_MS}.`;
}

function rowOf(result: Result): string[] {
  return [
    `${result.workers} ${result.workers === 1 ? 'worker' : 'workers'}, ${result.factor} ×, ${result.loop}`,
    formatNumber(result.capacityPerS),
    formatNumber(result.goodput),
    formatNumber(result.perProcessorTime),
    formatNumber(result.p50Ms),
    formatNumber(result.p99Ms),
    String(result.workersLost),
    String(result.notReady),
    missesOf(result).length === 0 ? 'met' : `MISSED: ${missesOf(result).join(' ')}`,
    JSON.stringify(result.codes),
  ];
}
