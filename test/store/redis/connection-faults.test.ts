// The Redis store while its connection breaks between a request and its reply: every call is answered in time,
// what it says of `applied` is true, and no change is made twice.
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { beforeAll, expect, test } from 'vitest';
import { randomFaults, startFaultProxy } from '../../helpers/fault-proxy.ts';
import { describeWith } from '../../helpers/needs.ts';
import { type RedisServer, startRedis } from '../../helpers/redis.ts';
import { SEED } from '../../helpers/seed.ts';
import { MODEL, createSessions, hammer } from '../hammer.ts';
import { IS_LONG, RECOVERY_MS, SETTLE_MS, TIMEOUT_MS, open, overAfter, parts } from './faults.ts';

/** Replies that the random faults must lose, so that the test shows something. */
const LOST_REPLIES_MIN = 21;

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

  test.each(['closed before', 'closed after', 'reset after', 'mute', 'blackhole', 'delay'] as const)(
    '%s: the change is made once and resolves',
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

  test.each(['create', 'writeTombstone'] as const)('%s: the change is made once if a reply is lost', async (kind) => {
    const { proxy, store, id } = await through();
    // A creation consists of three requests, the reply of each of which may be lost.
    for (let k = 0; k < 3; k++) {
      let count = 0;
      proxy.choose = (request) =>
        request.includes('evalsha') && count++ === k ? 'closed after' : undefined;
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

  test('control: with its default options ioredis increments a counter twice after the same fault', async () => {
    const { proxy } = await through();
    const plain = new Redis({ port: proxy.port });
    await plain.ping();
    let isUsed = false;
    proxy.choose = (request) => {
      if (isUsed || !request.includes('incr')) return undefined;
      isUsed = true;
      return 'closed after';
    };
    expect(await plain.incr('counter')).toBe(2);
    plain.disconnect();
  });

  test('control: with autoResendUnfulfilledCommands off and nothing else, ioredis never answers', async () => {
    const { proxy } = await through();
    const plain = new Redis({ port: proxy.port, autoResendUnfulfilledCommands: false });
    await plain.ping();
    proxy.choose = (request) => (request.includes('incr') ? 'closed after' : undefined);
    const response = plain.incr('counter').then(() => 'answered', () => 'refused');
    expect(await Promise.race([response, sleep(2 * TIMEOUT_MS, 'silent')])).toBe('silent');
    plain.disconnect();
  });

  test('control: without the nonce a change whose reply was lost is taken for a conflict', async () => {
    const { proxy, id } = await through();
    const text = `if redis.call('HGET', KEYS[1], 'r') ~= ARGV[1] then return 0 end
      redis.call('HSET', KEYS[1], 'r', ARGV[2]) return 1`;
    const plain = new Redis({ port: proxy.port });
    const sha = createHash('sha1').update(text).digest('hex');
    await server.admin.script('LOAD', text);
    proxy.choose = once('closed after');
    expect(await plain.evalsha(sha, 1, `carryover:{${id}}:s`, '0', '1')).toBe(0);
    expect(await server.admin.hget(`carryover:{${id}}:s`, 'r')).toBe('1');
    plain.disconnect();
  });

  test('a change is unknown, in time, when a reply is lost and Redis stays unreachable', async () => {
    const { proxy, store, id } = await through();
    const { revision } = (await store.read(id))!;
    proxy.choose = (request) => {
      if (!request.includes('evalsha')) return undefined;
      void proxy.refuse();
      return undefined;
    };
    // The connection is terminated before the request is forwarded, which the store cannot know.
    const startMs = performance.now();
    await expect(store.change(id, revision, parts('next'))).rejects.toMatchObject({
      code: 'store_unavailable',
      applied: 'unknown',
    });
    expect(performance.now() - startMs).toBeLessThan(SETTLE_MS);
    expect(store.problems()).toEqual([expect.stringMatching(/not connected.*ECONNREFUSED/)]);
    // From now on nothing is sent: the answer is `no`, at first at the deadline, then at once.
    for (let k = 0; k < 3; k++) {
      await expect(store.change(id, revision, parts('x'))).rejects.toMatchObject({ applied: 'no' });
    }
    await expect(store.create('new', parts('x'), 5, MODEL.id)).rejects.toMatchObject({ applied: 'no' });
    const failFastMs = performance.now();
    await expect(store.read(id)).rejects.toMatchObject({ code: 'store_unavailable', applied: 'no' });
    expect(performance.now() - failFastMs).toBeLessThan(TIMEOUT_MS / 2);
    proxy.choose = () => undefined;
    await proxy.open();
    const openedAtMs = performance.now();
    while (store.problems().length > 0) await sleep(5);
    expect(performance.now() - openedAtMs).toBeLessThan(RECOVERY_MS);
    expect(await store.change(id, (await store.read(id))!.revision, parts('back'))).toBeDefined();
  });

  test('every answer is true under many random faults', async () => {
    const { proxy, store, ids } = await through();
    proxy.delayMs = 30;
    proxy.choose = randomFaults(SEED, {
      'closed before': 0.01,
      'closed after': 0.02,
      'reset after': 0.01,
      mute: 0.001,
      blackhole: 0.001,
      delay: 0.01,
    });
    // On a slow machine it takes longer until enough replies were lost.
    const isTimeOver = overAfter(IS_LONG ? 60_000 : 6_000);
    const isTooLong = overAfter(75_000);
    const isEnough = () => proxy.counts['closed after'] >= LOST_REPLIES_MIN;
    const outcome = await hammer(store, ids, () => isTooLong() || (isTimeOver() && isEnough()));
    proxy.choose = () => undefined;
    const about = JSON.stringify({ seed: SEED, ...outcome, doneAtMs: undefined, counts: proxy.counts });
    expect(outcome.violations, about).toEqual([]);
    expect(outcome.slowestMs, about).toBeLessThan(SETTLE_MS);
    expect(isEnough(), about).toBe(true);
    expect(outcome.done, about).toBeGreaterThan(200);
  });
});
