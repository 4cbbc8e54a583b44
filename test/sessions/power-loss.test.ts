// A step that was answered outlives a loss of power: from the order of the system calls of the whole
// service, no answer is sent before the fsync that covers its step. (The store alone, and the check
// itself: test/store/sqlite/power-loss.test.ts.)
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';
import { count, describeLong } from '../helpers/long.ts';
import { describeWith } from '../helpers/needs.ts';
import { type RunningServer, startQuickly, startServer } from '../helpers/process.ts';
import { type TraceRules, checkTrace, straceArgs } from '../helpers/trace.ts';
import { MODELS } from './models.ts';
import { randomRow, randomStates, rowJson, statesJson } from './states.ts';

const SESSIONS = 16;
// npm run verify:power-loss takes 10,240.
const STEPS = count('TRACED_CHANGES', { short: 128, long: 512 }) / SESSIONS;
/** Each session starts at another t, so t identifies the session in the trace. */
const T_APART = 1_000_000;
/** Of each step: its t, and the digest of the states after it. */
const MARKS = 2;

const rules: TraceRules = {
  isStore: (path) => /carryover\.sqlite(-wal)?$/.test(path),
  // The head of a record, and what is kept under the key; the answer of a step.
  marksStored: (data) => marks(data, /"t":(\d+),"modelId"|"made":\{"numerics":\d+,"digest":"(\w+)"/g),
  marksAcknowledged: (data) => marks(data, /"session":\{"id":"[^"]+","t":(\d+),"version":\d+,"digest":"(\w+)"/g),
};

const folder = mkdtempSync(join(tmpdir(), 'carryover-power-'));
afterAll(() => rmSync(folder, { recursive: true }));

describeWith('strace', 'the service', () => {
  const timeout = 60_000 + SESSIONS * STEPS * 100;

  test('no step is answered before the fsync that covers it', { timeout }, async () => {
    const { acknowledgedCount, syncsCount, violations } = await trace('full');
    expect(acknowledgedCount).toBe(SESSIONS * STEPS * MARKS);
    expect(violations).toEqual([]);
    // Steps of several sessions share one.
    expect(syncsCount).toBeLessThan(SESSIONS * STEPS);
  });
});

// In the short form test/store/sqlite/power-loss.test.ts has this control of the same check.
describeLong('a service without syncs', () => {
  describeWith('strace', 'traced', () => {
    const timeout = 60_000 + SESSIONS * STEPS * 100;

    test('control: without syncs every answer comes too early', { timeout }, async () => {
      const { acknowledgedCount, violations } = await trace('off', 'test/fixtures/servers/without-sync.ts');
      expect(acknowledgedCount).toBe(SESSIONS * STEPS * MARKS);
      expect(violations).toHaveLength(SESSIONS * STEPS * MARKS);
    });
  });
});

async function trace(name: string, entry?: string) {
  const traceFile = join(folder, `${name}.trace`);
  const env = { STORE_URL: `sqlite:${join(folder, name, 'carryover.sqlite')}`, WORKERS: '1' };
  const wrapper = ['strace', ...straceArgs(traceFile)];
  const server = await (entry === undefined ? startQuickly(env, wrapper) : startServer(env, entry, wrapper));
  try {
    await Promise.all(Array.from({ length: SESSIONS }, (_, k) => stepAlong(server, k)));
  } finally {
    await stopTraced(server);
  }
  return checkTrace(traceFile, rules);
}

/** A SIGTERM makes strace detach from the traced process, so the signal goes to that; strace ends with it. */
async function stopTraced(server: RunningServer): Promise<void> {
  const { pid } = server.process;
  const traced = Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ')[0]);
  process.kill(traced, 'SIGTERM');
  while (existsSync(`/proc/${traced}`)) await sleep(20);
  await server.stop();
}

/** Steps of a session with keys: the answer stands for the new states, and for those that a repetition begins with. */
async function stepAlong({ url }: RunningServer, k: number): Promise<void> {
  const { layers, body } = MODELS[k % MODELS.length]!;
  const random = pseudoRandom(k);
  const call = async (method: string, path: string, content: object, headers = {}) => {
    const response = await fetch(url + path, {
      method,
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(content),
    });
    expect(response.ok).toBe(true);
    return (await response.json()) as { id: string };
  };
  const model = await call('POST', '/v1/models', body);
  const { id } = await call('POST', '/v1/sessions', { model: model.id });
  const states = statesJson(randomStates(layers, random));
  await call('PUT', `/v1/sessions/${id}/state`, { ...states, t: (k + 1) * T_APART });
  for (let step = 0; step < STEPS; step++) {
    const x = rowJson(randomRow(layers, random));
    await call('POST', '/v1/step', { session: id, x }, { 'idempotency-key': `step-${step}` });
  }
}

function* marks(data: string, pattern: RegExp): Iterable<string> {
  for (const [, ...groups] of data.matchAll(pattern)) yield* groups.filter((mark) => mark !== undefined);
}
