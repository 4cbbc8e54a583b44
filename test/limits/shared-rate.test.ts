// A rate that processes share through Redis.
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Rate } from '../../src/limits/rate.ts';
import { type TakeLot, SharedRate } from '../../src/limits/shared-rate.ts';
import { openRedisStore } from '../../src/store/redis/redis.ts';
import { describeWith } from '../helpers/needs.ts';
import { startRedis, startRedisCluster } from '../helpers/redis.ts';

async function openTaker(url: string) {
  const store = await openRedisStore(url, { timeoutMs: 5_000 });
  onTestFinished(() => store.close());
  const calls = { count: 0 };
  const take: TakeLot = async (name, request) => {
    calls.count++;
    // On a busy machine an answer may be late, which is another test's subject.
    for (;;) {
      const taken = await store.takeTokens!(name, request).catch(() => undefined);
      if (taken) return taken;
    }
  };
  return { take, calls };
}

/** Takes one as often as it may, for a time. @returns how often */
async function flood(rates: readonly Rate[], ms: number): Promise<number> {
  const endMs = performance.now() + ms;
  let admitted = 0;
  const run = async (rate: Rate) => {
    while (performance.now() < endMs) {
      await rate.refill();
      for (let k = 0; k < 20 && rate.waitMs() === 0; k++) {
        rate.take(1);
        admitted++;
      }
      await sleep(1);
    }
  };
  await Promise.all(rates.map(run));
  return admitted;
}

describeWith('redis-server', 'two processes', () => {
  test.each(['one server', 'a cluster'])('share a rate of requests on %s, with few calls of the store', async (kind) => {
    const url = kind === 'one server' ? (await startRedis()).url : `${(await startRedisCluster())[0]!.url}?cluster=true`;
    const both = await Promise.all([openTaker(url), openTaker(url)]);
    const perS = 200;
    const rates = both.map(({ take }) => new SharedRate(perS, 'x', take));
    const seconds = 1.5;
    const admitted = await flood(rates, seconds * 1_000);
    const lots = 2 * (perS / 10);
    expect(admitted).toBeLessThanOrEqual(perS * (seconds + 0.3) + perS + lots);
    expect(admitted).toBeGreaterThan(perS * seconds * 0.6);
    const calls = both.reduce((sum, one) => sum + one.calls.count, 0);
    expect(calls).toBeLessThan(admitted / 4);
  });

  test('control: two that do not share admit twice as many', async () => {
    const { url } = await startRedis();
    const { take } = await openTaker(url);
    const rates = ['a', 'b'].map((name) => new SharedRate(200, name, take));
    expect(await flood(rates, 1_000)).toBeGreaterThan(2 * 200 * 1.5);
  });

  test('a debt that one makes keeps the other waiting, for as long as it lasts', async () => {
    const { url } = await startRedis();
    const both = await Promise.all([openTaker(url), openTaker(url)]);
    const [one, other] = [both[0], both[1]].map(({ take }) => new SharedRate(1_000, 'f', take));
    if (!one || !other) throw new Error('two are expected');
    await one.refill();
    expect(one.waitMs()).toBe(0);
    one.take(2_000);
    await expect
      .poll(async () => {
        await other.refill();
        return other.waitMs();
      })
      .toBeGreaterThan(300);
    expect(other.waitMs()).toBeLessThanOrEqual(1_300);
    await sleep(other.waitMs() + 5);
    await other.refill();
    expect(other.waitMs()).toBe(0);
  });

  test('who waits as long as it is told is admitted', async () => {
    const { url } = await startRedis();
    const { take } = await openTaker(url);
    const rate = new SharedRate(4, 'x', take);
    for (let k = 0; k < 4; k++) {
      await rate.refill();
      expect(rate.waitMs()).toBe(0);
      rate.take(1);
    }
    await rate.refill();
    const waitMs = rate.waitMs();
    expect(waitMs).toBeGreaterThan(100);
    expect(waitMs).toBeLessThanOrEqual(250);
    await sleep(waitMs + 2);
    await rate.refill();
    expect(rate.waitMs()).toBe(0);
  });
});

describe('when the store fails', () => {
  test('a process limits by itself, and asks again later', async () => {
    const clock = { ms: 0 };
    let isUp = false;
    let calls = 0;
    const take: TakeLot = async (_, { amount }) => {
      calls++;
      if (!isUp) throw new Error('down');
      return { granted: amount, waitMs: 0, left: 5 };
    };
    const rate = new SharedRate(10, 'x', take, () => clock.ms);
    let admitted = 0;
    for (let k = 0; k < 100; k++) {
      await rate.refill();
      if (rate.waitMs() > 0) continue;
      rate.take(1);
      admitted++;
    }
    expect([admitted, calls]).toEqual([10, 1]);
    isUp = true;
    clock.ms = 1_001;
    await rate.refill();
    expect([rate.waitMs(), calls]).toEqual([0, 2]);
  });
});
