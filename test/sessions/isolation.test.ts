// A thousand sessions at the same time, each with calls that are broken off, ends and new
// beginnings, are what each of them would be alone.
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, expect, test } from 'vitest';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';
import { type TestApp, buildApp } from '../helpers/app.ts';
import { weightsBody } from '../helpers/recurrence.ts';
import { Client } from './client.ts';
import { type Told, type Verdict, checkHistory, emptyVerdict } from './history.ts';
import { firstState, randomWeights } from './replay.ts';
import { readSession } from './traffic.ts';
import { SEED } from '../helpers/seed.ts';

const SESSIONS = 1_000;
const CALLS = 5;
const LINES = 32;
/** Sizes whose rows end within a vector, so that what is behind them would show. */
const MODELS = [
  randomWeights(3, 5, 1),
  randomWeights(17, 33, 2),
  randomWeights(40, 70, 3),
];

let app: TestApp;
let port = 0;
let nowMs = Date.parse('2030-01-01T00:00:00Z');
const modelIds: string[] = [];

beforeAll(async () => {
  // Little room in memory: sessions come and go between it and the store.
  app = await buildApp({ HOT_SESSIONS_BYTES_MAX: '200000' }, { now: () => nowMs });
  await app.http.listen({ host: '127.0.0.1', port: 0 });
  ({ port } = app.http.server.address() as AddressInfo);
  for (const weights of MODELS) {
    const { body } = await app.post('/v1/models', { weights: weightsBody(weights) });
    modelIds.push(body.id);
  }
});

/** One session after another in the same place; those before were deleted or have expired. */
interface Place {
  readonly model: number;
  readonly random: () => number;
  id: string;
  ttl_s: number;
  calls: Told[];
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
    `${SESSIONS} places (SEED=${SEED}): ${counts.created} sessions, ` +
      `${verdict.acknowledged} answered changes, ` +
      `${counts.cancelled} calls broken off (${verdict.unknownApplied} of them counted), ` +
      `${counts.expired} expired, ${counts.deleted} deleted; ${verdict.wrong} with other bits`,
  );
  expect(verdict.remarks).toEqual([]);
  expect(verdict).toMatchObject({ lost: 0, doubled: 0, falseNo: 0, wrong: 0 });
  expect(verdict.unknownApplied).toBeGreaterThan(0);
  expect(counts.cancelled).toBeGreaterThan(verdict.unknownApplied);
  expect(counts.expired).toBeGreaterThan(0);
  expect(counts.deleted).toBeGreaterThan(0);
});

test('control: one number of a neighbour in one call of a hundred is seen', async () => {
  let sent = 0;
  let neighbour = 0;
  const counts = { cancelled: 0, expired: 0, deleted: 0, created: 0 };
  const verdict = await run(100, counts, (xs) => {
    const mixed = ++sent % 100 === 0 ? xs.map((x) => x.with(0, neighbour)) : xs;
    neighbour = xs[0]![0]!;
    return mixed;
  });
  expect(verdict.wrong).toBeGreaterThan(0);
});

type Tamper = (xs: readonly Float32Array[]) => readonly Float32Array[];

/** Lines of clients, each with its own places, whose calls it makes in a random order. */
async function run(sessions: number, counts: Counts, tamper: Tamper): Promise<Verdict> {
  const verdict = emptyVerdict();
  await Promise.all(
    Array.from({ length: LINES }, async (_, line) => {
      const random = pseudoRandom(SEED * 1_009 + line);
      const client = new Client(port);
      const places: Place[] = [];
      for (let k = line; k < sessions; k += LINES) places.push(await settle(client, k, counts));
      for (let call = 0; call < places.length * CALLS; call++) {
        const place = places[Math.floor(((random() + 1) / 2) * places.length)]!;
        await live(client, place, verdict, counts, tamper);
        // So that what lives shortly expires, if it is not renewed.
        if (call % 20 === 0) nowMs += 100;
      }
      for (const place of places) await close(client, place, verdict);
      client.close();
    }),
  );
  return verdict;
}

