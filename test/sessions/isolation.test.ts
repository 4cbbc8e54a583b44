// A hundred concurrent sessions (a thousand in the long form), some with cancelled calls, deleted, expired and created anew, have the states
// that each of them would have alone.
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, expect, test } from 'vitest';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';
import { type TestApp, buildApp } from '../helpers/app.ts';
import { Client } from './client.ts';
import { type CallRecord, type Verdict, checkHistory, emptyVerdict } from './history.ts';
import { MODELS as MIX, randomWeights, tanhModel } from './models.ts';
import { firstState } from './replay.ts';
import { type Row, randomRow, rowJson } from './states.ts';
import { readSession } from './traffic.ts';
import { sized } from '../helpers/long.ts';
import { SEED } from '../helpers/seed.ts';

const SESSIONS = sized({ short: 100, long: 1_000 });
const CALLS = 3;
const CLIENTS = 32;
/** At every 20th call of a client: the fewer calls, the more, so that some sessions expire. */
const TICK_MS = sized({ short: 500, long: 100 });
/** Sizes whose rows end within a vector, so that values behind a row would change results. */
const MODELS = [
  tanhModel(randomWeights(3, 5, 1)),
  tanhModel(randomWeights(17, 33, 2)),
  tanhModel(randomWeights(40, 70, 3)),
  ...MIX.slice(1),
];

let app: TestApp;
let port = 0;
let nowMs = Date.parse('2030-01-01T00:00:00Z');
const modelIds: string[] = [];

beforeAll(async () => {
  // A small cache: sessions are evicted and loaded again.
  app = await buildApp({ HOT_SESSIONS_BYTES_MAX: '200000' }, { now: () => nowMs });
  await app.http.listen({ host: '127.0.0.1', port: 0 });
  ({ port } = app.http.server.address() as AddressInfo);
  for (const model of MODELS) {
    const { body } = await app.post('/v1/models', model.body);
    modelIds.push(body.id);
  }
});

/** A sequence of sessions: when one was deleted or has expired, the next one is created. */
interface Slot {
  readonly model: number;
  readonly random: () => number;
  id: string;
  ttl_s: number;
  calls: CallRecord[];
  version: number;
  t: number;
}

interface Counts {
  cancelled: number;
  expired: number;
  deleted: number;
  created: number;
}

test(`${SESSIONS} sessions do not touch each other`, async () => {
  const counts = { cancelled: 0, expired: 0, deleted: 0, created: 0 };
  const verdict = await run(SESSIONS, counts, (xs) => xs);
  console.log(
    `${SESSIONS} slots (SEED=${SEED}): ${counts.created} sessions, ` +
      `${verdict.acknowledged} answered changes, ` +
      `${counts.cancelled} calls broken off (${verdict.unknownApplied} of them counted), ` +
      `${counts.expired} expired, ${counts.deleted} deleted; ${verdict.wrong} with other bits`,
  );
  expect(verdict.remarks).toEqual([]);
  expect(verdict).toMatchObject({ lost: 0, doubled: 0, refusedButApplied: 0, wrong: 0 });
  expect(verdict.unknownApplied).toBeGreaterThan(0);
  expect(counts.cancelled).toBeGreaterThan(verdict.unknownApplied);
  expect(counts.expired).toBeGreaterThan(0);
  expect(counts.deleted).toBeGreaterThan(0);
});

// Some calls are cancelled or come to a session that has expired: one mixed call alone may change nothing.
const MIXED_EVERY = 20;

test(`control: one number of a neighbour in one call of ${MIXED_EVERY} is found`, async () => {
  let sent = 0;
  let [neighbour, token] = [0, 0];
  const counts = { cancelled: 0, expired: 0, deleted: 0, created: 0 };
  const verdict = await run(100, counts, (xs) => {
    const isToken = xs[0] instanceof Uint32Array;
    const mixed = ++sent % MIXED_EVERY === 0 ? xs.map((x) => x.with(0, isToken ? token : neighbour)) : xs;
    if (isToken) token = xs[0]![0]!;
    else neighbour = xs[0]![0]!;
    return mixed;
  });
  expect(verdict.wrong).toBeGreaterThan(0);
});

type Tamper = (xs: readonly Row[]) => readonly Row[];

