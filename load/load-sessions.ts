// npm run load:sessions: steps on sessions per second, for each store and over WebSockets.
//
// One of the callers is the JavaScript client; the others are plain sockets, which cost less.
//
//   node load/load-sessions.ts [--seconds 3] [--rounds 5] [--json FILE]
//
// The stores alternate, round by round; ratios are taken to the memory store in the same round. There are 64
// sessions with N=1, D=H=128, of one tanh layer and, beside the first store, of one LSTM. Each of 16 callers steps four sessions of its own, one after another, so no call
// waits for the lock of a session. Exit code 1 if a step is not answered, if a session has not taken exactly the
// steps that were answered, or if its state differs from the reference by a bit.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { pseudoRandom } from '../src/wasm/pseudo-random.ts';
import type { Layer } from '../src/layers.ts';
import { referenceModel } from '../src/wasm/reference/model.ts';
import { expectSameBits } from '../src/cli/bench/same-bits.ts';
import { Carryover, type Tensor } from '../src/client/index.ts';
import { registerLayers } from './clients/api.ts';
import { byClient } from './clients/client-caller.ts';
import { CONNECTIONS } from '../src/cli/bench/http-target.ts';
import { describeMachine, machineInfo } from './report/machine.ts';
import { fill } from '../src/cli/bench/pseudo-random-tensors.ts';
import { type ServerProcess, startServer } from './processes/server-process.ts';
import { runProgram, secondsOf, wholeNumber, writeReport } from './report/program.ts';
import { startProgress } from './report/progress.ts';
import { hasRedis, startRedis } from './processes/redis-server.ts';
import { percentile, ratiosOf, spreadOf } from '../src/cli/bench/statistics.ts';
import { type OpenCaller, byRequests, byWebSockets } from './clients/session-callers.ts';
import { makeLayer } from './cases/layer.ts';
import { formatNumber, formatTable } from '../src/cli/table.ts';

const SESSIONS_EACH = 4;
const WARM_UP_STEPS = CONNECTIONS * SESSIONS_EACH * 8;
const D = 128;
const H = 128;
const RNN = [makeLayer(pseudoRandom(1), 'rnn', D, H)];
const LSTM = [makeLayer(pseudoRandom(1), 'lstm', D, H)];
/** x of every step of a caller's k-th session. */
const XS = Array.from({ length: SESSIONS_EACH }, (_, k) => fill(pseudoRandom(k), D, 1));