async function settle(client: Client, k: number, counts: Counts): Promise<Place> {
  const place: Place = {
    model: k % MODELS.length,
    random: pseudoRandom(SEED * 7_919 + k),
    id: '',
    ttl_s: 0,
    calls: [],
    version: 0,
    t: 0,
  };
  await begin(client, place, counts);
  return place;
}

async function begin(client: Client, place: Place, counts: Counts): Promise<void> {
  const ttl_s = place.random() < 0 ? 3 : 100_000;
  const body = JSON.stringify({ model: modelIds[place.model], ttl_s });
  const answer = await client.send({ method: 'POST', path: '/v1/sessions', body });
  expect(answer.status, answer.body).toBe(201);
  Object.assign(place, { id: JSON.parse(answer.body).id, ttl_s, calls: [], version: 0, t: 0 });
  counts.created++;
}

async function live(
  client: Client,
  place: Place,
  verdict: Verdict,
  counts: Counts,
  tamper: Tamper,
): Promise<void> {
  const dice = (place.random() + 1) / 2;
  if (dice < 0.03) {
    await close(client, place, verdict);
    const path = `/v1/sessions/${place.id}`;
    const { status } = await client.send({ method: 'DELETE', path });
    expect([204, 410]).toContain(status);
    counts.deleted++;
    return begin(client, place, counts);
  }
  const { D } = MODELS[place.model]!;
  const T = dice < 0.3 ? 3 : 1;
  const xs = Array.from({ length: T }, () => Float32Array.from({ length: D }, place.random));
  const effect = { kind: 'advance', xs } as const;
  const since = place.version;
  const answer = await call(client, place, tamper(xs), dice > 0.85);
  if (!answer) {
    counts.cancelled++;
    place.calls.push({ effect, since, outcome: { kind: 'unknown' } });
  } else if (answer.status === 410) {
    const { reason, applied, t } = JSON.parse(answer.body);
    expect([reason, applied]).toEqual(['expired', 'no']);
    expect(t).toBeGreaterThanOrEqual(place.t);
    counts.expired++;
    return begin(client, place, counts);
  } else {
    expect(answer.status, answer.body).toBe(200);
    const { version, t, digest } = JSON.parse(answer.body).session;
    place.calls.push({ effect, since, outcome: { kind: 'applied', version, t, digest } });
    Object.assign(place, { version, t });
  }
}

/** Undefined if it was broken off: before it was sent, on its way, while it ran, or behind it. */
async function call(
  client: Client,
  { id, random }: Place,
  xs: readonly Float32Array[],
  isCancelled: boolean,
) {
  const rows = xs.map((x) => [[...x]]);
  const sent =
    rows.length === 1
      ? { path: '/v1/step', body: JSON.stringify({ session: id, x: rows[0] }) }
      : { path: '/v1/sequence', body: JSON.stringify({ session: id, x: rows }) };
  if (!isCancelled) return client.send({ method: 'POST', ...sent });
  const cancel = new AbortController();
  const answer = client.send({ method: 'POST', ...sent }, cancel.signal).catch(() => undefined);
  await Promise.race([answer, sleep((random() + 1) * 4)]);
  cancel.abort();
  return answer;
}

/** Looks at a session for the last time, if it is still there. */
async function close(client: Client, place: Place, verdict: Verdict): Promise<void> {
  const { id, calls, model } = place;
  let found = await readSession(client, id);
  // A call that was broken off may still be running: it is over when two looks agree.
  for (let before = -1; found && found.version !== before; ) {
    before = found.version;
    await sleep(20);
    found = await readSession(client, id);
  }
  if (!found) return;
  const weights = MODELS[model]!;
  checkHistory(verdict, id, weights, firstState(weights.H, 0), calls, found);
}
