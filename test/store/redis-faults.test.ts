// The Redis store while Redis, or the way to it, fails: every call is answered in time and truthfully,
// nothing is lost or done twice, and it goes on by itself. REDIS_LONG=true takes longer and more.
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { openRedisStore } from '../../src/store/redis/redis.ts';
import type { SessionStore } from '../../src/store/store.ts';
import { randomFaults, startFaultProxy } from '../helpers/fault-proxy.ts';
import { describeWith } from '../helpers/needs.ts';
import { type RedisServer, startRedis, startRedisCluster } from '../helpers/redis.ts';
import { MODEL, changeAsItIs, createSessions, hammer } from './hammer.ts';
import { SEED } from '../helpers/seed.ts';

const IS_LONG = process.env.REDIS_LONG === 'true';
const TIMEOUT_MS = 1_000;
const SETTLE_MS = TIMEOUT_MS + 250;
const RECOVERY_MS = 2_000;
/** Of the random faults: as many as make the test worth something. */
const LOST_REPLIES_MIN = 21;

const stores: SessionStore[] = [];
afterEach(() => Promise.all(stores.splice(0).map((store) => store.close())));

async function open(url: string, timeoutMs = TIMEOUT_MS): Promise<SessionStore> {
  const store = await openRedisStore(url, { timeoutMs });
  stores.push(store);
  return store;
}

const parts = (text: string) => ({ head: Buffer.from(text), slots: new Map() });
const overAfter = (ms: number) => {
  const endMs = performance.now() + ms;
  return () => performance.now() >= endMs;
};

