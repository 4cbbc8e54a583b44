// npm run verify:sessions: a million idle sessions, and a service that starts on them. It takes some minutes, and
// 1 GB in the folder for temporary files.
//
//   node load/verify-sessions.ts [--cell rnn|lstm] [--sessions 1000000] [--folder FOLDER]
//
// The sessions are written through the store, as POST /v1/sessions writes them, but without HTTP; the service is
// started as usual. The model is one tanh layer, or two LSTM layers. Exit code 1 if it is not ready within 5 s, if
// the file has more than 1 KiB for a session besides the numbers of its states, if file and resident memory are more than
// 2 GiB together (of tanh layers), if a page of the list is not complete, or if a step on one of the sessions differs from the reference by
// a bit.
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { stateSizes } from '../src/engine/session-state.ts';
import { encodeSession } from '../src/sessions/record.ts';
import { newSession, stateNumbersOf, viewsOf } from '../src/sessions/session.ts';
import { openSqliteStore } from '../src/store/sqlite/sqlite.ts';
import type { SessionStore } from '../src/store/store.ts';
import { pseudoRandom } from '../src/wasm/pseudo-random.ts';
import { type Layer, statesOf } from '../src/layers.ts';
import { referenceModel } from '../src/wasm/reference/model.ts';
import { get, postJson, registerLayers } from './clients/api.ts';
import { makeLayer } from './cases/layer.ts';
import { fill } from '../src/cli/bench/pseudo-random-tensors.ts';
import { expectSameBits } from '../src/cli/bench/same-bits.ts';
import { startServer } from './processes/server-process.ts';
import { runProgram, wholeNumber } from './report/program.ts';
import { startProgress } from './report/progress.ts';
import { percentile } from '../src/cli/bench/statistics.ts';

const D = 64;
const H = 64;
const READY_MS_MAX = 5_000;
/** The fastest start counts: other work of the machine can only make a start slower. */
const STARTS = 3;
const BYTES_MAX = 2 * 2 ** 30;
/** Of a session, besides the numbers of its states. */
const OVERHEAD_BYTES_MAX = 1024;
const COLD_STEPS = 200;
/** Sessions of the page that is listed. */
const LISTED = 100;
const BATCH = 1_000;
const TTL_MS = 30 * 86_400_000;
const MiB = 2 ** 20;

const random = pseudoRandom(1);
const MODELS = {
  rnn: [makeLayer(random, 'rnn', D, H)],
  lstm: [makeLayer(random, 'lstm', D, H), makeLayer(random, 'lstm', H, H)],
} satisfies Record<string, readonly Layer[]>;

