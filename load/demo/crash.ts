// npm run demo:crash: the service is killed in the middle of a session, and nothing is lost.
//
// 264 years of sunspots go through a session, month by month, on a service of its own with a SQLite store. Half-way
// the service gets SIGKILL while a step is in flight, and is started again. The program does nothing about it: the client
// sends the step again, with the key that it had, until it is answered. The states must have the bits of one long sequence
// without interruption.
//
//   node load/demo/crash.ts [--months 3177]
//
// Exit code 1 if a month was lost or counted twice, or if a bit differs.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Carryover, type Session, type SessionStep, Tensor } from '../../src/client/index.ts';
import { startServer } from '../processes/server-process.ts';
import { startProgress } from '../report/progress.ts';
import { AttemptLog } from './attempt-log.ts';
import { sameBits } from './compare.ts';
import { formatClaims } from './proof.ts';
import { bad, good, strong, weak } from './style.ts';
import { readRecord } from './sunspot-record.ts';

const folder = mkdtempSync(join(tmpdir(), 'carryover-demo-'));
try {
  process.exitCode = (await main()) ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true });
}

async function main(): Promise<boolean> {
  const csv = join(import.meta.dirname, 'data/sunspots.csv');
  const { values } = parseArgs({ options: { months: { type: 'string', default: '3177' } } });
  const x = readRecord(readFileSync(csv, 'utf8')).x.slice(0, Number(values.months));
  const settings = { STORE_URL: `sqlite:${join(folder, 'demo.sqlite')}` };
  const killedAt = Math.floor(x.length / 2);
  console.log(`\n${strong(`Sunspots, ${x.length} months through one session, SIGKILL at month ${killedAt}`)}\n`);

  let server = await startServer(settings);
  const log = new AttemptLog();
  const carryover = new Carryover(server.url, { fetch: log.fetch, retry: { delayMsMax: 500 } });
  const session = await carryover.sessions.create({ model: 'sunspots' });
  const states = await steps(session, x, 0, killedAt);

  const sent = log.watch(`month ${killedAt}`);
  const step = session.step([[x[killedAt]!]]);
  await sent;
  // It is received, computed or committed now: its answer does not arrive, or just in time.
  await sleep(1);
  const killed = server.kill();
  log.write(bad('SIGKILL'), `the service ${weak(`(process ${server.pid})`)} is killed`);
  await killed;
  server = await startServer({ ...settings, PORT: new URL(server.url).port });
  log.write(good('ready'), `the service is there again ${weak(`(process ${server.pid}, the same SQLite file)`)}`);
  states.push(hiddenState(await step));
  log.end();
  states.push(...(await steps(session, x, killedAt + 1, x.length)));

  const end = await session.read();
  const { hs } = await carryover.sequence({ model: 'sunspots', x: new Tensor([x.length, 1, 1], x), outputs: ['hs'] });
  await server.stop();

  const isSame = sameBits(Float32Array.from(states.flatMap((h) => [...h])), hs!.data);
  const isComplete = end.t === x.length && end.version === x.length;
  console.log(`
  steps taken              ${end.t} of ${x.length}, ${isComplete ? 'none lost, none twice' : 'WRONG'}
  without interruption     ${isSame ? 'the same bits' : 'DIFFERENT BITS'}

${formatClaims([
    [isComplete, 'an answered step survives SIGKILL, and one that is sent again counts once'],
    [isSame, 'the session goes on with the bits that it would have had'],
  ])}
`);
  return isSame && isComplete;
}

/** The states after the months of a part of the record. */
async function steps(session: Session, x: Float32Array, start: number, end: number): Promise<Float32Array[]> {
  const progress = await startProgress('months', end - start);
  const states: Float32Array[] = [];
  for (const month of x.subarray(start, end)) {
    states.push(hiddenState(await session.step([[month]])));
    progress.update(states.length);
  }
  progress.stop();
  console.log(`  months ${start} … ${end - 1}`.padEnd(27) + weak('each on the disk before its answer'));
  return states;
}

function hiddenState({ h }: SessionStep): Float32Array {
  return (h as Tensor).data;
}