describeWith('redis-server', 'a server that stops', () => {
  test.each(IS_LONG ? [1, 10, 60] : [1, 4])('paused for %d s', async (seconds) => {
    const server = await startRedis({ appendfsync: 'everysec' });
    const store = await open(server.url);
    const ids = await createSessions(store, 16);
    let resumedAtMs = Infinity;
    const load = hammer(store, ids, () => performance.now() > resumedAtMs + RECOVERY_MS);
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
    resumedAtMs = performance.now();
    const outcome = await load;
    expect(outcome.violations).toEqual([]);
    expect(outcome.slowestMs).toBeLessThan(SETTLE_MS);
    expect(outcome.doneAtMs.find((ms) => ms > resumedAtMs)! - resumedAtMs).toBeLessThan(RECOVERY_MS);
    expect(store.problems()).toEqual([]);
    expect(growthBytes).toBeLessThan(32 * 1024 * 1024);
  }, 90_000);

  test('killed and started again with appendfsync always: nothing answered is lost', async () => {
    const server = await startRedis({ appendfsync: 'always' });
    const store = await open(server.url);
    const ids = await createSessions(store, 16);
    let isOver = false;
    const load = hammer(store, ids, () => isOver);
    const kills = IS_LONG ? 50 : 8;
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
  }, 120_000);

  test('control: without a log the same harness finds the losses', async () => {
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

  test('SCRIPT FLUSH is not noticed', async () => {
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

  test('full memory: store_full, nothing applied; deleting works and makes room', async () => {
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
    expect(await changeAsItIs(store, b!, parts('x'))).toBeDefined();
    expect(await store.create('new', parts('x'), 9e12, MODEL.id)).toBeDefined();
  });

  test('a server that may evict: not ready, and no new sessions', async () => {
    const server = await startRedis({ 'maxmemory-policy': 'allkeys-lru' });
    const store = await open(server.url);
    await store.models.put(MODEL);
    expect(store.problems()).toEqual([expect.stringMatching(/may evict .*allkeys-lru/)]);
    await expect(store.create('new', parts('x'), 9e12, MODEL.id)).rejects.toMatchObject({
      code: 'store_unavailable',
      applied: 'no',
    });
    await server.admin.config('SET', 'maxmemory-policy', 'noeviction');
    await sleep(1_500);
    expect(store.problems()).toEqual([]);
    expect(await store.create('new', parts('x'), 9e12, MODEL.id)).toBeDefined();
    await server.admin.config('SET', 'maxmemory-policy', 'volatile-ttl');
    await sleep(1_500);
    expect(store.problems()).toHaveLength(1);
    expect(await changeAsItIs(store, 'new', parts('y'))).toBeDefined();
  });

  test('a failover: the address leads to the new primary, the old connection to a replica', async () => {
    const options = { 'repl-diskless-sync-delay': '0' };
    const [before, after] = [await startRedis(options), await startRedis(options)];
    await after.admin.replicaof('127.0.0.1', before.port);
    while (!(await after.admin.info('replication')).includes('master_link_status:up')) await sleep(20);
    const proxy = await startFaultProxy(before.port);
    const store = await open(`redis://127.0.0.1:${proxy.port}`);
    const [id] = await createSessions(store, 1);
    const revision = await changeAsItIs(store, id!, parts('before'));
    while ((await after.admin.hget(`carryover:{${id}}:s`, 'r')) !== '1') await sleep(20);
    await after.admin.replicaof('NO', 'ONE');
    await before.admin.replicaof('127.0.0.1', after.port);
    const startMs = performance.now();
    // The address still leads to what is a replica now: nothing can be changed, and that is said.
    await expect(store.change(id!, revision!, parts('x'))).rejects.toMatchObject({
      code: 'store_unavailable',
      applied: 'no',
    });
    expect(performance.now() - startMs).toBeLessThan(SETTLE_MS);
    expect(store.problems()).toEqual([expect.stringMatching(/replica/)]);
    proxy.targetPort = after.port;
    const movedAtMs = performance.now();
    while (store.problems().length > 0) await sleep(5);
    expect(performance.now() - movedAtMs).toBeLessThan(RECOVERY_MS);
    expect(await store.change(id!, revision!, parts('after'))).toBeDefined();
    expect(await after.admin.hget(`carryover:{${id}}:s`, 'r')).toBe('2');
  });
});

describeWith('redis-server', 'a connection that breaks', () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await startRedis({ appendfsync: 'everysec' });
  });

  async function through(timeoutMs = TIMEOUT_MS) {
    await server.admin.flushall();
    const proxy = await startFaultProxy(server.port);
    const store = await open(`redis://127.0.0.1:${proxy.port}`, timeoutMs);
    const [id, ...more] = await createSessions(store, 8);
    const calls = async () => {
      const stats = await server.admin.info('commandstats');
      return Number(/cmdstat_hset:calls=(\d+)/.exec(stats)![1]);
    };
    return { proxy, store, id: id!, ids: [id!, ...more], calls };
  }

  /** The fault for the next script, and only for it. */
  const once = <Fault,>(fault: Fault) => {
    let isUsed = false;
    return (request: Buffer) => {
      if (isUsed || !request.includes('evalsha')) return undefined;
      isUsed = true;
      return fault;
    };
  };

  test.each(['cut before', 'cut after', 'reset after', 'mute', 'blackhole', 'delay'] as const)(
    '%s: the change is made once and answered with true',
    async (fault) => {
      const { proxy, store, id, calls } = await through();
      const { revision } = (await store.read(id))!;
      const before = await calls();
      proxy.choose = once(fault);
      const startMs = performance.now();
      const next = await store.change(id, revision, parts('next'));
      expect(next).toBeDefined();
      expect(performance.now() - startMs).toBeLessThan(SETTLE_MS);
      expect(proxy.counts[fault]).toBe(1);
      expect((await store.read(id))!.revision).toBe(next);
      expect((await calls()) - before).toBe(1);
      expect(await store.change(id, next!, parts('goes on'))).toBeDefined();
    },
  );

  test.each(['create', 'writeTombstone'] as const)('%s too is done once when its reply is lost', async (kind) => {
    const { proxy, store, id } = await through();
    // A creation is of three requests, of which each may be lost.
    for (let k = 0; k < 3; k++) {
      let count = 0;
      proxy.choose = (request) =>
        request.includes('evalsha') && count++ === k ? 'cut after' : undefined;
      const name = `new-${k}`;
      const revision = await store.create(name, parts('x'), 100, MODEL.id);
      expect(revision).toBeDefined();
      if (kind === 'create') continue;
      count = 0;
      expect(await store.writeTombstone(name, revision!, Buffer.from('gone'), 50)).toBe(true);
      expect(String((await store.read(name))!.head)).toBe('gone');
    }
    proxy.choose = () => undefined;
    const extra = kind === 'create' ? ['new-0', 'new-1', 'new-2'] : [];
    const listed = (await store.list(undefined, 100)).map(({ id: one }) => one);
    expect(listed.filter((one) => one.startsWith('new'))).toEqual(extra);
    expect(new Set(await store.due(100, 10))).toEqual(new Set(['new-0', 'new-1', 'new-2']));
    expect(await store.count()).toBe(8 + extra.length);
    expect(id).toBeDefined();
  });

  test('control: the same cut lets ioredis as it comes count twice', async () => {
    const { proxy } = await through();
    const plain = new Redis({ port: proxy.port });
    await plain.ping();
    let isUsed = false;
    proxy.choose = (request) => {
      if (isUsed || !request.includes('incr')) return undefined;
      isUsed = true;
      return 'cut after';
    };
    expect(await plain.incr('counter')).toBe(2);
    plain.disconnect();
  });

  test('control: told not to send again, and no more, ioredis never answers', async () => {
    const { proxy } = await through();
    const plain = new Redis({ port: proxy.port, autoResendUnfulfilledCommands: false });
    await plain.ping();
    proxy.choose = (request) => (request.includes('incr') ? 'cut after' : undefined);
    const answer = plain.incr('counter').then(() => 'answered', () => 'refused');
    expect(await Promise.race([answer, sleep(SETTLE_MS, 'silent')])).toBe('silent');
    plain.disconnect();
  });

  test('control: without the nonce a change whose reply was lost is denied', async () => {
    const { proxy, id } = await through();
    const text = `if redis.call('HGET', KEYS[1], 'r') ~= ARGV[1] then return 0 end
      redis.call('HSET', KEYS[1], 'r', ARGV[2]) return 1`;
    const plain = new Redis({ port: proxy.port });
    const sha = createHash('sha1').update(text).digest('hex');
    await server.admin.script('LOAD', text);
    proxy.choose = once('cut after');
    expect(await plain.evalsha(sha, 1, `carryover:{${id}}:s`, '0', '1')).toBe(0);
    expect(await server.admin.hget(`carryover:{${id}}:s`, 'r')).toBe('1');
    plain.disconnect();
  });

  test('the reply is lost and Redis stays away: unknown, in time', async () => {
    const { proxy, store, id } = await through();
    const { revision } = (await store.read(id))!;
    proxy.choose = (request) => {
      if (!request.includes('evalsha')) return undefined;
      void proxy.refuse();
      return undefined;
    };
    // Refusing cuts the connection before the request has been forwarded: nobody here can know.
    const startMs = performance.now();
    await expect(store.change(id, revision, parts('next'))).rejects.toMatchObject({
      code: 'store_unavailable',
      applied: 'unknown',
    });
    expect(performance.now() - startMs).toBeLessThan(SETTLE_MS);
    expect(store.problems()).toEqual([expect.stringMatching(/not connected.*ECONNREFUSED/)]);
    // From here on nothing is sent: 'no', at first after a while of waiting, then at once.
    for (let k = 0; k < 3; k++) {
      await expect(store.change(id, revision, parts('x'))).rejects.toMatchObject({ applied: 'no' });
    }
    await expect(store.create('new', parts('x'), 5, MODEL.id)).rejects.toMatchObject({ applied: 'no' });
    const failFastMs = performance.now();
    await expect(store.read(id)).rejects.toMatchObject({ code: 'store_unavailable', applied: 'no' });
    expect(performance.now() - failFastMs).toBeLessThan(100);
    proxy.choose = () => undefined;
    await proxy.open();
    const openedAtMs = performance.now();
    while (store.problems().length > 0) await sleep(5);
    expect(performance.now() - openedAtMs).toBeLessThan(RECOVERY_MS);
    expect(await store.change(id, (await store.read(id))!.revision, parts('back'))).toBeDefined();
  });

  test('faults at random, many: every answer is true', async () => {
    const { proxy, store, ids } = await through();
    proxy.delayMs = 30;
    proxy.choose = randomFaults(SEED, {
      'cut before': 0.01,
      'cut after': 0.02,
      'reset after': 0.01,
      mute: 0.001,
      blackhole: 0.001,
      delay: 0.01,
    });
    // On a slow machine it takes longer until enough replies were lost.
    const isTimeOver = overAfter(IS_LONG ? 60_000 : 6_000);
    const isTooLong = overAfter(75_000);
    const isEnough = () => proxy.counts['cut after'] >= LOST_REPLIES_MIN;
    const outcome = await hammer(store, ids, () => isTooLong() || (isTimeOver() && isEnough()));
    proxy.choose = () => undefined;
    const about = JSON.stringify({ seed: SEED, ...outcome, doneAtMs: undefined, counts: proxy.counts });
    expect(outcome.violations, about).toEqual([]);
    expect(outcome.slowestMs, about).toBeLessThan(SETTLE_MS);
    expect(isEnough(), about).toBe(true);
    expect(outcome.done, about).toBeGreaterThan(200);
  }, 90_000);
});

describeWith('redis-server', 'a cluster that breaks', () => {
  test('one node paused, then killed: the sessions of the others go on, all answers are true', async () => {
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
    await untilWell(store);
    await victim.kill();
    await sleep(1_000);
    const deadMs = performance.now();
    await victim.start();
    await untilWell(store);
    await sleep(500);
    isOver = true;
    const outcome = await load;
    expect(outcome.violations).toEqual([]);
    expect(outcome.slowestMs).toBeLessThan(SETTLE_MS);
    // Those of the other two nodes were served all the time.
    const whileDead = outcome.doneAtMs.filter((ms) => ms > deadMs - 800 && ms < deadMs);
    expect(whileDead.length).toBeGreaterThan(20);
  });
});

async function untilWell(store: SessionStore): Promise<void> {
  const endMs = performance.now() + 15_000;
  while (store.problems().length > 0) {
    if (performance.now() > endMs) throw new Error(store.problems().join('; '));
    await sleep(20);
  }
}
