// npm run demo:crash: the service is killed in the middle of a session, and nothing is lost.
//
// 264 years of sunspots go through a session, month by month, on a service of its own with a SQLite store. Half-way
// the service gets SIGKILL while a step is in flight. It is started again, the step is sent again with the same
// key, and the session continues. The states must have the bits of one long /v1/sequence without interruption.
//
//   node load/demo/crash.ts [--months 3177]
//
// Exit code 1 if a month was lost or counted twice, or if a bit differs.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type ServerProcess, startServer } from '../processes/server-process.ts';
import { startProgress } from '../report/progress.ts';
import { readRecord } from './sunspot-record.ts';

const folder = mkdtempSync(join(tmpdir(), 'carryover-demo-'));
try {
  process.exitCode = (await main()) ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true });
}

interface Answer {
  readonly h: readonly [readonly number[]];
  readonly session: { readonly t: number; readonly version: number; readonly digest: string };
}

async function main(): Promise<boolean> {
  const csv = join(import.meta.dirname, 'data/sunspots.csv');
  const { values } = parseArgs({ options: { months: { type: 'string', default: '3177' } } });
  const x = readRecord(readFileSync(csv, 'utf8')).x.subarray(0, Number(values.months));
  const settings = { STORE_URL: `sqlite:${join(folder, 'demo.sqlite')}` };
  const killedAt = Math.floor(x.length / 2);
  const states: (readonly number[])[] = [];

  let server = await startServer(settings);
  const session = await createSession(server);
  const progress = await startProgress('session', x.length);
  const stepTo = async (end: number) => {
    for (let t = states.length; t < end; t++) {
      states.push((await step(server, session, t, x[t]!)).h[0]);
      progress.update(t);
    }
  };

  await stepTo(killedAt);
  // No answer to this step arrives, so the client does not know whether it was applied.
  const lost = step(server, session, killedAt, x[killedAt]!).catch(() => undefined);
  await server.kill();
  const cut = await lost;
  const startMs = performance.now();
  server = await startServer(settings);
  const restartMs = performance.now() - startMs;
  await stepTo(x.length);
  progress.stop();

  const { session: end } = await read(server, session);
  const whole = await sequence(server, x);
  await server.stop();

  const sameBits = JSON.stringify(states) === JSON.stringify(whole);
  const complete = end.t === x.length && end.version === x.length;
  console.log(`
Sunspots, ${x.length} months through one session, SIGKILL at month ${killedAt}

  the step in flight       ${cut ? 'was answered just in time' : 'got no answer, and was sent again with its key'}
  ready again after        ${Math.round(restartMs)} ms
  steps taken              ${end.t} of ${x.length}, ${complete ? 'none lost, none twice' : 'WRONG'}
  without interruption     ${sameBits ? 'the same bits' : 'DIFFERENT BITS'}
`);
  return sameBits && complete;
}

async function createSession(server: ServerProcess): Promise<string> {
  const { id } = (await call(server, 'POST', '/v1/sessions', { model: 'sunspots' })) as { id: string };
  return id;
}

/** Month t. Its number is the idempotency key, so a step sent again is recognised. */
async function step(server: ServerProcess, session: string, t: number, x: number): Promise<Answer> {
  const body = { session, x: [[x]] };
  return (await call(server, 'POST', '/v1/step', body, { 'idempotency-key': `month-${t}` })) as Answer;
}

async function read(server: ServerProcess, session: string): Promise<{ session: Answer['session'] }> {
  return { session: (await call(server, 'GET', `/v1/sessions/${session}`)) as Answer['session'] };
}

/** All states of one call without a session. */
async function sequence(server: ServerProcess, x: Float32Array): Promise<(readonly number[])[]> {
  const body = { model: 'sunspots', x: Array.from(x, (value) => [[value]]), outputs: ['hs'] };
  const { hs } = (await call(server, 'POST', '/v1/sequence', body)) as { hs: [number[]][] };
  return hs.map(([h]) => h);
}

async function call(
  { url }: ServerProcess,
  method: string,
  path: string,
  body?: object,
  headers: Record<string, string> = {},
): Promise<unknown> {
  const answer = await fetch(new URL(path, url), {
    method,
    headers: { ...headers, ...(body && { 'content-type': 'application/json' }) },
    ...(body && { body: JSON.stringify(body) }),
  });
  if (!answer.ok) throw new Error(`${method} ${path} was answered ${answer.status}.`);
  return answer.json();
}
