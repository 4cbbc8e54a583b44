// npm run load:tenants: what a tenant that floods the service costs another one.
//
//   node load/load-tenants.ts [--seconds 4] [--rounds 5] [--json FILE]
//
// Tenant b steps a session of a model with H = 64 at a modest rate. Tenant a sends, from a process of its own and far beyond
// its limits, steps, large bodies and streams on 32 connections as fast as they are answered. In turn there is no a; a sends
// the same to another service on this machine, which shows what its share of the cores alone does to b; and it sends it
// to the service of b.
// Exit code 1 if a request of b fails.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { newKey } from '../src/access/api-key.ts';
import { percentile, ratiosOf, spreadOf } from '../src/cli/bench/statistics.ts';
import { formatNumber, formatTable } from '../src/cli/table.ts';
import type { FloodOptions } from './clients/tenant-flood.ts';
import { startServer } from './processes/server-process.ts';
import { describeMachine, machineInfo } from './report/machine.ts';
import { runProgram, secondsOf, wholeNumber, writeReport } from './report/program.ts';

/** Requests of b a second, evenly spaced. */
const STEPS_PER_S = 100;
const LIMITS_OF_A = { requests_per_s: 50, flops_per_s: 1e7, sessions: 10, streams: 2, body_bytes: 4 * 2 ** 20 };
const FLOOD = { steps: 16, bodies: 8, bodyBytes: 8 * 2 ** 20, streams: 8 };

interface Period {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

interface Round {
  readonly alone: Period;
  readonly elsewhere: Period;
  readonly beside: Period;
}

await runProgram(main);

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '4' },
      rounds: { type: 'string', default: '5' },
      json: { type: 'string' },
    },
  });
  const seconds = secondsOf(values.seconds, 0.5);
  const roundCount = wholeNumber('rounds', values.rounds);
  const folder = mkdtempSync(join(tmpdir(), 'carryover-load-'));
  const [a, b] = [newKey(), newKey()];
  const keys = [a, b].map(({ id, hash }, k) => {
    return { id, hash, tenant: k === 0 ? 'a' : 'b', scopes: ['compute', 'sessions', 'models'] };
  });
  const file = join(folder, 'keys.json');
  writeFileSync(file, JSON.stringify({ keys, tenants: { a: LIMITS_OF_A } }));
  const [server, other] = await Promise.all([1, 2].map(() => startServer({ API_KEYS_FILE: file })));
  if (!server || !other) throw new Error('The services did not start.');
  const port = portOf(server.url);
  const besideFlood = async (floodedPort: number) => {
    const flood = startFlood({ port: floodedPort, key: a.key, ...FLOOD });
    await sleep(500);
    const period = await steps(port, b.key, seconds);
    flood.kill('SIGKILL');
    await once(flood, 'exit');
    return period;
  };
  try {
    await steps(port, b.key, 1);
    const rounds: Round[] = [];
    for (let round = 0; round < roundCount; round++) {
      const alone = await steps(port, b.key, seconds);
      const elsewhere = await besideFlood(portOf(other.url));
      const beside = await besideFlood(port);
      rounds.push({ alone, elsewhere, beside });
    }
    console.log(describe(rounds));
    writeReport(values.json, rounds);
  } finally {
    await Promise.all([server.stop(), other.stop()]);
    rmSync(folder, { recursive: true });
  }
}

function portOf(url: string): number {
  return Number(new URL(url).port);
}

function startFlood(options: FloodOptions) {
  const path = join(import.meta.dirname, 'clients/tenant-flood.ts');
  return spawn(process.execPath, [path, JSON.stringify(options)], { stdio: 'inherit' });
}

/** Steps at a fixed rate, whether or not the ones before were answered: a wait for one is not hidden by fewer others. */
async function steps(port: number, key: string, seconds: number): Promise<Period> {
  const agent = new Agent({ keepAlive: true, maxSockets: 16 });
  const session = JSON.parse(await post(agent, port, key, '/v1/sessions', { model: 'sunspots' })) as { id: string };
  const answered: Promise<number>[] = [];
  const startMs = performance.now();
  for (let k = 0; k < seconds * STEPS_PER_S; k++) {
    const dueMs = startMs + (k * 1_000) / STEPS_PER_S;
    await sleep(Math.max(0, dueMs - performance.now()));
    const sentMs = performance.now();
    const body = k % 2 === 0 ? { session: session.id, x: [[0.5]] } : { model: 'sunspots', x: [[0.5]] };
    answered.push(post(agent, port, key, '/v1/step', body).then(() => performance.now() - sentMs));
  }
  const times = await Promise.all(answered);
  agent.destroy();
  return { p50Ms: percentile(times, 50), p99Ms: percentile(times, 99), maxMs: percentile(times, 100) };
}

function post(agent: Agent, port: number, key: string, path: string, body: object): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
  const call = request({ agent, host: '127.0.0.1', port, path, method: 'POST', headers }, (response) => {
    let text = '';
    response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    response.on('end', () => {
      if (response.statusCode! < 300) resolve(text);
      else reject(new Error(`${path} of tenant b was answered with ${response.statusCode}: ${text}`));
    });
  });
  call.on('error', reject);
  call.end(JSON.stringify(body));
  return promise;
}

function describe(rounds: readonly Round[]): string {
  const row = (name: string, periodIn: (round: Round) => Period) => {
    const median = (key: keyof Period) => formatNumber(spreadOf(rounds.map((round) => periodIn(round)[key])).median);
    const p99s = rounds.map((round) => periodIn(round).p99Ms);
    const ratio = ratiosOf(p99s, rounds.map(({ elsewhere }) => elsewhere.p99Ms));
    const range = `${formatNumber(ratio.median)} (${formatNumber(ratio.min)} … ${formatNumber(ratio.max)})`;
    return [name, median('p50Ms'), median('p99Ms'), median('maxMs'), range];
  };
  return `
${describeMachine(machineInfo())}
${STEPS_PER_S} steps a second of tenant b; tenant a floods by ${FLOOD.steps} connections with steps, ${FLOOD.bodies} with bodies of
${FLOOD.bodyBytes / 2 ** 20} MiB, ${FLOOD.streams} with streams; median of ${rounds.length} rounds

${formatTable([
    ['tenant b', 'p50 ms', 'p99 ms', 'max ms', 'p99 ÷ elsewhere (min … max)'],
    row('alone', ({ alone }) => alone),
    row('a floods another service', ({ elsewhere }) => elsewhere),
    row('a floods this one', ({ beside }) => beside),
  ])}
`;
}
