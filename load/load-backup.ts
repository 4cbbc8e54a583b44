// npm run load:backup: what a backup in progress costs the steps of sessions on a SQLite store.
//
//   node load/load-backup.ts [--seconds 3] [--rounds 5] [--mib 64] [--json FILE]
//
// The store is filled with models first, so that the copy takes a while. In each round 16 callers step 64 sessions, for
// some seconds without a backup, and then for as long as one backup takes. Exit code 1 if a step or a backup fails.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { CONNECTIONS } from '../src/cli/bench/http-target.ts';
import { fill } from '../src/cli/bench/pseudo-random-tensors.ts';
import { percentile, ratiosOf, spreadOf } from '../src/cli/bench/statistics.ts';
import { formatNumber, formatTable } from '../src/cli/table.ts';
import { pseudoRandom } from '../src/wasm/pseudo-random.ts';
import { makeLayer } from './cases/layer.ts';
import { Carryover } from '../src/client/index.ts';
import { registerLayers } from './clients/api.ts';
import { byRequests } from './clients/session-callers.ts';
import { freePort } from './processes/child.ts';
import { startServer } from './processes/server-process.ts';
import { describeMachine, machineInfo } from './report/machine.ts';
import { runProgram, secondsOf, wholeNumber, writeReport } from './report/program.ts';

const SESSIONS_EACH = 4;
const D = 128;
const H = 128;
/** A model of D = H = this has 4 MiB of weights. */
const FILLING_H = 724;
const FILLING_MIB = 4;

interface Period {
  readonly stepsPerS: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

interface Backup {
  readonly file: string;
  readonly bytes: number;
  readonly sessions: number;
  readonly ms: number;
  readonly copy_ms: number;
}

interface Round {
  readonly without: Period;
  readonly during: Period;
  /** As far as the store's thread was copying; steps that ended later are left out. */
  readonly duringCopy: Period;
  readonly backup: Backup;
}

await runProgram(main);

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '3' },
      rounds: { type: 'string', default: '5' },
      mib: { type: 'string', default: '64' },
      json: { type: 'string' },
    },
  });
  const seconds = secondsOf(values.seconds, 0.5);
  const roundCount = wholeNumber('rounds', values.rounds);
  const mib = wholeNumber('mib', values.mib);
  const folder = mkdtempSync(join(tmpdir(), 'carryover-load-'));
  const backupDir = join(folder, 'backups');
  mkdirSync(backupDir);
  const metricsPort = await freePort();
  const server = await startServer({
    STORE_URL: `sqlite:${join(folder, 'load.sqlite')}`,
    BACKUP_DIR: backupDir,
    METRICS_PORT: String(metricsPort),
  });
  try {
    await fillStore(server.url, mib);
    const sessions = await createSessions(server.url);
    await steps(server.url, sessions, after(seconds));
    const rounds: Round[] = [];
    for (let round = 0; round < roundCount; round++) {
      rounds.push(await measure(server.url, `http://127.0.0.1:${metricsPort}/backup`, sessions, seconds));
    }
    console.log(describe(rounds));
    writeReport(values.json, rounds);
  } finally {
    await server.stop();
    rmSync(folder, { recursive: true });
  }
}

async function fillStore(url: string, mib: number): Promise<void> {
  for (let k = 0; k < Math.ceil(mib / FILLING_MIB); k++) {
    await registerLayers(url, [makeLayer(pseudoRandom(k + 2), 'rnn', FILLING_H, FILLING_H)]);
  }
}

/** The ids of the sessions of each caller. */
async function createSessions(url: string): Promise<readonly (readonly string[])[]> {
  const model = await registerLayers(url, [makeLayer(pseudoRandom(1), 'rnn', D, H)]);
  const carryover = new Carryover(url);
  const create = async () => (await carryover.sessions.create({ model })).id;
  const each = () => Promise.all(Array.from({ length: SESSIONS_EACH }, create));
  return Promise.all(Array.from({ length: CONNECTIONS }, each));
}

