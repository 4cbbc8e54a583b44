// The Redis store while a node of a cluster fails: the sessions of the other nodes are served.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { SessionStore } from '../../../src/store/store.ts';
import { describeWith } from '../../helpers/needs.ts';
import { startRedisCluster } from '../../helpers/redis.ts';
import { createSessions, hammer } from '../hammer.ts';
import { SETTLE_MS, open } from './faults.ts';

describeWith('redis-server', 'a cluster that breaks', () => {
  test('a paused, then killed node: sessions of the other nodes are served, and every answer is true', async () => {
    const nodes = await startRedisCluster({ appendfsync: 'always', 'cluster-require-full-coverage': 'no' });
    const store = await open(`${nodes[0]!.url}?cluster=true`);
    const ids = await createSessions(store, 24);
    let isOver = false;
    const load = hammer(store, ids, () => isOver);
    await sleep(300);
    const victim = nodes[2]!;
    victim.pause();
    await sleep(2_000);
    expect(store.problems()).toEqual([`Redis at 127.0.0.1:${victim.port} does not answer`]);
    victim.resume();
    await untilUsable(store);
    await victim.kill();
    await sleep(1_000);
    const deadMs = performance.now();
    await victim.start();
    await untilUsable(store);
    await sleep(500);
    isOver = true;
    const outcome = await load;
    expect(outcome.violations).toEqual([]);
    expect(outcome.slowestMs).toBeLessThan(SETTLE_MS);
    // Those of the other two nodes were served all the time, each with an fsync, as fast as the machine is.
    const whileDead = outcome.doneAtMs.filter((ms) => ms > deadMs - 800 && ms < deadMs);
    expect(whileDead.length).toBeGreaterThan(5);
  });
});

async function untilUsable(store: SessionStore): Promise<void> {
  const endMs = performance.now() + 15_000;
  while (store.problems().length > 0) {
    if (performance.now() > endMs) throw new Error(store.problems().join('; '));
    await sleep(20);
  }
}
