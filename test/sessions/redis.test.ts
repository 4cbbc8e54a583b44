// Two replicas of the service on one Redis, which is killed while connections to it break: every acknowledged change
// is stored, once, with the same bits. (The store alone: test/store/redis/.) REDIS_LONG=true kills it more often.
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { createApp } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';
import { type FaultProxy, randomFaults, startFaultProxy } from '../helpers/fault-proxy.ts';
import { sized } from '../helpers/long.ts';
import { describeWith } from '../helpers/needs.ts';
import { startRedis } from '../helpers/redis.ts';
import { SEED } from '../helpers/seed.ts';
import { KNOWN_SPEEDS } from '../helpers/speeds.ts';
import { waitForAnswers } from './crash.ts';
import { Traffic, type TrafficReport } from './traffic.ts';

const KILLS = process.env.REDIS_LONG === 'true' ? 50 : sized({ short: 2, long: 3 });
const BETWEEN_MS_MAX = 300;
const STORE_TIMEOUT_MS = 2_000;
/** Of the requests of one replica to Redis. None takes long, so that no key is forgotten before it is repeated. */
const FAULTS = { 'closed before': 0.02, 'closed after': 0.04, 'reset after': 0.02, delay: 0.02 };

interface RedisReport extends TrafficReport {
  /** Connections that the proxy broke. */
  readonly broken: number;
}

/** @param options of redis.conf */
async function runOnRedis(options: Record<string, string>, kills: number): Promise<RedisReport> {
  const redis = await startRedis(options);
  const proxy = await startFaultProxy(redis.port);
  proxy.delayMs = 30;
  const services = [await startService(redis.url), await startService(`redis://127.0.0.1:${proxy.port}`)] as const;
  const traffic = new Traffic({
    clients: 16,
    sessions: 50,
    ports: [services[0].port, services[1].port],
    seed: SEED,
    withKeys: true,
    pauseMs: 50,
  });
  await traffic.createSessions();
  proxy.choose = randomFaults(SEED, FAULTS);
  traffic.start();
  const random = pseudoRandom(SEED);
  for (let kill = 0; kill < kills; kill++) {
    await waitForAnswers(traffic);
    await sleep(((random() + 1) / 2) * BETWEEN_MS_MAX);
    await redis.kill();
    // In turn: back at once, so that calls wait for it, and only when calls were refused, which are then repeated.
    if (kill % 2 === 1) await waitForRefusal(traffic);
    await redis.start();
  }
  await waitForAnswers(traffic);
  while (brokenBy(proxy) <= kills && !traffic.isOver) await sleep(10);
  proxy.choose = () => undefined;
  await traffic.stop();
  const report = await traffic.check();
  await Promise.all(services.map(({ close }) => close()));
  await proxy.close();
  await redis.stop();
  return { ...report, broken: brokenBy(proxy) };
}

async function waitForRefusal(traffic: Traffic): Promise<void> {
  const before = traffic.repeated;
  while (traffic.repeated === before && !traffic.isOver) await sleep(2);
}

/** In this process, with a port and a connection to Redis of its own. */
async function startService(storeUrl: string) {
  const config = readConfig({ WORKERS: '1', STORE_URL: storeUrl, STORE_TIMEOUT_MS: String(STORE_TIMEOUT_MS) });
  const app = await createApp(config, { isPrepared: false, ...KNOWN_SPEEDS });
  await app.http.listen({ host: '127.0.0.1', port: 0 });
  return { port: (app.http.server.address() as AddressInfo).port, close: () => app.close() };
}

function brokenBy({ counts }: FaultProxy): number {
  return counts['closed before'] + counts['closed after'] + counts['reset after'];
}

describeWith('redis-server', 'two replicas of the service', () => {
  const timeout = 180_000 + KILLS * 10_000;

  test(`${KILLS} kills of Redis lose no change and apply none twice`, { timeout }, async () => {
    const report = await runOnRedis({ appendfsync: 'always' }, KILLS);
    const { acknowledged, forks, refused, repeated, replayed, broken, lost, doubled } = report;
    console.log(
      `${KILLS} kills of Redis, ${broken} connections broken (SEED=${SEED}): ${acknowledged} acknowledged changes and ` +
        `${forks} forks, ${refused} refused, ${repeated} attempts repeated, ${replayed} answered again; ` +
        `${lost} lost, ${doubled} doubled`,
    );
    expect(report.remarks).toEqual([]);
    const none = { lost: 0, doubled: 0, refusedButApplied: 0, unknownApplied: 0, wrong: 0, forksTooMany: 0 };
    expect(report).toMatchObject(none);
    expect(acknowledged).toBeGreaterThan(KILLS * 5);
    expect(repeated).toBeGreaterThan(0);
    expect(broken).toBeGreaterThan(KILLS);
  });

  test('control: without an append-only file changes are lost, and they are counted', async () => {
    const report = await runOnRedis({}, 1);
    expect(report.acknowledged).toBeGreaterThan(0);
    expect(report.lost).toBe(report.acknowledged + report.forks);
  });
});
