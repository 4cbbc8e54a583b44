// npm run load:fair: what a client that keeps the workers full costs another client's single steps.
//
//   node load/load-fair.ts [--seconds 4] [--rounds 5] [--workers N] [--only TEXT] [--against DIR] [--json FILE]
//
// One client sends the heaviest sequences that are allowed, as fast as they are answered. Another sends steps with N=1 at a fixed
// rate, whose latency counts from when each was due. In turn the heavy client is silent; it sends to another service on this
// machine, which shows what its share of the cores alone does; and it sends to the service of the steps. --against adds the
// service of another checkout. Exit code 1 if an answer is wrong or a worker is lost.
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { HttpTarget } from '../src/cli/bench/http-target.ts';
import { ratiosOf, spreadOf } from '../src/cli/bench/statistics.ts';
import { formatNumber, formatTable } from '../src/cli/table.ts';
import { HeavyClient } from './clients/heavy-client.ts';
import { type OpenRound, runOpenLoop } from './clients/open-loop.ts';
import { SMALL_STEPS, smallStep } from './cases/small-steps.ts';
import { type ServerProcess, startServer } from './processes/server-process.ts';
import { describeMachine, machineInfo } from './report/machine.ts';
import { runProgram, secondsOf, wholeNumber, writeReport } from './report/program.ts';
import { startProgress } from './report/progress.ts';

/** Steps a second of the other client, and its connections. */
const PER_S = 50;
const CONNECTIONS = 4;
const RATIO_MAX = 3;
/** Of the body that registers the largest model. */
const MODEL_BYTES_MAX = 64 * 2 ** 20;

interface Condition {
  readonly name: string;
  /** Whose steps are measured. */
  readonly server: ServerProcess;
  /** Where the heavy client sends to. */
  readonly loaded: ServerProcess | undefined;
}

/** Of each condition, the rounds. */
type Figures = readonly { readonly name: string; readonly rounds: OpenRound[] }[];

await runProgram(main);

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '4' },
      rounds: { type: 'string', default: '5' },
      workers: { type: 'string' },
      only: { type: 'string', default: '' },
      against: { type: 'string' },
      json: { type: 'string' },
    },
  });
  const seconds = secondsOf(values.seconds, 0.5);
  const roundCount = wholeNumber('rounds', values.rounds);
  const workers = values.workers === undefined ? {} : { WORKERS: String(wholeNumber('workers', values.workers)) };
  const settings = { BODY_BYTES_MAX: String(MODEL_BYTES_MAX), ...workers };
  await using stack = new AsyncDisposableStack();
  const start = async (file?: string) => stack.use(await startServer(settings, file));
  const [own, other] = [await start(), await start()];
  const conditions: Condition[] = [
    { name: 'alone', server: own, loaded: undefined },
    { name: 'heavy client elsewhere', server: own, loaded: other },
    { name: 'heavy client here', server: own, loaded: own },
  ];
  if (values.against !== undefined) {
    const server = await start(join(values.against, 'src/server.ts'));
    conditions.push({ name: `heavy client at ${values.against}`, server, loaded: server });
  }
  const report: Record<string, Figures> = {};
  for (const layer of SMALL_STEPS.filter(({ name }) => name.includes(values.only))) report[layer.name] = await measure(conditions, layer, seconds, roundCount);
  console.log(`\n${describeMachine(machineInfo())}\n${PER_S} steps a second with N=1; the heavy client sends ${HeavyClient.what}; median of ${roundCount} rounds\n`);
  for (const [name, figures] of Object.entries(report)) console.log(`${describe(name, figures)}\n`);
  writeReport(values.json, report);
  for (const { server } of conditions) if (server.log().includes('a worker was lost')) throw new Error('A worker was lost.');
}

async function measure(conditions: readonly Condition[], step: (typeof SMALL_STEPS)[number], seconds: number, roundCount: number): Promise<Figures> {
  const targets = new Map<ServerProcess, HttpTarget>();
  for (const { server } of conditions) if (!targets.has(server)) targets.set(server, await smallStep(server.url, step));
  const figures = conditions.map(({ name }) => ({ name, rounds: [] as OpenRound[] }));
  const progress = await startProgress(step.name, roundCount * conditions.length);
  for (let round = 0; round < roundCount; round++) {
    for (const [k, { server, loaded }] of conditions.entries()) {
      const heavy = loaded && (await HeavyClient.start(loaded.url));
      figures[k]!.rounds.push(await runOpenLoop([targets.get(server)!], { perS: PER_S, seconds, connections: CONNECTIONS }));
      await heavy?.stop();
      progress.update(round * conditions.length + k + 1);
    }
  }
  progress.stop();
  return figures;
}

function describe(name: string, figures: Figures): string {
  const alone = figures[0]!.rounds;
  const rows = figures.map(({ name: condition, rounds }, k) => {
    const median = (of: (round: OpenRound) => number) => formatNumber(spreadOf(rounds.map(of)).median);
    const ratio = (of: (round: OpenRound) => number) => ratiosOf(rounds.map(of), alone.map(of));
    const p99 = ratio(({ p99Ms }) => p99Ms);
    return [
      condition,
      median(({ p50Ms }) => p50Ms),
      median(({ p90Ms }) => p90Ms),
      median(({ p99Ms }) => p99Ms),
      formatNumber(ratio(({ p50Ms }) => p50Ms).median),
      `${formatNumber(p99.median)} (${formatNumber(p99.min)} … ${formatNumber(p99.max)})`,
      k < 2 ? '' : `≤ ${RATIO_MAX} ${p99.median <= RATIO_MAX ? 'met' : 'MISSED'}`,
    ];
  });
  return formatTable([[name, 'p50 ms', 'p90 ms', 'p99 ms', 'p50 ÷ alone', 'p99 ÷ alone (min … max)', 'target'], ...rows]);
}
