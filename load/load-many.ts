// npm run load:many: steps of many sessions a second, one by one, in batches, and over one WebSocket.
//
//   node load/load-many.ts [--sessions 10000] [--rounds 5] [--json FILE]
//
// All sessions of one LSTM, D = H = 128, N = 1, are stepped once in each round and by each way, which alternate. Exit code 1 if
// a step is not answered, if a session has not taken exactly the steps that were answered, or if its state differs from the
// reference by a bit.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Carryover, type Tensor } from '../src/client/index.ts';
import { CONNECTIONS } from '../src/cli/bench/http-target.ts';
import { fill } from '../src/cli/bench/pseudo-random-tensors.ts';
import { readResponseHead } from '../src/cli/bench/response-head.ts';
import { expectSameBits } from '../src/cli/bench/same-bits.ts';
import { ratiosOf, spreadOf } from '../src/cli/bench/statistics.ts';
import { formatNumber, formatTable } from '../src/cli/table.ts';
import { pseudoRandom } from '../src/wasm/pseudo-random.ts';
import { referenceModel } from '../src/wasm/reference/model.ts';
import { makeLayer } from './cases/layer.ts';
import { createSessions } from './clients/api.ts';
import { MessageConnection, unexpected } from './clients/message-connection.ts';
import { byRequests, openWebSocket, textFrame } from './clients/session-callers.ts';
import { type ServerProcess, startServer } from './processes/server-process.ts';
import { describeMachine, machineInfo } from './report/machine.ts';
import { runProgram, wholeNumber, writeReport } from './report/program.ts';
import { startProgress } from './report/progress.ts';

const D = 128;
const H = 128;
const LAYERS = [makeLayer(pseudoRandom(1), 'lstm', D, H)];
const X = fill(pseudoRandom(2), D, 1);
const NUMBERS = JSON.stringify([[...X]]);
/** Items of a batch, and messages in flight on the socket. */
const BATCH = 256;
const IN_FLIGHT = 128;
/** Batches that are sent at once. */
const BATCH_CONNECTIONS = 2;
/** Sessions whose states are compared. */
const COMPARED = 50;

interface Way {
  readonly name: string;
  /** Least ratio to single steps; a missed target is printed and does not change the exit code. */
  readonly target?: number;
  /** One step of each session. */
  readonly step: (url: string, sessions: readonly string[]) => Promise<void>;
}

const WAYS: readonly Way[] = [
  { name: 'POST /v1/step', step: stepSingly },
  { name: `POST /v1/batch, ${BATCH} items`, target: 8, step: stepInBatches },
  { name: 'GET /v1/stream, one socket', target: 3, step: stepOverOneSocket },
];

