import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { startPeriodic } from '../src/periodic.ts';

test('runs do not overlap, and stopping waits for the current one', async () => {
  let [running, most, rounds, ended] = [0, 0, 0, 0];
  const periodic = startPeriodic(
    1,
    async () => {
      rounds++;
      most = Math.max(most, ++running);
      await sleep(20);
      running--;
      ended++;
    },
    () => {},
  );
  await vi.waitUntil(() => rounds > 3, { timeout: 10_000 });
  await periodic.stop();
  expect(most).toBe(1);
  expect(ended).toBe(rounds);
  await sleep(30);
  expect(ended).toBe(rounds);
});

test('an error is reported once, and again after a run that succeeded', async () => {
  const reported: unknown[] = [];
  let round = 0;
  const fails = [true, true, true, false, true, true];
  const periodic = startPeriodic(
    1,
    async () => {
      if (fails[round++]) throw new Error(`round ${round}`);
    },
    (error) => reported.push((error as Error).message),
  );
  while (round < fails.length) await sleep(1);
  await periodic.stop();
  expect(reported).toEqual(['round 1', 'round 5']);
});
