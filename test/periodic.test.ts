import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { startPeriodic } from '../src/periodic.ts';

test('rounds do not overlap, and stopping waits for the one that runs', async () => {
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
  await sleep(110);
  await periodic.stop();
  expect(most).toBe(1);
  expect(ended).toBe(rounds);
  expect(rounds).toBeGreaterThan(1);
  await sleep(30);
  expect(ended).toBe(rounds);
});

test('a failure is told once, and again when a success lies between', async () => {
  const told: unknown[] = [];
  let round = 0;
  const fails = [true, true, true, false, true, true];
  const periodic = startPeriodic(
    1,
    async () => {
      if (fails[round++]) throw new Error(`round ${round}`);
    },
    (error) => told.push((error as Error).message),
  );
  while (round < fails.length) await sleep(1);
  await periodic.stop();
  expect(told).toEqual(['round 1', 'round 5']);
});
