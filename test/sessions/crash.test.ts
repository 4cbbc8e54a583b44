// kill -9: what was acknowledged is there, once, with the same bits.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { percentile } from '../../load/report/statistics.ts';
import { type CrashReport, crashAgainAndAgain } from './crash.ts';
import { SEED } from '../helpers/seed.ts';

const KILLS = Number(process.env.CRASH_KILLS ?? 6);
const folder = mkdtempSync(join(tmpdir(), 'carryover-crash-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const sqlite = (name: string) => `sqlite:${join(folder, `${name}.sqlite`)}`;

const timeout = 60_000 + KILLS * 10_000;

test(`${KILLS} kills lose nothing and double nothing`, { timeout }, async () => {
  const report = await crashAgainAndAgain({
    storeUrl: sqlite('kills'),
    kills: KILLS,
    seed: SEED,
    withKeys: true,
  });
  console.log(describe(report));
  expect(report.remarks).toEqual([]);
  expect(report).toMatchObject({ lost: 0, doubled: 0, falseNo: 0, wrong: 0, forksTooMany: 0 });
  // It did something, and every kind of answer was among it.
  expect(report.acknowledged).toBeGreaterThan(KILLS * 5);
  expect(report.forks).toBeGreaterThan(0);
  expect(report.refused).toBeGreaterThan(0);
  expect(report.repeated).toBeGreaterThan(KILLS);
});

test('control: a store in memory loses, and it is seen', async () => {
  const report = await crashAgainAndAgain({
    storeUrl: 'memory:',
    kills: 1,
    seed: SEED,
    withKeys: true,
  });
  expect(report.acknowledged).toBeGreaterThan(0);
  expect(report.lost).toBe(report.acknowledged + report.forks);
});

test('control: calls repeated without a key are applied twice, and it is seen', async () => {
  let doubled = 0;
  // A kill may hit between two calls: it goes on until one was hit between commit and answer.
  for (let round = 0; doubled === 0 && round < 20; round++) {
    const report = await crashAgainAndAgain({
      storeUrl: sqlite(`without-keys-${round}`),
      kills: 2,
      seed: SEED + round,
      withKeys: false,
    });
    expect(report.lost).toBe(0);
    doubled += report.doubled;
  }
  expect(doubled).toBeGreaterThan(0);
});

function describe(report: CrashReport): string {
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
