// Answers that are lost with their connection: a call that is repeated with its key is applied once.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type TestService, startService } from '../client/service.ts';
import { count, sized } from '../helpers/long.ts';
import { startLossyProxy } from '../helpers/lossy-proxy.ts';
import { Client } from './client.ts';
import { Traffic, type TrafficReport } from './traffic.ts';
import { SEED } from '../helpers/seed.ts';

const LOSSES = count('RETRY_LOSSES', { short: 40, long: 200 });
const ROUNDS = count('RETRY_ROUNDS', { short: 6, long: 50 });
const CONCURRENT = 16;

let server: TestService;
const folder = mkdtempSync(join(tmpdir(), 'carryover-retries-'));
beforeAll(async () => {
  server = await startService({ STORE_URL: `sqlite:${join(folder, 'retries.sqlite')}` });
});
afterAll(async () => {
  await server.app.close();
  rmSync(folder, { recursive: true, force: true });
});

interface LossReport extends TrafficReport {
  readonly losses: string;
}

async function loseConnections(losses: number, withKeys: boolean): Promise<LossReport> {
  const proxy = await startLossyProxy(server.port, SEED, 0.4);
  const traffic = new Traffic({
    clients: 16,
    sessions: 32,
    ports: [proxy.port],
    seed: SEED,
    withKeys,
    pauseMs: 2,
  });
  await traffic.createSessions(server.port);
  traffic.start();
  while (proxy.losses < losses) await sleep(10);
  proxy.chance = 0;
  await traffic.stop();
  const report = await traffic.check(server.port);
  await proxy.close();
  const counts = Object.entries(proxy.counts).map(([name, count]) => `${count} ${name}`);
  return { ...report, losses: `${proxy.losses} connections lost (${counts.join(', ')})` };
}

const timeout = 180_000 + LOSSES * 100 + ROUNDS * 200;

test(`${LOSSES} connections lost at random lose no step and apply none twice`, { timeout }, async () => {
  const report = await loseConnections(LOSSES, true);
  const { losses, acknowledged, forks, refused, repeated, replayed } = report;
  console.log(
    `${losses} (SEED=${SEED}): ${acknowledged} acknowledged changes and ${forks} forks, ` +
      `${refused} refused, ${repeated} attempts repeated, ${replayed} answered again, ` +
      `${report.lost} lost, ${report.doubled} doubled, ` +
      `${report.refusedButApplied} refused and applied`,
  );
  expect(report.remarks).toEqual([]);
  // Every call was repeated until it was answered, so no outcome is unknown.
  expect(report).toMatchObject({ lost: 0, doubled: 0, refusedButApplied: 0, wrong: 0, forksTooMany: 0 });
  expect(report.unknownApplied).toBe(0);
  expect(report.replayed).toBeGreaterThan(0);
  expect(report.refused).toBeGreaterThan(0);
});

test('control: calls repeated without a key are applied twice, and they are counted', async () => {
  const report = await loseConnections(sized({ short: 30, long: 100 }), false);
  expect(report.lost).toBe(0);
  expect(report.doubled).toBeGreaterThan(0);
});

test(`one of ${CONCURRENT} calls with a key is executed: ${ROUNDS} rounds`, { timeout }, async () => {
  const clients = Array.from({ length: CONCURRENT }, () => new Client(server.port));
  const send = (path: string, body: object, headers = {}, client = clients[0]!) =>
    client.send({ method: 'POST', path, body: JSON.stringify(body), headers });
  const lstm = { type: 'lstm', W_x: [[0.5, -0.25, 1, 2]], W_h: [[0.1, 0.2, -0.3, 0.4]] };
  const weights = { layers: [lstm] };
  const created = await send('/v1/sessions', { weights });
  const { id } = JSON.parse(created.body);
  let answered = 0;
  for (let round = 1; round <= ROUNDS; round++) {
    const key = { 'idempotency-key': `round-${round}` };
    const body = { session: id, x: [[round]] };
    const responses = await Promise.all(clients.map((client) => send('/v1/step', body, key, client)));
    const done = responses.filter(({ status }) => status === 200);
    expect(new Set(done.map((response) => response.body)).size).toBe(1);
    expect(responses.filter(({ status }) => status === 409)).toHaveLength(CONCURRENT - done.length);
    expect(JSON.parse(done[0]!.body).session).toMatchObject({ t: round, version: round });
    answered += done.length;
  }
  console.log(
    `${ROUNDS} rounds of ${CONCURRENT}: ${ROUNDS} executed, ${answered} answered, the rest 409`,
  );
  for (const client of clients) client.close();
});