await runProgram(main);

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      cell: { type: 'string', default: 'rnn' },
      sessions: { type: 'string', default: '1000000' },
      folder: { type: 'string', default: tmpdir() },
    },
  });
  const { cell } = values;
  if (!isCell(cell)) throw new Error(`--cell is ${cell}, expected one of ${Object.keys(MODELS).join(', ')}.`);
  const layers: readonly Layer[] = MODELS[cell];
  const stateBytes = 4 * stateNumbersOf(1, statesOf(layers));
  const count = wholeNumber('sessions', values.sessions, COLD_STEPS);
  const folder = mkdtempSync(join(values.folder, 'carryover-idle-'));
  try {
    const path = join(folder, 'idle.sqlite');
    const ids = await makeSessions(path, count, layers);
    const empty: Start[] = [];
    const full: Start[] = [];
    for (let start = 0; start < STARTS; start++) {
      empty.push(await startAndStop(join(folder, 'empty', `${start}.sqlite`)));
      full.push(await startAndStop(path));
    }
    const readyMs = Math.min(...full.map((start) => start.readyMs));
    const { rssBytes, stepMs, listMs } = await useSessions(path, ids, layers);
    const fileBytes = bytesIn(folder);
    const overheadBytes = fileBytes / count - stateBytes;
    const isSmall = cell !== 'rnn' || rssBytes + fileBytes <= BYTES_MAX;
    const isFine = readyMs < READY_MS_MAX && overheadBytes <= OVERHEAD_BYTES_MAX && isSmall;
    const [p50, p99] = [50, 99].map((percent) => percentile(stepMs, percent).toFixed(1));
    console.log(
      `${count} sessions, ${layers.length} × ${cell}, H = ${H}: ${mebibytes(fileBytes)} on the disk ` +
        `(${(fileBytes / count).toFixed(0)} bytes each, ${stateBytes} of them states), ${mebibytes(rssBytes)} resident\n` +
        `ready after ${describe(full)}; with an empty store after ${describe(empty)}\n` +
        `${COLD_STEPS} steps on cold sessions, the right bits: p50 ${p50} ms, p99 ${p99} ms\n` +
        `${LISTED} of the sessions listed after ${listMs.toFixed(0)} ms\n` +
        (isFine ? 'fine' : 'NOT fine'),
    );
    if (!isFine) process.exitCode = 1;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function isCell(cell: string): cell is keyof typeof MODELS {
  return cell in MODELS;
}

/** Registers the model with a running service, so that the file has its record. @returns the model's id */
async function register(path: string, layers: readonly Layer[]): Promise<string> {
  await using server = await startServer({ STORE_URL: `sqlite:${path}` });
  return await registerLayers(server.url, layers);
}

/** The first states of the k-th session; every session has different ones. */
function stateOf(k: number, layers: readonly Layer[]): Float32Array {
  return fill(pseudoRandom(k), stateNumbersOf(1, statesOf(layers)), 1);
}

async function makeSessions(path: string, count: number, layers: readonly Layer[]): Promise<string[]> {
  const modelId = await register(path, layers);
  const store = await openSqliteStore(path, { timeoutMs: 60_000, queueMax: BATCH });
  const startMs = performance.now();
  const progress = await startProgress('making sessions', count);
  const ids: string[] = [];
  while (ids.length < count) {
    const first = ids.length;
    const size = Math.min(BATCH, count - first);
    const made = Array.from({ length: size }, (_, k) => makeSession(store, first + k, modelId, layers));
    ids.push(...(await Promise.all(made)));
    progress.update(ids.length);
  }
  progress.stop();
  await store.close();
  console.log(`made in ${((performance.now() - startMs) / 1000).toFixed(0)} s`);
  return ids;
}

async function makeSession(store: SessionStore, k: number, modelId: string, layers: readonly Layer[]): Promise<string> {
  const random = crypto.getRandomValues(new Uint8Array(22));
  const id = Buffer.from(random.subarray(0, 16)).toString('base64url');
  const incarnation = Buffer.from(random.subarray(16)).toString('base64url');
  const spec = { modelId, N: 1, D, H, states: stateSizes(layers), keep: 0, ttlMs: TTL_MS, state: stateOf(k, layers) };
  const session = newSession(id, incarnation, spec, Date.now());
  await store.create(id, encodeSession(session), session.expiresAtMs, modelId);
  return id;
}

interface Start {
  /** From the start of the process until /health/ready is 200. */
  readonly readyMs: number;
  /** Processor time until then. */
  readonly cpuMs: number;
}

async function startAndStop(path: string): Promise<Start> {
  const startMs = performance.now();
  const server = await startServer({ STORE_URL: `sqlite:${path}` });
  const readyMs = performance.now() - startMs;
  const cpuMs = processorMs(server.pid);
  await server.stop();
  return { readyMs, cpuMs };
}

async function useSessions(path: string, ids: readonly string[], layers: readonly Layer[]) {
  await using server = await startServer({ STORE_URL: `sqlite:${path}` });
  const random = pseudoRandom(2);
  const x = fill(random, D, 1);
  const listMs = await listPage(server.url);
  const stepMs: number[] = [];
  for (let step = 0; step < COLD_STEPS; step++) {
    const k = Math.floor(((random() + 1) / 2) * ids.length);
    const body = { session: ids[k], x: [[...x]] };
    const sentMs = performance.now();
    const answer = await postJson<StepAnswer>(`${server.url}/v1/step`, body);
    stepMs.push(performance.now() - sentMs);
    expectRightStep(layers, k, x, answer);
  }
  return { rssBytes: residentBytes(server.pid), stepMs, listMs };
}

/** @returns how long it takes, in ms. @throws Error if sessions are missing */
async function listPage(url: string): Promise<number> {
  const startMs = performance.now();
  const page = await get(`${url}/v1/sessions?limit=${LISTED}`);
  const { sessions } = JSON.parse(page.toString()) as { sessions: object[] };
  if (sessions.length !== LISTED) throw new Error(`The list has ${sessions.length} sessions of ${LISTED}.`);
  return performance.now() - startMs;
}

interface StepAnswer {
  /** (1, H), of several layers a list. */
  readonly h: number[][] | number[][][];
  readonly c?: number[][] | number[][][];
  readonly session: { readonly t: number };
}

function expectRightStep(layers: readonly Layer[], k: number, x: Float32Array, { h, c, session }: StepAnswer): void {
  const before = viewsOf(1, statesOf(layers), stateOf(k, layers));
  // A session may have been chosen before.
  const T = session.t;
  const repeated = Float32Array.from({ length: T * D }, (_, i) => x[i % D]!);
  const given = { h: before.map((state) => state.h), c: before.map((state) => state.c) };
  const after = referenceModel(layers, { T, N: 1, x: repeated, ...given });
  const flat = (states: readonly (Float32Array | undefined)[]) => Float32Array.from(states.flatMap((state) => [...(state ?? [])]));
  expectSameBits(`session ${k}: h`, Float32Array.from(h.flat(2)), flat(after.h));
  expectSameBits(`session ${k}: c`, Float32Array.from((c ?? []).flat(2)), flat(after.c));
}

/** From /proc, on Linux. */
function residentBytes(pid: number): number {
  const [, kibibytes] = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kibibytes) * 1024;
}

/** User and system time from /proc, in ticks of 10 ms. */
function processorMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

function bytesIn(folder: string): number {
  return readdirSync(folder)
    .map((name) => statSync(join(folder, name)))
    .reduce((sum, file) => sum + (file.isFile() ? file.size : 0), 0);
}

function describe(starts: readonly Start[]): string {
  const [ready, cpu] = (['readyMs', 'cpuMs'] as const).map((key) => {
    const values = starts.map((start) => start[key]);
    return `${Math.min(...values).toFixed(0)} … ${Math.max(...values).toFixed(0)} ms`;
  });
  return `${ready} (${cpu} of the processor)`;
}

function mebibytes(bytes: number): string {
  return `${(bytes / MiB).toFixed(0)} MiB`;
}
