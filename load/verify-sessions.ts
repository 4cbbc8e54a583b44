// npm run verify:sessions: a million idle sessions, and a service that starts on them. It takes some minutes, and
// 1 GB in the folder for temporary files.
//
//   node load/verify-sessions.ts [--sessions 1000000] [--folder FOLDER]
//
// The sessions are written through the store, as POST /v1/sessions writes them, but without HTTP; the service is
// started as usual. Exit code 1 if it is not ready within 5 s, if file and resident memory are more than 2 GiB
// together, if a page of the list is not complete, or if a step on one of the sessions differs from the reference by
// a bit.
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { encodeSession } from '../src/sessions/record.ts';
import { newSession } from '../src/sessions/session.ts';
import { openSqliteStore } from '../src/store/sqlite/sqlite.ts';
import type { SessionStore } from '../src/store/store.ts';
import { pseudoRandom } from '../src/wasm/pseudo-random.ts';
import { referenceStep } from '../src/wasm/reference/step.ts';
import { get, postJson, registerModel } from './clients/api.ts';
import { fill, makeWeights } from './cases/pseudo-random-tensors.ts';
import { expectSameBits } from './cases/same-bits.ts';
import { startServer } from './processes/server-process.ts';
import { runProgram, wholeNumber } from './report/program.ts';
import { startProgress } from './report/progress.ts';
import { percentile } from './report/statistics.ts';

const D = 64;
const H = 64;
const READY_MS_MAX = 5_000;
/** The fastest start counts: other work of the machine can only make a start slower. */
const STARTS = 3;
const BYTES_MAX = 2 * 2 ** 30;
const COLD_STEPS = 200;
/** Sessions of the page that is listed. */
const LISTED = 100;
const BATCH = 1_000;
const TTL_MS = 30 * 86_400_000;
const MiB = 2 ** 20;

const weights = makeWeights(pseudoRandom(1), D, H);

await runProgram(main);

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      sessions: { type: 'string', default: '1000000' },
      folder: { type: 'string', default: tmpdir() },
    },
  });
  const count = wholeNumber('sessions', values.sessions, COLD_STEPS);
  const folder = mkdtempSync(join(values.folder, 'carryover-idle-'));
  try {
    const path = join(folder, 'idle.sqlite');
    const ids = await makeSessions(path, count, await registerWeights(path));
    const empty: Start[] = [];
    const full: Start[] = [];
    for (let start = 0; start < STARTS; start++) {
      empty.push(await startAndStop(join(folder, 'empty', `${start}.sqlite`)));
      full.push(await startAndStop(path));
    }
    const readyMs = Math.min(...full.map((start) => start.readyMs));
    const { rssBytes, stepMs, listMs } = await useSessions(path, ids);
    const fileBytes = bytesIn(folder);
    const isFine = readyMs < READY_MS_MAX && rssBytes + fileBytes <= BYTES_MAX;
    const [p50, p99] = [50, 99].map((percent) => percentile(stepMs, percent).toFixed(1));
    console.log(
      `${count} sessions, H = ${H}: ${mebibytes(fileBytes)} on the disk ` +
        `(${(fileBytes / count).toFixed(0)} bytes each), ${mebibytes(rssBytes)} resident\n` +
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

/** Registers the model with a running service, so that the file has its record. @returns the model's id */
async function registerWeights(path: string): Promise<string> {
  await using server = await startServer({ STORE_URL: `sqlite:${path}` });
  return await registerModel(server.url, weights);
}

/** The first state of the k-th session; every session has a different one. */
function stateOf(k: number): Float32Array {
  return fill(pseudoRandom(k), H, 1);
}

async function makeSessions(path: string, count: number, modelId: string): Promise<string[]> {
  const store = await openSqliteStore(path, { timeoutMs: 60_000, queueMax: BATCH });
  const startMs = performance.now();
  const progress = startProgress('making sessions', count);
  const ids: string[] = [];
  while (ids.length < count) {
    const first = ids.length;
    const size = Math.min(BATCH, count - first);
    const made = Array.from({ length: size }, (_, k) => makeSession(store, first + k, modelId));
    ids.push(...(await Promise.all(made)));
    progress.update(ids.length);
  }
  progress.stop();
  await store.close();
  console.log(`made in ${((performance.now() - startMs) / 1000).toFixed(0)} s`);
  return ids;
}

async function makeSession(store: SessionStore, k: number, modelId: string): Promise<string> {
  const random = crypto.getRandomValues(new Uint8Array(22));
  const id = Buffer.from(random.subarray(0, 16)).toString('base64url');
  const incarnation = Buffer.from(random.subarray(16)).toString('base64url');
  const spec = { modelId, N: 1, D, H, keep: 0, ttlMs: TTL_MS, state: stateOf(k) };
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

async function useSessions(path: string, ids: readonly string[]) {
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
    expectRightStep(k, x, answer);
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
  readonly h: number[][];
  readonly session: { readonly t: number };
}

function expectRightStep(k: number, x: Float32Array, { h, session }: StepAnswer): void {
  let expected = stateOf(k);
  // A session may have been chosen before.
  for (let t = 0; t < session.t; t++) expected = referenceStep(weights, x, expected).state;
  expectSameBits(`session ${k}: h`, Float32Array.from(h[0]!), expected);
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
