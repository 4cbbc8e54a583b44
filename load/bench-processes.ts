// npm run bench:processes: steps a second of two processes on one port, beside one process, and beside two services that share
// nothing but the machine and Redis.
//
//   node load/bench-processes.ts [--rounds 7] [--seconds 2] [--quick] [--json FILE]
//
// POST /v1/step in JSON, N=1, D=H=128, with a registered model. The samples of the three alternate. Exit code 1 if an answer is
// wrong, or if the work was not shared. A missed target is printed and does not change the exit code.
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runClosedLoop } from '../src/cli/bench/closed-loop.ts';
import { CONNECTIONS, type HttpTarget } from '../src/cli/bench/http-target.ts';
import { expectSameBits } from '../src/cli/bench/same-bits.ts';
import { ratiosOf, spreadOf } from '../src/cli/bench/statistics.ts';
import { makeStepCase, modelBody, stepBody } from '../src/cli/bench/step-case.ts';
import { formatNumber, formatTable } from '../src/cli/table.ts';
import { JSON_HEADERS, post, stateOfJson } from './clients/api.ts';
import { childrenOf, cpuTimeMs, cpuTimeOfTreeMs } from './processes/cpu-time.ts';
import { hasRedis, startRedis } from './processes/redis-server.ts';
import { type ServerProcess, startServer } from './processes/server-process.ts';
import { describeMachine, machineInfo } from './report/machine.ts';
import { ROUND_OPTIONS, runProgram, secondsOf, wholeNumber, writeReport } from './report/program.ts';
import { startProgress } from './report/progress.ts';
import { atLeast, atMost, formatTargets } from './report/targets.ts';

const STEP = makeStepCase({ N: 1, D: 128, H: 128 });
/** The generator and each of the two event loops have one. */
const CORES_NEEDED = 3;

/** Of the processor time of one process that the other must have at least, starting included. */
const LEAST_SHARE = 1 / 2;

interface Sample {
  readonly requestsPerS: number;
  /** Processor time of all processes and threads that serve, in µs. */
  readonly cpuUsPerRequest: number;
}

interface Variant {
  readonly name: string;
  readonly servers: readonly ServerProcess[];
  readonly targets: readonly HttpTarget[];
  readonly samples: Sample[];
}

// Each service ends with this process, which takes a listener.
process.setMaxListeners(50);
await runProgram(main);

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { ...ROUND_OPTIONS, json: { type: 'string' } } });
  const rounds = wholeNumber('rounds', values.rounds ?? (values.quick ? 2 : 7));
  const seconds = secondsOf(values.seconds ?? (values.quick ? 1 : 2), 0.5);
  if (!hasRedis) throw new Error('redis-server is needed: apt-get install redis-server.');
  const folder = mkdtempSync(join(tmpdir(), 'carryover-bench-'));
  await using running = new AsyncDisposableStack();
  running.defer(() => rmSync(folder, { recursive: true }));
  const redis = await startRedis(folder, 'everysec');
  running.defer(() => redis.stop());
  const start = async (processes: string) =>
    running.use(await startServer({ STORE_URL: redis.url, PROCESSES: processes, WORKERS: '1' }));
  const variants = [
    await makeVariant('one process', [await start('1')]),
    await makeVariant('two processes on one port', [await start('2')]),
    await makeVariant('two services, each on its port', [await start('1'), await start('1')]),
  ];
  await sample(variants, rounds, seconds);
  expectShared(variants[1]!);
  const machine = machineInfo();
  console.log(`
${describeMachine(machine)}
POST /v1/step in JSON, N=1, D=H=128, ${CONNECTIONS} connections; median of ${rounds} rounds of ${seconds} s, ratios within a round

${describe(variants)}
`);
  writeReport(values.json, { machine, rounds, seconds, variants: variants.map(({ name, samples }) => ({ name, samples })) });
}

