// The Redis store while Redis stops, loses data, is full or fails over: every call is answered in time, what it
// says of `applied` is true, nothing is lost or made twice, and the store recovers by itself.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { startFaultProxy } from '../../helpers/fault-proxy.ts';
import { describeWith } from '../../helpers/needs.ts';
import { startRedis } from '../../helpers/redis.ts';
import { MODEL, changeCurrent, createSessions, hammer } from '../hammer.ts';
import { IS_LONG, RECOVERY_MS, SETTLE_MS, open, overAfter, parts } from './faults.ts';

describeWith('redis-server', 'a server that stops', () => {
  test.each(IS_LONG ? [1, 4, 10, 60] : [1])('every answer is true while a server is paused for %d s', async (seconds) => {
    const server = await startRedis({ appendfsync: 'everysec' });
    const store = await open(server.url);
    const ids = await createSessions(store, 16);
    let isOver = false;
    const load = hammer(store, ids, () => isOver);
    await sleep(300);
    server.pause();
    const rssBytes = process.memoryUsage.rss();
    const pauseOver = overAfter(seconds * 1_000);
    if (seconds > 1) {
      await sleep(2_000);
      expect(store.problems()).toHaveLength(1);
    }
    while (!pauseOver()) await sleep(20);
    const growthBytes = process.memoryUsage.rss() - rssBytes;
    server.resume();
    const resumedAtMs = performance.now();
    while (store.problems().length > 0) await sleep(5);
    await sleep(1_000);
    isOver = true;
    const outcome = await load;
    expect(outcome.violations).toEqual([]);
    expect(outcome.slowestMs).toBeLessThan(SETTLE_MS);
    expect(outcome.doneAtMs.find((ms) => ms > resumedAtMs)! - resumedAtMs).toBeLessThan(RECOVERY_MS);
    expect(store.problems()).toEqual([]);
    expect(growthBytes).toBeLessThan(32 * 1024 * 1024);
  });

  test('no acknowledged change is lost when Redis is killed with appendfsync always', async () => {
    const server = await startRedis({ appendfsync: 'always' });
    const store = await open(server.url);
    const ids = await createSessions(store, 16);
    let isOver = false;
    const load = hammer(store, ids, () => isOver);
    const kills = IS_LONG ? 50 : 5;
    for (let k = 0; k < kills; k++) {
      await sleep(150 + 37 * (k % 5));
      await server.kill();
      await sleep(k % 3 === 0 ? 0 : 300);
      await server.start();
      const backAtMs = performance.now();
      while (store.problems().length > 0) await sleep(5);
      expect(performance.now() - backAtMs).toBeLessThan(RECOVERY_MS);
    }
    isOver = true;
    const outcome = await load;
    expect(outcome.violations).toEqual([]);
    expect(outcome.slowestMs).toBeLessThan(SETTLE_MS);
    expect(outcome.done).toBeGreaterThan(100);
  });

  test('control: without an append-only file the same test finds lost changes', async () => {
    const server = await startRedis();
    const store = await open(server.url);
    const ids = await createSessions(store, 4);
    expect(store.description).toMatch(/appendonly is off/);
    const over = overAfter(1_500);
    const load = hammer(store, ids, over);
    await sleep(300);
    await server.kill();
    await server.start();
    const { violations } = await load;
    expect(violations.join('\n')).toMatch(/lost/);
  });

  test('no call fails after SCRIPT FLUSH', async () => {
    const server = await startRedis();
    const store = await open(server.url);
    const ids = await createSessions(store, 8);
    const over = overAfter(1_000);
    const load = hammer(store, ids, over);
    let flushes = 0;
    for (; !over(); flushes++) {
      await server.admin.script('FLUSH');
      await sleep(2);
    }
    const outcome = await load;
    expect(outcome.violations).toEqual([]);
    expect([outcome.no, outcome.unknown]).toEqual([0, 0]);
    expect(flushes).toBeGreaterThan(50);
  });

  test('full memory: changes fail with store_full and are not applied; deletions work and free space', async () => {
    const server = await startRedis();
    const store = await open(server.url);
    const [a, b] = await createSessions(store, 2);
    await server.admin.config('SET', 'maxmemory', '1mb');
    const full = { code: 'store_full', applied: 'no' };
    const { revision } = (await store.read(a!))!;
    await expect(store.change(a!, revision, parts('x'))).rejects.toMatchObject(full);
    await expect(store.create('new', parts('x'), 9e12, MODEL.id)).rejects.toMatchObject(full);
    await expect(store.models.put({ ...MODEL, id: 'sha256:b' })).rejects.toMatchObject(full);
    expect((await store.read(a!))!.revision).toBe(revision);
    expect(await store.count()).toBe(2);
    expect(await store.writeTombstone(a!, revision, Buffer.from('gone'), 5)).toBe(true);
    expect(await store.due(5, 10)).toEqual([a]);
    await store.postpone(a!, 6);
    await store.forget(a!);
    expect(await store.read(a!)).toBeUndefined();
    expect((await store.list(undefined, 10)).map(({ id }) => id)).toEqual([b]);
    await server.admin.config('SET', 'maxmemory', '0');
    expect(await changeCurrent(store, b!, parts('x'))).toBeDefined();
    expect(await store.create('new', parts('x'), 9e12, MODEL.id)).toBeDefined();
  });

  test('a server that may evict sessions is not ready, and no session is created', async () => {
    const server = await startRedis({ 'maxmemory-policy': 'allkeys-lru' });
    const store = await open(server.url);
    await store.models.put(MODEL);
    expect(store.problems()).toEqual([expect.stringMatching(/may evict .*allkeys-lru/)]);
    await expect(store.create('new', parts('x'), 9e12, MODEL.id)).rejects.toMatchObject({
      code: 'store_unavailable',
      applied: 'no',
    });
    await server.admin.config('SET', 'maxmemory-policy', 'noeviction');
    await vi.waitUntil(() => store.problems().length === 0, { timeout: 20_000 });
    expect(await store.create('new', parts('x'), 9e12, MODEL.id)).toBeDefined();
    await server.admin.config('SET', 'maxmemory-policy', 'volatile-ttl');
    await vi.waitUntil(() => store.problems().length === 1, { timeout: 20_000 });
    expect(await changeCurrent(store, 'new', parts('y'))).toBeDefined();
  });

  test('a failover is followed: the address leads to the new primary, the old connection to a replica', async () => {
    const options = { 'repl-diskless-sync-delay': '0' };
    const [before, after] = [await startRedis(options), await startRedis(options)];
    await after.admin.replicaof('127.0.0.1', before.port);
    while (!(await after.admin.info('replication')).includes('master_link_status:up')) await sleep(20);
    const proxy = await startFaultProxy(before.port);
    const store = await open(`redis://127.0.0.1:${proxy.port}`);
    const [id] = await createSessions(store, 1);
    const revision = await changeCurrent(store, id!, parts('before'));
    while ((await after.admin.hget(`carryover:{${id}}:s`, 'r')) !== '1') await sleep(20);
    await after.admin.replicaof('NO', 'ONE');
    await before.admin.replicaof('127.0.0.1', after.port);
    const startMs = performance.now();
    // The address still leads to the server that is a replica now: changes fail, and problems() gives the reason.
    await expect(store.change(id!, revision!, parts('x'))).rejects.toMatchObject({
      code: 'store_unavailable',
      applied: 'no',
    });
    expect(performance.now() - startMs).toBeLessThan(SETTLE_MS);
    expect(store.problems()).toEqual([expect.stringMatching(/replica/)]);
    proxy.targetPort = after.port;
    const redirectedAtMs = performance.now();
    while (store.problems().length > 0) await sleep(5);
    expect(performance.now() - redirectedAtMs).toBeLessThan(RECOVERY_MS);
    expect(await store.change(id!, revision!, parts('after'))).toBeDefined();
    expect(await after.admin.hget(`carryover:{${id}}:s`, 'r')).toBe('2');
  });
});
