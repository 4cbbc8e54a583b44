// A rate of one process, in a time of its own.
import { describe, expect, test } from 'vitest';
import { LocalRate, burstOf } from '../../src/limits/rate.ts';
import { fc } from '../helpers/seed.ts';

/** Weights that arrive one after another, each so many ms after the one before. */
const arrivals = (weight: fc.Arbitrary<number>) =>
  fc.array(fc.record({ afterMs: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 3_000 })), weight }), { maxLength: 80 });

const rates = fc.oneof(fc.integer({ min: 1, max: 200 }), fc.double({ min: 0.05, max: 2, noNaN: true }));

interface Admitted {
  readonly atMs: number;
  readonly weight: number;
}

/** Lets all arrive that are given, and take what they may. */
function admit(rate: LocalRate, clock: { ms: number }, given: readonly { afterMs: number; weight: number }[]): Admitted[] {
  const admitted: Admitted[] = [];
  for (const { afterMs, weight } of given) {
    clock.ms += afterMs;
    if (rate.waitMs() > 0) continue;
    rate.take(weight);
    admitted.push({ atMs: clock.ms, weight });
  }
  return admitted;
}

/** The most of all windows beyond what comes in during it. */
function excessOf(admitted: readonly Admitted[], perS: number): number {
  let most = 0;
  for (const [first, { atMs }] of admitted.entries()) {
    let sum = 0;
    for (const next of admitted.slice(first)) {
      sum += next.weight;
      most = Math.max(most, sum - ((next.atMs - atMs) / 1_000) * perS);
    }
  }
  return most;
}

describe('a rate', () => {
  test('of requests admits at most rate · t + burst in any time t', () => {
    fc.assert(
      fc.property(rates, arrivals(fc.constant(1)), (perS, given) => {
        const clock = { ms: 0 };
        const rate = new LocalRate(perS, () => clock.ms);
        expect(excessOf(admit(rate, clock, given), perS)).toBeLessThanOrEqual(burstOf(perS) + 1e-3);
      }),
    );
  });

  test('of operations admits at most one computation more', () => {
    fc.assert(
      fc.property(rates, arrivals(fc.integer({ min: 1, max: 1_000 })), (perS, given) => {
        const clock = { ms: 0 };
        const rate = new LocalRate(perS, () => clock.ms);
        const largest = Math.max(0, ...given.map(({ weight }) => weight));
        expect(excessOf(admit(rate, clock, given), perS)).toBeLessThanOrEqual(burstOf(perS) + largest + 1e-3);
      }),
    );
  });

  test('control: counting in windows of a second, as of the first request, admits twice as many', () => {
    const perS = 10;
    let [windowMs, count] = [0, 0];
    const admitted: Admitted[] = [];
    for (let atMs = 0; atMs < 3_000; atMs += 1) {
      if (atMs - windowMs >= 1_000) [windowMs, count] = [atMs, 0];
      if (atMs <= 980 || atMs >= 1_020 || count >= perS) continue;
      count++;
      admitted.push({ atMs, weight: 1 });
    }
    expect(excessOf(admitted, perS)).toBeGreaterThan(1.9 * perS);
  });

  test('who waits as long as it is told is admitted, and not earlier', () => {
    fc.assert(
      fc.property(rates, arrivals(fc.integer({ min: 1, max: 100 })), (perS, given) => {
        const clock = { ms: 0 };
        const rate = new LocalRate(perS, () => clock.ms);
        admit(rate, clock, given);
        const waitMs = rate.waitMs();
        if (waitMs > 2) {
          clock.ms += waitMs - 1;
          expect(rate.waitMs()).toBeGreaterThan(0);
          clock.ms += 1;
        } else clock.ms += waitMs;
        expect(rate.waitMs()).toBe(0);
      }),
    );
  });

  test('which is used at its rate is never waited for', () => {
    const clock = { ms: 0 };
    const rate = new LocalRate(7, () => clock.ms);
    for (let k = 0; k < 10_000; k++) {
      expect(rate.waitMs()).toBe(0);
      rate.take(1);
      clock.ms += 1_000 / 7;
    }
  });
});