/** Concurrent clients, each with its own slots, which it calls in a random order. */
async function run(sessions: number, counts: Counts, tamper: Tamper): Promise<Verdict> {
  const verdict = emptyVerdict();
  await Promise.all(
    Array.from({ length: CLIENTS }, async (_, c) => {
      const random = pseudoRandom(SEED * 1_009 + c);
      const client = new Client(port);
      const slots: Slot[] = [];
      for (let k = c; k < sessions; k += CLIENTS) slots.push(await createSlot(client, k, counts));
      for (let call = 0; call < slots.length * CALLS; call++) {
        const slot = slots[Math.floor(((random() + 1) / 2) * slots.length)]!;
        await callOnce(client, slot, verdict, counts, tamper);
        // Sessions with a short lifetime expire unless they are called.
        if (call % 20 === 0) nowMs += TICK_MS;
      }
      for (const slot of slots) await checkSession(client, slot, verdict);
      client.close();
    }),
  );
  return verdict;
}

async function createSlot(client: Client, k: number, counts: Counts): Promise<Slot> {
  const slot: Slot = {
    model: k % MODELS.length,
    random: pseudoRandom(SEED * 7_919 + k),
    id: '',
    ttl_s: 0,
    calls: [],
    version: 0,
    t: 0,
  };
  await createSession(client, slot, counts);
  return slot;
}

async function createSession(client: Client, slot: Slot, counts: Counts): Promise<void> {
  const ttl_s = slot.random() < 0 ? 3 : 100_000;
  const body = JSON.stringify({ model: modelIds[slot.model], ttl_s });
  const response = await client.send({ method: 'POST', path: '/v1/sessions', body });
  expect(response.status, response.body).toBe(201);
  Object.assign(slot, { id: JSON.parse(response.body).id, ttl_s, calls: [], version: 0, t: 0 });
  counts.created++;
}

async function callOnce(
  client: Client,
  slot: Slot,
  verdict: Verdict,
  counts: Counts,
  tamper: Tamper,
): Promise<void> {
  const dice = (slot.random() + 1) / 2;
  if (dice < 0.03) {
    await checkSession(client, slot, verdict);
    const path = `/v1/sessions/${slot.id}`;
    const { status } = await client.send({ method: 'DELETE', path });
    expect([204, 410]).toContain(status);
    counts.deleted++;
    return createSession(client, slot, counts);
  }
  const { layers } = MODELS[slot.model]!;
  const T = dice < 0.3 ? 3 : 1;
  const xs = Array.from({ length: T }, () => randomRow(layers, slot.random));
  const effect = { kind: 'advance', xs } as const;
  const since = slot.version;
  const response = await call(client, slot, tamper(xs), dice > 0.85);
  if (!response) {
    counts.cancelled++;
    slot.calls.push({ effect, since, outcome: { kind: 'unknown' } });
  } else if (response.status === 410) {
    const { reason, applied, t } = JSON.parse(response.body);
    expect([reason, applied]).toEqual(['expired', 'no']);
    expect(t).toBeGreaterThanOrEqual(slot.t);
    counts.expired++;
    return createSession(client, slot, counts);
  } else {
    expect(response.status, response.body).toBe(200);
    const { version, t, digest } = JSON.parse(response.body).session;
    slot.calls.push({ effect, since, outcome: { kind: 'applied', version, t, digest } });
    Object.assign(slot, { version, t });
  }
}

/** Undefined if it was cancelled: before, during or after its execution. */
async function call(
  client: Client,
  { id, random }: Slot,
  xs: readonly Row[],
  isCancelled: boolean,
) {
  const rows = xs.map(rowJson);
  const sent =
    rows.length === 1
      ? { path: '/v1/step', body: JSON.stringify({ session: id, x: rows[0] }) }
      : { path: '/v1/sequence', body: JSON.stringify({ session: id, x: rows }) };
  if (!isCancelled) return client.send({ method: 'POST', ...sent });
  const cancel = new AbortController();
  const response = client.send({ method: 'POST', ...sent }, cancel.signal).catch(() => undefined);
  await Promise.race([response, sleep((random() + 1) * 4)]);
  cancel.abort();
  return response;
}

/** Checks the history of a session that still exists. */
async function checkSession(client: Client, slot: Slot, verdict: Verdict): Promise<void> {
  const { id, calls } = slot;
  const { layers } = MODELS[slot.model]!;
  let found = await readSession(client, id, layers);
  // A cancelled call may still be running: it has ended when two reads agree.
  for (let before = -1; found && found.version !== before; ) {
    before = found.version;
    await sleep(20);
    found = await readSession(client, id, layers);
  }
  if (!found) return;
  checkHistory(verdict, id, layers, firstState(layers, 0), calls, found);
}