interface Variant {
  readonly name: string;
  /** Least ratio to the memory store; a missed target is printed and does not change the exit code. */
  readonly target?: number;
  readonly server: ServerProcess;
  /** Of the model of all its sessions. */
  readonly layers: readonly Layer[];
  readonly openCaller: OpenCaller;
  /** The sessions of each caller. */
  readonly sessions: readonly (readonly string[])[];
  readonly rounds: Round[];
  /** Steps per second in the last round. */
  pace: number;
  /** Steps that each session has taken. */
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
    const variants = await startAll(folder, stops);
    await measure(variants, seconds, rounds);
    for (const variant of variants) await checkSessions(variant);
    console.log(describe(variants, seconds));
    const results = variants.map(({ name, rounds }) => ({ name, rounds }));
    writeReport(json, results);
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

/** @param stops receives the functions that stop what was started, in the order of the starts */
async function startAll(folder: string, stops: (() => Promise<void>)[]): Promise<Variant[]> {
  const start = async (
    name: string,
    storeUrl: string,
    { target, openCaller = byRequests, layers = RNN }: Partial<Pick<Variant, 'target' | 'openCaller' | 'layers'>> = {},
  ): Promise<Variant> => {
    const server = await startServer({ STORE_URL: storeUrl });
    stops.push(() => server.stop());
    const sessions = await createSessions(server.url, layers);
    const counters = { rounds: [], pace: 0, steps: 0 };
    return { name, server, layers, sessions, openCaller, ...counters, ...(target && { target }) };
  };
  const sqlite = `sqlite:${join(folder, 'load.sqlite')}`;
  const variants = [
    await start('memory:', 'memory:'),
    await start('memory:, LSTM', 'memory:', { layers: LSTM, target: 0.85 }),
    await start('memory:, WebSockets', 'memory:', { openCaller: byWebSockets }),
    await start('memory:, JavaScript client', 'memory:', { openCaller: byClient }),
    await start('sqlite:, synchronous=FULL', sqlite, { target: 0.7 }),
  ];
  if (!hasRedis) {
    console.error('SKIPPED: redis-server is missing (apt-get install redis-server).');
    return variants;
  }
  for (const appendfsync of ['everysec', 'always']) {
    const dir = join(folder, appendfsync);
    mkdirSync(dir);
    const redis = await startRedis(dir, appendfsync);
    stops.push(() => redis.stop());
    const target = appendfsync === 'everysec' ? { target: 0.5 } : {};
    variants.push(await start(`redis:, appendfsync ${appendfsync}`, redis.url, target));
  }
  return variants;
}

async function createSessions(url: string, layers: readonly Layer[]): Promise<readonly (readonly string[])[]> {
  const model = await registerLayers(url, layers);
  const carryover = new Carryover(url);
  const sessions: string[][] = [];
  for (let connection = 0; connection < CONNECTIONS; connection++) {
    const ids: string[] = [];
    for (let k = 0; k < SESSIONS_EACH; k++) {
      ids.push((await carryover.sessions.create({ model })).id);
    }
    sessions.push(ids);
  }
  return sessions;
}

async function measure(
  variants: readonly Variant[],
  seconds: number,
  rounds: number,
): Promise<void> {
  const progress = await startProgress('measuring', variants.length * (rounds + 1));
  let done = 0;
  for (let round = -1; round < rounds; round++) {
    for (const variant of variants) {
      // A round is a number of steps and not a time, so that every step sent is answered.
      const steps = round < 0 ? WARM_UP_STEPS : variant.pace * seconds;
      const measured = await runRound(variant, steps);
      variant.pace = measured.stepsPerS;
      if (round >= 0) variant.rounds.push(measured);
      progress.update(++done);
    }
  }
  progress.stop();
}

async function runRound(variant: Variant, wantedSteps: number): Promise<Round> {
  const { server, sessions, openCaller } = variant;
  const each = Math.max(1, Math.round(wantedSteps / CONNECTIONS / SESSIONS_EACH));
  variant.steps += each;
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

/** @throws Error unless every session has taken the steps that were answered, and has the reference's bits */
async function checkSessions({ name, server, layers, sessions, steps }: Variant): Promise<void> {
  const expected = XS.map((x) => {
    const repeated = Float32Array.from({ length: steps * D }, (_, i) => x[i % D]!);
    const { h, c } = referenceModel(layers, { T: steps, N: 1, x: repeated });
    return { h: h[0]!, c: c[0] };
  });
  const carryover = new Carryover(server.url);
  for (const ids of sessions) {
    for (const [k, id] of ids.entries()) {
      const { t, h, c } = await (await carryover.sessions.open(id)).read();
      if (t !== steps) {
        throw new Error(`${name}: ${steps} steps were answered, a session took ${t}.`);
      }
      expectSameBits(`${name}: h after ${t} steps`, (h as Tensor).data, expected[k]!.h);
      if (c) expectSameBits(`${name}: c after ${t} steps`, (c as Tensor).data, expected[k]!.c!);
    }
  }
}

function describe(variants: readonly Variant[], seconds: number): string {
  const baseline = variants[0]!.rounds.map(({ stepsPerS }) => stepsPerS);
  const rows = variants.map(({ name, rounds, target }) => {
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
${describeMachine(machineInfo())}
steps on ${sessions}, ${CONNECTIONS} callers; median of ${baseline.length} rounds of ${seconds} s
each session took the steps that were answered; its state has the bits of the reference

${formatTable([headings, ...rows])}
`;
}

function range({ median, min, max }: ReturnType<typeof spreadOf>): string {
  return `${formatNumber(median)} (${formatNumber(min)} … ${formatNumber(max)})`;
}
