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
import { writeSafetensors } from '../src/codec/safetensors/write.ts';
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
/** What an entry that failed has: in a body of JSON, and in the metadata of a file, which are JSON in JSON. */
const FAILED = ['"error"', '\\"error\\"'];
/** Sessions whose states are compared. */
const COMPARED = 50;

interface Way {
  readonly name: string;
  /** Least ratio to single steps; a missed target is printed and does not change the exit code. */
  readonly target?: number;
  /** Opens its connections, and makes all that it will send: only sending and receiving are measured. */
  readonly open: (url: string, sessions: readonly string[]) => Promise<Caller>;
}

interface Caller {
  /** One step of each session. */
  step(): Promise<void>;
  close(): void;
}

const WAYS: readonly Way[] = [
  { name: 'POST /v1/step', open: singly },
  { name: `POST /v1/batch, ${BATCH} items`, target: 8, open: (url, sessions) => inBatches(url, sessions, jsonBatch) },
  { name: '… as a safetensors file', target: 8, open: (url, sessions) => inBatches(url, sessions, fileBatch) },
  { name: 'GET /v1/stream, one socket', target: 3, open: overOneSocket },
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
  const callers = await Promise.all(WAYS.map(({ open }) => open(server.url, sessions)));
  const rates: number[][] = WAYS.map(() => []);
  const progress = await startProgress(store, (rounds + 1) * WAYS.length);
  for (let round = -1; round < rounds; round++) {
    for (const [k, caller] of callers.entries()) {
      const startMs = performance.now();
      await caller.step();
      if (round >= 0) rates[k]!.push((1_000 * count) / (performance.now() - startMs));
      progress.update((round + 1) * WAYS.length + k + 1);
    }
  }
  progress.stop();
  for (const caller of callers) caller.close();
  await check(server.url, sessions, (rounds + 1) * WAYS.length);
  console.log(describe(store, rates));
  return Object.fromEntries(WAYS.map(({ name }, k) => [name, rates[k]]));
}

async function singly(url: string, sessions: readonly string[]): Promise<Caller> {
  const shares = sharesOf(sessions, CONNECTIONS);
  const callers = await Promise.all(shares.map((own) => byRequests(url, own.map((session) => ({ session, x: X })))));
  return {
    step: async () => {
      await Promise.all(
        callers.map(async (caller, n) => {
          for (const k of shares[n]!.keys()) await caller.step(k);
        }),
      );
    },
    close: () => callers.forEach((caller) => caller.close()),
  };
}

interface Batch {
  readonly type: string;
  readonly body: Buffer;
}

function jsonBatch(sessions: readonly string[]): Batch {
  const items = sessions.map((session) => `{"session":"${session}","x":${NUMBERS}}`);
  return { type: 'application/json', body: Buffer.from(`{"items":[${items.join(',')}]}`) };
}

function fileBatch(sessions: readonly string[]): Batch {
  const tensors = Object.fromEntries(sessions.map((_, k) => [`${k}.x`, { shape: [1, D], strides: [D, 1], data: X }]));
  const body = writeSafetensors(tensors, { items: JSON.stringify(sessions.map((session) => ({ session }))) });
  return { type: 'application/vnd.carryover.safetensors', body };
}

async function inBatches(url: string, sessions: readonly string[], batchOf: (sessions: readonly string[]) => Batch): Promise<Caller> {
  const { host } = new URL(url);
  const shares = await Promise.all(
    sharesOf(sessions, BATCH_CONNECTIONS).map(async (own) => {
      const requests = Array.from({ length: Math.ceil(own.length / BATCH) }, (_, n) => {
        const { type, body } = batchOf(own.slice(n * BATCH, (n + 1) * BATCH));
        const head = `POST /v1/batch HTTP/1.1\r\nhost: ${host}\r\ncontent-type: ${type}\r\ncontent-length: ${body.length}\r\n\r\n`;
        return Buffer.concat([Buffer.from(head), body]);
      });
      return { requests, connection: await MessageConnection.open(url) };
    }),
  );
  return {
    step: async () => {
      await Promise.all(
        shares.map(async ({ requests, connection }) => {
          for (const request of requests) {
            const answer = await connection.call(request);
            if (readResponseHead(answer)?.status !== 200 || FAILED.some((text) => answer.includes(text))) throw unexpected(answer);
          }
        }),
      );
    },
    close: () => shares.forEach(({ connection }) => connection.close()),
  };
}

async function overOneSocket(url: string, sessions: readonly string[]): Promise<Caller> {
  const connection = await openWebSocket(url, '/v1/stream');
  const frames = sessions.map((session) => textFrame(`{"session":"${session}","x":${NUMBERS}}`));
  return {
    step: async () => {
      let sent = 0;
      for (let answered = 0; answered < frames.length; answered++) {
        for (; sent < frames.length && sent - answered < IN_FLIGHT; sent++) connection.send(frames[sent]!);
        const answer = await connection.receive();
        if (answer.includes('"error"')) throw unexpected(answer);
      }
    },
    close: () => connection.close(),
  };
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
