// After kill -9 every step of a batch or of a socket for many sessions that was answered is stored, once: each session is where
// the same steps lead that are computed as one sequence.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { randomFaults } from '../helpers/fault-proxy.ts';
import { count, describeLong } from '../helpers/long.ts';
import { SEED } from '../helpers/seed.ts';
import { type Kills, PAUSE_MS, runWithCrashes } from './crash.ts';
import { StepTraffic, type StepReport } from './step-traffic.ts';

const KILLS = count('CRASH_KILLS', { short: 1, long: 3 });
/** Answers that are lost with their connection while the service runs: a step may then be running when it is sent again. */
const LOST_ANSWERS = 0.04;
const folder = mkdtempSync(join(tmpdir(), 'carryover-crash-many-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const timeout = 180_000 + KILLS * 10_000;

const crash = (storeUrl: string, kills: number, withKeys: boolean) => {
  const choose = randomFaults(SEED, { 'closed after': LOST_ANSWERS, delay: 1 });
  return runWithCrashes(
    { storeUrl, kills, seed: SEED, betweenMax: 800, choose },
    (port) => new StepTraffic({ port, seed: SEED, withKeys, pauseMs: PAUSE_MS }),
  );
};

const sqlite = (name: string) => `sqlite:${join(folder, `${name}.sqlite`)}`;

test(`${KILLS} kills lose no step of a batch or a socket and apply none twice`, { timeout }, async () => {
  const report = await crash(sqlite('kills'), KILLS, true);
  console.log(summaryOf(report));
  expect(report).toMatchObject({ lost: 0, doubled: 0, wrong: 0 });
  for (const { acknowledged, repeated, replayed } of [report.batches, report.sockets]) {
    expect(acknowledged).toBeGreaterThan(KILLS * 10);
    expect(repeated).toBeGreaterThan(KILLS);
    // One kill may find no answer of one of both kinds on its way.
    if (KILLS > 1) expect(replayed).toBeGreaterThan(0);
  }
  expect(report.batches.replayed + report.sockets.replayed).toBeGreaterThan(0);
});

// In the short form retries.test.ts has the first of them, with calls of their own, and redis.test.ts the second.
describeLong('controls', () => {
  test('control: steps that are sent again with other keys are applied twice, and they are counted', { timeout }, async () => {
    const report = await crash(sqlite('other-keys'), 1, false);
    expect(report.lost).toBe(0);
    expect(report.doubled).toBeGreaterThan(0);
  });

  test('control: a store in memory loses steps, and they are counted', { timeout }, async () => {
    const report = await crash('memory:', 1, true);
    expect(report.acknowledged).toBeGreaterThan(0);
    expect(report.lost).toBeGreaterThanOrEqual(report.acknowledged);
  });
});

function summaryOf({ kills, killsAtStart, lost, doubled, batches, sockets }: StepReport & Kills): string {
  const of = ({ acknowledged, repeated, replayed }: StepReport['batches']) =>
    `${acknowledged} steps, ${repeated} sent again, ${replayed} answered again`;
  return (
    `${kills} kills, ${killsAtStart} of them before ready (SEED=${SEED}): batches ${of(batches)}; sockets ${of(sockets)}; ` +
    `${lost} lost, ${doubled} doubled`
  );
}
