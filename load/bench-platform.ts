// npm run bench:platform: what keys, metrics and traces cost a step in JSON, N=1, D=H=128, with a registered model.
//
//   node load/bench-platform.ts [--rounds 7] [--seconds 2] [--quick] [--only 'traces'] [--against DIR] [--json FILE]
//
// Each variant is a service of its own, and their samples alternate. --only leaves out the variants whose names do not have
// the text, but for the first. --against adds the service of another checkout, with the settings of the first variant.
// Exit code 1 if an answer is wrong, or if spans do not arrive. A missed target is printed and does not change the exit code.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runClosedLoop } from '../src/cli/bench/closed-loop.ts';
import { CONNECTIONS, type HttpTarget } from '../src/cli/bench/http-target.ts';
import { expectSameBits } from '../src/cli/bench/same-bits.ts';
import { type Spread, ratiosOf, spreadOf } from '../src/cli/bench/statistics.ts';
import { makeStepCase, modelBody, stepBody } from '../src/cli/bench/step-case.ts';
import { formatNumber, formatTable } from '../src/cli/table.ts';
import { JSON_HEADERS, get, post, stateOfJson } from './clients/api.ts';
import { type Variant, makeVariants } from './platform/variants.ts';
import { freePort } from './processes/child.ts';
import { cpuTimeMs } from './processes/cpu-time.ts';
import { type ServerProcess, startServer, startServerProcess } from './processes/server-process.ts';
import { describeMachine, machineInfo } from './report/machine.ts';
import { ROUND_OPTIONS, runProgram, secondsOf, wholeNumber, writeReport } from './report/program.ts';
import { startProgress } from './report/progress.ts';
import { atLeast, formatTargets } from './report/targets.ts';

const STEP = makeStepCase({ N: 1, D: 128, H: 128 });

interface Sample {
  readonly requestsPerS: number;
  /** Processor time of the service, of all its threads, in µs. */
  readonly cpuUsPerRequest: number;
}

interface Measured {
  readonly variant: Variant;
  readonly server: ServerProcess;
  readonly target: HttpTarget;
  readonly samples: Sample[];
}

// Each service ends with this process, which takes a listener.
process.setMaxListeners(50);
await runProgram(main);

async function main(): Promise<void> {
  const { rounds, seconds, only, against, json } = readArguments();
  const folder = mkdtempSync(join(tmpdir(), 'carryover-bench-'));
  await using running = new AsyncDisposableStack();
  running.defer(() => rmSync(folder, { recursive: true }));
  const collector = running.use(await startCollector());
  const metricsPort = async () => String(await freePort());
  const [first, ...others] = await makeVariants({ collectorUrl: collector.url, metricsPort, folder });
  const chosen = others.filter(({ name }) => name.includes(only));
  const other = against === undefined ? [] : [{ ...first!, name: against, checkout: against }];
  const measured: Measured[] = [];
  for (const variant of [first!, ...other, ...chosen]) {
    const server = running.use(await startVariant(variant));
    measured.push({ variant, server, target: await makeTarget(server.url, variant), samples: [] });
  }
  await sample(measured, rounds, seconds);
  await expectSpans(measured, collector.url);
  const machine = machineInfo();
  console.log(`
${describeMachine(machine)}
POST /v1/step in JSON, N=1, D=H=128, ${CONNECTIONS} connections; median of ${rounds} rounds of ${seconds} s, ratios within a round

${describe(measured)}
`);
  writeReport(json, { machine, rounds, seconds, variants: measured.map(({ variant, samples }) => ({ name: variant.name, samples })) });
}

function readArguments() {
  const { values } = parseArgs({
    options: {
      ...ROUND_OPTIONS,
      only: { type: 'string', default: '' },
      against: { type: 'string' },
      json: { type: 'string' },
    },
  });
  const { quick, only, against, json } = values;
  const rounds = wholeNumber('rounds', values.rounds ?? (quick ? 2 : 7));
  return { rounds, seconds: secondsOf(values.seconds ?? (quick ? 1 : 2), 0.5), only, against, json };
}