/** @throws Error unless each service answers the bits of the reference */
async function makeVariant(name: string, servers: readonly ServerProcess[]): Promise<Variant> {
  const targets = await Promise.all(
    servers.map(async ({ url }): Promise<HttpTarget> => {
      const { id } = JSON.parse((await post(`${url}/v1/models`, modelBody(STEP), JSON_HEADERS)).toString()) as { id: string };
      const body = Buffer.from(stepBody(STEP, id));
      const expectBody = (await post(`${url}/v1/step`, body, JSON_HEADERS)).toString();
      expectSameBits(name, stateOfJson(expectBody), STEP.expected);
      return { name, url: `${url}/v1/step`, method: 'POST', headers: JSON_HEADERS, body, expectBody };
    }),
  );
  return { name, servers, targets, samples: [] };
}

async function sample(variants: readonly Variant[], rounds: number, seconds: number): Promise<void> {
  const progress = await startProgress('processes', variants.length * (rounds + 1));
  let done = 0;
  // Round -1 warms up. It is as long as the others: V8 optimises for seconds.
  for (let round = -1; round < rounds; round++) {
    for (const variant of variants) {
      const taken = await takeSample(variant, seconds);
      if (round >= 0) variant.samples.push(taken);
      progress.update(++done);
    }
  }
  progress.stop();
}

async function takeSample({ servers, targets }: Variant, seconds: number): Promise<Sample> {
  const cpuMs = () => servers.reduce((sum, { pid }) => sum + cpuTimeOfTreeMs(pid), 0);
  const beforeMs = cpuMs();
  const loops = await Promise.all(targets.map((target) => runClosedLoop(target, seconds, CONNECTIONS / targets.length)));
  const requestsPerS = loops.reduce((sum, loop) => sum + loop.requestsPerS, 0);
  return { requestsPerS, cpuUsPerRequest: (1_000 * (cpuMs() - beforeMs)) / (requestsPerS * seconds) };
}

/** @throws Error unless each process has done its part: one that does nothing costs nothing */
function expectShared({ servers }: Variant): void {
  const times = childrenOf(servers[0]!.pid).map(cpuTimeMs);
  if (times.length === 2 && Math.min(...times) > LEAST_SHARE * Math.max(...times)) return;
  throw new Error(`The processes have not shared the work: ${times.map(Math.round).join(' and ')} ms of processor time.`);
}

function describe(variants: readonly Variant[]): string {
  const [one, two, apart] = variants as [Variant, Variant, Variant];
  const requests = ({ samples }: Variant) => samples.map(({ requestsPerS }) => requestsPerS);
  const cpu = ({ samples }: Variant) => samples.map(({ cpuUsPerRequest }) => cpuUsPerRequest);
  const rows = variants.map((variant) => [
    variant.name,
    formatNumber(spreadOf(requests(variant)).median),
    ...ratioCells(requests(variant), requests(one)),
    formatNumber(spreadOf(cpu(variant)).median),
    ...ratioCells(cpu(variant), cpu(one)),
  ]);
  const table = formatTable([['', 'requests/s', '÷ one', 'min … max', 'CPU µs', '÷ one', 'min … max'], ...rows]);
  const cores = availableParallelism();
  const ofOne = atLeast('two processes ÷ one', ratiosOf(requests(two), requests(one)).median, 1.7)!;
  const ofApart = atLeast('two processes ÷ two services', ratiosOf(requests(two), requests(apart)).median, 0.95)!;
  const ofCpu = atMost('their CPU µs ÷ those of two services', ratiosOf(cpu(two), cpu(apart)).median, 1.05)!;
  const targets = formatTargets(cores < CORES_NEEDED ? [ofApart, ofCpu] : [ofOne, ofApart, ofCpu]);
  if (cores >= CORES_NEEDED) return `${table}\n\n${targets}`;
  const note = `There are ${cores} cores, of which the generator takes a part: what is possible here is what two services reach.`;
  return `${table}\n\n${note}\n\n${targets}`;
}

function ratioCells(values: readonly number[], baseline: readonly number[]): string[] {
  const { median, min, max } = ratiosOf(values, baseline);
  return [median.toFixed(3), `${min.toFixed(2)} … ${max.toFixed(2)}`];
}
