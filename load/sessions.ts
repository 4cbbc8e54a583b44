// npm run load:sessions: steps on sessions per second, by the store that keeps them, and over WebSockets.
//
//   node load/sessions.ts [--seconds 3] [--rounds 5] [--json FILE]
//
// Stores in turn, for several rounds; the ratio is that to the memory store in the same round. 64
// sessions with N=1, D=H=128; each of 16 callers steps four of its own, one after another, so
// no call waits for another call's turn. Exit code 1 if a step is not answered, if a session has not
// taken exactly the steps that were answered, or if its state differs from the reference by a bit.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { pseudoRandom } from '../src/wasm/pseudo-random.ts';
import { referenceStep } from '../src/wasm/reference.ts';
import { CONNECTIONS } from './fire.ts';
import { describeMachine, machineFacts } from './machine.ts';
import { fill } from './made-up.ts';
import { type OwnServer, startServer } from './own-server.ts';
import { runProgram, secondsOf, wholeNumber } from './program.ts';
import { startProgress } from './progress.ts';
import { hasRedis, startRedis } from './redis-server.ts';
import { percentile, ratiosOf, spreadOf } from './statistics.ts';
import { type OpenCaller, byRequests, byWebSockets } from './step-callers.ts';
import { makeStepCase, modelBody } from './step-case.ts';
import { formatNumber, formatTable } from './table.ts';

const SESSIONS_EACH = 4;
const WARM_UP_STEPS = CONNECTIONS * SESSIONS_EACH * 8;
const JSON_HEADERS = { 'content-type': 'application/json' };
const STEP = makeStepCase({ N: 1, D: 128, H: 128 });
const { weights } = STEP;
/** The k-th session of a connection always gets the k-th of these. */
const XS = Array.from({ length: SESSIONS_EACH }, (_, k) => fill(pseudoRandom(k), weights.D, 1));

interface Contestant {
  readonly name: string;
  /** Least ratio to the memory store; a miss is printed, and no failure. */
  readonly target?: number;
  readonly server: OwnServer;
  readonly openCaller: OpenCaller;
  /** By caller. */
  readonly sessions: readonly (readonly string[])[];
  readonly rounds: Round[];
  /** As many as are answered in a second, by the last round. */
  pace: number;
  /** Of every session. */
  steps: number;
}

interface Round {
  readonly stepsPerS: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

await runProgram(main);

async function main(): Promise<void> {
  const { seconds, rounds, json } = readArguments();
  const folder = mkdtempSync(join(tmpdir(), 'carryover-load-'));
  const stops: (() => Promise<void>)[] = [];
  try {
    const contestants = await startAll(folder, stops);
    await measure(contestants, seconds, rounds);
    for (const contestant of contestants) await checkSessions(contestant);
    console.log(describe(contestants, seconds));
    const results = contestants.map(({ name, rounds }) => ({ name, rounds }));
    if (json !== undefined) writeFileSync(json, `${JSON.stringify(results, undefined, 2)}\n`);
  } finally {
    for (const stop of stops.toReversed()) await stop();
    rmSync(folder, { recursive: true });
  }
}

function readArguments() {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '3' },
      rounds: { type: 'string', default: '5' },
      json: { type: 'string' },
    },
  });
  const seconds = secondsOf(values.seconds, 0.5);
  const rounds = wholeNumber('rounds', values.rounds);
  return { seconds, rounds, json: values.json };
}

/** @param stops what must be stopped in the end, in the order it was started */
async function startAll(folder: string, stops: (() => Promise<void>)[]): Promise<Contestant[]> {
  const start = async (
    name: string,
    storeUrl: string,
    { target, openCaller = byRequests }: Partial<Pick<Contestant, 'target' | 'openCaller'>> = {},
  ): Promise<Contestant> => {
    const server = await startServer({ STORE_URL: storeUrl });
    stops.push(() => server.stop());
    const sessions = await createSessions(server.url);
    const counters = { rounds: [], pace: 0, steps: 0 };
    return { name, server, sessions, openCaller, ...counters, ...(target && { target }) };
  };
  const sqlite = `sqlite:${join(folder, 'load.sqlite')}`;
  const contestants = [
    await start('memory:', 'memory:'),
    await start('memory:, WebSockets', 'memory:', { openCaller: byWebSockets }),
    await start('sqlite:, synchronous=FULL', sqlite, { target: 0.7 }),
  ];
  if (!hasRedis) {
    console.error('SKIPPED: redis-server is missing (apt-get install redis-server).');
    return contestants;
  }
  for (const appendfsync of ['everysec', 'always']) {
    const dir = join(folder, appendfsync);
    mkdirSync(dir);
    const redis = await startRedis(dir, appendfsync);
    stops.push(() => redis.stop());
    const target = appendfsync === 'everysec' ? { target: 0.5 } : {};
    contestants.push(await start(`redis:, appendfsync ${appendfsync}`, redis.url, target));
  }
  return contestants;
}

