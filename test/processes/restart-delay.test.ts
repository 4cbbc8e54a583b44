import { expect, test } from 'vitest';
import { RestartDelay } from '../../src/processes/restart-delay.ts';

test('the first is replaced at once, those that follow later and later, up to a bound; after a quiet minute as at first', () => {
  const delay = new RestartDelay();
  const delays = Array.from({ length: 40 }, (_, k) => delay.next(1_000 * k));
  expect(delays.slice(0, 8)).toEqual([0, 100, 200, 400, 800, 1_600, 3_200, 6_400]);
  expect(new Set(delays.slice(8))).toEqual(new Set([10_000]));
  expect(delay.next(39_000 + 60_000)).toBe(0);
});