await runProgram(main);

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { sessions: { type: 'string', default: '10000' }, rounds: { type: 'string', default: '5' }, json: { type: 'string' } },
  });
  const count = wholeNumber('sessions', values.sessions, BATCH);
  const rounds = wholeNumber('rounds', values.rounds);
  const folder = mkdtempSync(join(tmpdir(), 'carryover-many-'));
  const report: Record<string, unknown> = {};
  console.log(`\n${describeMachine(machineInfo())}\n${count} sessions of an LSTM, D = H = 128; median of ${rounds} rounds\n`);
  try {
    for (const store of ['memory:', `sqlite:${join(folder, 'many.sqlite')}`]) {
      await using server = await startServer({ STORE_URL: store, SESSIONS_MAX: String(2 * count) });
      report[store.split(':')[0]!] = await measure(server, count, rounds, store.split(':')[0]!);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  writeReport(values.json, report);
}

async function measure(server: ServerProcess, count: number, rounds: number, store: string) {
  const sessions = await createSessions(server.url, LAYERS, count);
  const rates: number[][] = WAYS.map(() => []);
  const progress = await startProgress(store, (rounds + 1) * WAYS.length);
  for (let round = -1; round < rounds; round++) {
    for (const [k, { step }] of WAYS.entries()) {
      const startMs = performance.now();
      await step(server.url, sessions);
      if (round >= 0) rates[k]!.push((1_000 * count) / (performance.now() - startMs));
      progress.update((round + 1) * WAYS.length + k + 1);
    }
  }
  progress.stop();
  await check(server.url, sessions, (rounds + 1) * WAYS.length);
  console.log(describe(store, rates));
  return Object.fromEntries(WAYS.map(({ name }, k) => [name, rates[k]]));
}

async function stepSingly(url: string, sessions: readonly string[]): Promise<void> {
  await Promise.all(
    sharesOf(sessions, CONNECTIONS).map(async (own) => {
      const caller = await byRequests(url, own.map((session) => ({ session, x: X })));
      for (const k of own.keys()) await caller.step(k);
      caller.close();
    }),
  );
}

async function stepInBatches(url: string, sessions: readonly string[]): Promise<void> {
  const { host } = new URL(url);
  await Promise.all(
    sharesOf(sessions, BATCH_CONNECTIONS).map(async (own) => {
      const connection = await MessageConnection.open(url);
      for (let start = 0; start < own.length; start += BATCH) {
        const items = own.slice(start, start + BATCH).map((session) => `{"session":"${session}","x":${NUMBERS}}`);
        const body = `{"items":[${items.join(',')}]}`;
        const head = `POST /v1/batch HTTP/1.1\r\nhost: ${host}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`;
        const answer = await connection.call(Buffer.from(head + body));
        if (readResponseHead(answer)?.status !== 200 || answer.includes('"error"')) throw unexpected(answer);
      }
      connection.close();
    }),
  );
}

async function stepOverOneSocket(url: string, sessions: readonly string[]): Promise<void> {
  const connection = await openWebSocket(url, '/v1/stream');
  let sent = 0;
  for (let answered = 0; answered < sessions.length; answered++) {
    for (; sent < sessions.length && sent - answered < IN_FLIGHT; sent++) {
      connection.send(textFrame(`{"session":"${sessions[sent]!}","x":${NUMBERS}}`));
    }
    const answer = await connection.receive();
    if (answer.includes('"error"')) throw unexpected(answer);
  }
  connection.close();
}

function sharesOf(sessions: readonly string[], count: number): string[][] {
  return Array.from({ length: count }, (_, k) => sessions.filter((__, n) => n % count === k)).filter((share) => share.length > 0);
}

/** @throws Error unless sessions have taken the steps that were answered, and have the reference's bits */
async function check(url: string, sessions: readonly string[], steps: number): Promise<void> {
  const x = Float32Array.from({ length: steps * D }, (_, i) => X[i % D]!);
  const { h } = referenceModel(LAYERS, { T: steps, N: 1, x });
  const carryover = new Carryover(url);
  for (let k = 0; k < COMPARED; k++) {
    const id = sessions[Math.floor((k * sessions.length) / COMPARED)]!;
    const state = await (await carryover.sessions.open(id)).read();
    if (state.t !== steps) throw new Error(`${steps} steps were answered, a session took ${state.t}.`);
    expectSameBits(`h after ${steps} steps`, (state.h as Tensor).data, h[0]!);
  }
}

function describe(store: string, rates: readonly (readonly number[])[]): string {
  const rows = WAYS.map(({ name, target }, k) => {
    const ratio = ratiosOf(rates[k]!, rates[0]!);
    const verdict = target === undefined ? '' : `≥ ${target} ${ratio.median >= target ? 'met' : 'MISSED'}`;
    return [name, range(spreadOf(rates[k]!)), range(ratio), verdict];
  });
  return `${formatTable([[store, 'steps/s (min … max)', '÷ single (min … max)', 'target'], ...rows])}\n`;
}

function range({ median, min, max }: ReturnType<typeof spreadOf>): string {
  return `${formatNumber(median)} (${formatNumber(min)} … ${formatNumber(max)})`;
}