async function createSessions(url: string): Promise<readonly (readonly string[])[]> {
  const post = async (path: string, body: string) => {
    const answer = await fetch(new URL(path, url), { method: 'POST', headers: JSON_HEADERS, body });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${path} was answered ${answer.status}: ${text}`);
    return (JSON.parse(text) as { id: string }).id;
  };
  const model = await post('/v1/models', modelBody(STEP));
  const sessions: string[][] = [];
  for (let connection = 0; connection < CONNECTIONS; connection++) {
    const ids: string[] = [];
    for (let k = 0; k < SESSIONS_EACH; k++) {
      ids.push(await post('/v1/sessions', JSON.stringify({ model })));
    }
    sessions.push(ids);
  }
  return sessions;
}

async function measure(
  contestants: readonly Contestant[],
  seconds: number,
  rounds: number,
): Promise<void> {
  const progress = startProgress('measuring', contestants.length * (rounds + 1));
  let done = 0;
  for (let round = -1; round < rounds; round++) {
    for (const contestant of contestants) {
      // A round is a number of steps, not a time: all that were sent are answered in the end.
      const steps = round < 0 ? WARM_UP_STEPS : contestant.pace * seconds;
      const measured = await fire(contestant, steps);
      contestant.pace = measured.stepsPerS;
      if (round >= 0) contestant.rounds.push(measured);
      progress.update(++done);
    }
  }
  progress.stop();
}

async function fire(contestant: Contestant, wantedSteps: number): Promise<Round> {
  const { server, sessions, openCaller } = contestant;
  const each = Math.max(1, Math.round(wantedSteps / CONNECTIONS / SESSIONS_EACH));
  contestant.steps += each;
  const callers = await Promise.all(
    sessions.map((ids) =>
      openCaller(
        server.url,
        ids.map((session, k) => ({ session, x: XS[k]! })),
      ),
    ),
  );
  const latenciesMs: number[] = [];
  const startMs = performance.now();
  await Promise.all(
    callers.map(async (caller) => {
      for (let step = 0; step < each; step++) {
        for (let k = 0; k < SESSIONS_EACH; k++) {
          const sentMs = performance.now();
          await caller.step(k);
          latenciesMs.push(performance.now() - sentMs);
        }
      }
    }),
  );
  const seconds = (performance.now() - startMs) / 1000;
  for (const caller of callers) caller.close();
  return {
    stepsPerS: latenciesMs.length / seconds,
    p50Ms: percentile(latenciesMs, 50),
    p99Ms: percentile(latenciesMs, 99),
  };
}

/** @throws Error unless every session has taken the steps that were answered, with the right bits */
async function checkSessions({ name, server, sessions, steps }: Contestant): Promise<void> {
  const expected = XS.map((x) => {
    let h: Float32Array = new Float32Array(weights.H);
    for (let t = 0; t < steps; t++) h = referenceStep(weights, x, h).state;
    return h;
  });
  for (const ids of sessions) {
    for (const [k, id] of ids.entries()) {
      const answer = await fetch(new URL(`/v1/sessions/${id}`, server.url));
      const { t, h } = (await answer.json()) as { t: number; h: number[][] };
      if (t !== steps) {
        throw new Error(`${name}: ${steps} steps were answered, a session took ${t}.`);
      }
      const state = Float32Array.from(h[0]!);
      const wrong = expected[k]!.findIndex((value, j) => !Object.is(value, state[j]));
      if (wrong < 0) continue;
      throw new Error(
        `${name}: after ${t} steps element ${wrong} of h is ${state[wrong]}, the reference has ` +
          `${expected[k]![wrong]}.`,
      );
    }
  }
}

function describe(contestants: readonly Contestant[], seconds: number): string {
  const baseline = contestants[0]!.rounds.map(({ stepsPerS }) => stepsPerS);
  const rows = contestants.map(({ name, rounds, target }) => {
    const rates = rounds.map(({ stepsPerS }) => stepsPerS);
    const ratio = ratiosOf(rates, baseline);
    const verdict = ratio.median >= (target ?? 0) ? 'met' : 'MISSED';
    return [
      name,
      range(spreadOf(rates)),
      range(ratio),
      ...(['p50Ms', 'p99Ms'] as const).map((key) =>
        formatNumber(spreadOf(rounds.map((round) => round[key])).median),
      ),
      target === undefined ? '' : `≥ ${target} ${verdict}`,
    ];
  });
  const [rate, ratio] = ['steps/s (min … max)', '÷ memory (min … max)'];
  const headings = ['', rate, ratio, 'p50 ms', 'p99 ms', 'target'];
  const sessions = `${CONNECTIONS * SESSIONS_EACH} sessions, N=1 D=H=128`;
  return `
${describeMachine(machineFacts())}
steps on ${sessions}, ${CONNECTIONS} callers; median of ${baseline.length} rounds of ${seconds} s
each session took the steps that were answered; its state has the bits of the reference

${formatTable([headings, ...rows])}
`;
}

function range({ median, min, max }: ReturnType<typeof spreadOf>): string {
  return `${formatNumber(median)} (${formatNumber(min)} … ${formatNumber(max)})`;
}