async function measure(
  url: string,
  backupUrl: string,
  sessions: readonly (readonly string[])[],
  seconds: number,
): Promise<Round> {
  const without = periodOf(await steps(url, sessions, after(seconds)));
  const startMs = performance.now();
  let isMade = false;
  const backup = postBackup(backupUrl).finally(() => {
    isMade = true;
  });
  const [made, taken] = await Promise.all([backup, steps(url, sessions, () => isMade)]);
  rmSync(made.file);
  const copied = taken.filter(({ endMs }) => endMs <= startMs + made.copy_ms);
  return { without, during: periodOf(taken), duringCopy: periodOf(copied), backup: made };
}

async function postBackup(url: string): Promise<Backup> {
  const response = await fetch(url, { method: 'POST' });
  if (response.status === 201) return (await response.json()) as Backup;
  throw new Error(`The backup was answered with ${response.status}: ${await response.text()}`);
}

function after(seconds: number): () => boolean {
  const endMs = performance.now() + seconds * 1_000;
  return () => performance.now() >= endMs;
}

interface Step {
  readonly startMs: number;
  readonly endMs: number;
}

/** Steps without a pause until it is over. */
async function steps(
  url: string,
  sessions: readonly (readonly string[])[],
  isOver: () => boolean,
): Promise<Step[]> {
  const x = fill(pseudoRandom(0), D, 1);
  const taken: Step[] = [];
  await Promise.all(
    sessions.map(async (ids) => {
      const caller = await byRequests(url, ids.map((session) => ({ session, x })));
      for (let k = 0; !isOver(); k++) {
        const startMs = performance.now();
        await caller.step(k % ids.length);
        taken.push({ startMs, endMs: performance.now() });
      }
      caller.close();
    }),
  );
  return taken;
}

function periodOf(taken: readonly Step[]): Period {
  const latencies = taken.map(({ startMs, endMs }) => endMs - startMs);
  const { min: startMs } = spreadOf(taken.map((step) => step.startMs));
  const { max: endMs } = spreadOf(taken.map((step) => step.endMs));
  return {
    stepsPerS: latencies.length / ((endMs - startMs) / 1_000),
    p50Ms: percentile(latencies, 50),
    p99Ms: percentile(latencies, 99),
    maxMs: percentile(latencies, 100),
  };
}

function describe(rounds: readonly Round[]): string {
  const row = (name: string, periodIn: (round: Round) => Period) => {
    const p99s = rounds.map((round) => periodIn(round).p99Ms);
    const median = (key: keyof Period) => formatNumber(spreadOf(rounds.map((round) => periodIn(round)[key])).median);
    const ratio = ratiosOf(p99s, rounds.map(({ without }) => without.p99Ms));
    const range = `${formatNumber(ratio.median)} (${formatNumber(ratio.min)} … ${formatNumber(ratio.max)})`;
    return [name, median('stepsPerS'), median('p50Ms'), median('p99Ms'), median('maxMs'), range];
  };
  const backups = rounds.map(({ backup }) => backup);
  const medianOf = (key: 'bytes' | 'ms' | 'copy_ms') => formatNumber(spreadOf(backups.map((backup) => backup[key])).median);
  return `
${describeMachine(machineInfo())}
steps on ${CONNECTIONS * SESSIONS_EACH} sessions, N=1 D=H=${D}, ${CONNECTIONS} callers; median of ${rounds.length} rounds
a backup of ${medianOf('bytes')} bytes took ${medianOf('ms')} ms, of them ${medianOf('copy_ms')} ms for the copy, the rest for its check

${formatTable([
    ['', 'steps/s', 'p50 ms', 'p99 ms', 'max ms', 'p99 ÷ without (min … max)'],
    row('without a backup', ({ without }) => without),
    row('while one is copied', ({ duringCopy }) => duringCopy),
    row('while one is copied and checked', ({ during }) => during),
  ])}
`;
}