function startCollector(): Promise<ServerProcess> {
  return startServerProcess({ name: 'collector', file: join(import.meta.dirname, 'platform/collector.ts'), readyPath: '/' });
}

function startVariant({ settings, checkout }: Variant): Promise<ServerProcess> {
  return startServer(settings, checkout && join(checkout, 'src/server.ts'));
}

/** @throws Error unless the answer has the bits of the reference */
async function makeTarget(url: string, { name, headers: own }: Variant): Promise<HttpTarget> {
  const headers = { ...JSON_HEADERS, ...own };
  const { id } = JSON.parse((await post(`${url}/v1/models`, modelBody(STEP), headers)).toString()) as { id: string };
  const body = Buffer.from(stepBody(STEP, id));
  const expectBody = (await post(`${url}/v1/step`, body, headers)).toString();
  expectSameBits(name, stateOfJson(expectBody), STEP.expected);
  return { name, url: `${url}/v1/step`, method: 'POST', headers, body, expectBody };
}

async function sample(measured: readonly Measured[], rounds: number, seconds: number): Promise<void> {
  const progress = await startProgress('platform', measured.length * (rounds + 1));
  let done = 0;
  // Round -1 warms up. It is as long as the others: V8 optimises for seconds.
  for (let round = -1; round < rounds; round++) {
    for (const { server, target, samples } of measured) {
      const beforeMs = cpuTimeMs(server.pid);
      const { requestsPerS } = await runClosedLoop(target, seconds);
      const cpuMs = cpuTimeMs(server.pid) - beforeMs;
      if (round >= 0) samples.push({ requestsPerS, cpuUsPerRequest: (1_000 * cpuMs) / (requestsPerS * seconds) });
      progress.update(++done);
    }
  }
  progress.stop();
}

/** @throws Error if what should be measured was not there: a collector to which nothing is sent costs nothing */
async function expectSpans(measured: readonly Measured[], collectorUrl: string): Promise<void> {
  if (!measured.some(({ variant }) => variant.isTraced)) return;
  const bytes = Number((await get(collectorUrl)).toString());
  if (bytes === 0) throw new Error('The collector has received no spans.');
}

function describe(measured: readonly Measured[]): string {
  const [first] = measured;
  const ratios = measured.map(({ samples }) => ratiosTo(first!.samples, samples));
  const rows = measured.map(({ variant, samples }, k) => [
    variant.name,
    formatNumber(spreadOf(samples.map(({ requestsPerS }) => requestsPerS)).median),
    ...ratioCells(ratios[k]!.requests),
    formatNumber(spreadOf(samples.map(({ cpuUsPerRequest }) => cpuUsPerRequest)).median),
    ...ratioCells(ratios[k]!.cpu),
  ]);
  const headings = ['', 'requests/s', '÷ first', 'min … max', 'CPU µs', '÷ first', 'min … max'];
  const targets = measured.flatMap(({ variant: { name, ratioMin } }, k) => {
    if (ratioMin === undefined) return [];
    return [atLeast(`${name}: requests/s ÷ first`, ratios[k]!.requests.median, ratioMin)!];
  });
  const table = formatTable([headings, ...rows]);
  return targets.length === 0 ? table : `${table}\n\n${formatTargets(targets)}`;
}

function ratiosTo(first: readonly Sample[], samples: readonly Sample[]) {
  const of = (figure: (one: Sample) => number) => ratiosOf(samples.map(figure), first.map(figure));
  return { requests: of(({ requestsPerS }) => requestsPerS), cpu: of(({ cpuUsPerRequest }) => cpuUsPerRequest) };
}

function ratioCells({ median, min, max }: Spread): string[] {
  return [median.toFixed(3), `${min.toFixed(2)} … ${max.toFixed(2)}`];
}
