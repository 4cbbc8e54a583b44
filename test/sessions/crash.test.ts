// After kill -9 every acknowledged change is stored, once, with the same bits.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { percentile } from '../../src/cli/bench/statistics.ts';
import { type Kills, PAUSE_MS, runWithCrashes } from './crash.ts';
import { Traffic, type TrafficReport } from './traffic.ts';
import { count, describeLong } from '../helpers/long.ts';
import { SEED } from '../helpers/seed.ts';

const KILLS = count('CRASH_KILLS', { short: 1, long: 3 });
const folder = mkdtempSync(join(tmpdir(), 'carryover-crash-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const sqlite = (name: string) => `sqlite:${join(folder, `${name}.sqlite`)}`;

const timeout = 180_000 + KILLS * 10_000;

const crash = (storeUrl: string, { kills = KILLS, seed = SEED, withKeys = true } = {}) =>
  runWithCrashes(
    { storeUrl, kills, seed, betweenMax: 100 },
    (port) => new Traffic({ clients: 32, sessions: 64, ports: [port], seed, withKeys, pauseMs: PAUSE_MS }),
  );

test(`${KILLS} kills lose no change and apply none twice`, { timeout }, async () => {
  const report = await crash(sqlite('kills'));
  console.log(summaryOf(report));
  expect(report.remarks).toEqual([]);
  expect(report).toMatchObject({ lost: 0, doubled: 0, refusedButApplied: 0, wrong: 0, forksTooMany: 0 });
  // The traffic had calls with every kind of answer.
  expect(report.acknowledged).toBeGreaterThan(KILLS * 5);
  expect(report.forks).toBeGreaterThan(0);
  expect(report.refused).toBeGreaterThan(0);
  expect(report.repeated).toBeGreaterThan(KILLS);
});

// In the short form redis.test.ts has the first of them, store/sqlite/crash.test.ts one like it, and retries.test.ts the second.
describeLong('controls', () => {
  test('control: a store in memory loses changes, and they are counted', { timeout }, async () => {
    const report = await crash('memory:', { kills: 1 });
    expect(report.acknowledged).toBeGreaterThan(0);
    expect(report.lost).toBe(report.acknowledged + report.forks);
  });

  test('control: calls repeated without a key are applied twice, and they are counted', { timeout }, async () => {
    let doubled = 0;
    // Repeats until a kill happened between a commit and its answer.
    for (let round = 0; doubled === 0 && round < 20; round++) {
      const report = await crash(sqlite(`without-keys-${round}`), { kills: 1, seed: SEED + round, withKeys: false });
      expect(report.lost).toBe(0);
      doubled += report.doubled;
    }
    expect(doubled).toBeGreaterThan(0);
  });
});

function summaryOf(report: TrafficReport & Kills): string {
  const { kills, killsAtStart, readyMs, acknowledged, forks, refused, repeated, replayed } = report;
  const { lost, doubled } = report;
  const ready = [50, 99].map((percent) => percentile(readyMs, percent).toFixed(0)).join(' / ');
  return (
    `${kills} kills, ${killsAtStart} of them before ready (SEED=${SEED}): ` +
    `${acknowledged} acknowledged changes and ${forks} forks, ` +
    `${refused} refused, ${repeated} attempts repeated, ${replayed} answered again; ` +
    `${lost} lost, ${doubled} doubled; ready again after p50 / p99 ${ready} ms`
  );
}
