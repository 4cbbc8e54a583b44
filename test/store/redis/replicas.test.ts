// Replicas of the service on one Redis: of two changes of one revision exactly one is made, what one replica
// registers the others see, and what a crashed one has left is removed. REDIS_LONG=true runs more rounds.
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterEach, beforeAll, expect, test, vi } from 'vitest';
import { openRedisStore } from '../../../src/store/redis/redis.ts';
import { CHANGE, DONE, NONCE_BYTES, TOO_OLD, PIN, REFUSED } from '../../../src/store/redis/record-scripts.ts';
import type { SessionStore } from '../../../src/store/store.ts';
import { pseudoRandom } from '../../../src/wasm/pseudo-random.ts';
import { startFaultProxy } from '../../helpers/fault-proxy.ts';
import { runs } from '../../helpers/long.ts';
import { describeWith } from '../../helpers/needs.ts';
import { type RedisServer, startRedis } from '../../helpers/redis.ts';
import { MODEL, countOf, createSessions } from '../hammer.ts';

const ROUNDS = process.env.REDIS_LONG === 'true' ? 10_000 : runs(1_000);
const CLIENTS = 8;

const parts = (text: string) => ({ head: Buffer.from(text), slots: new Map([[0, Buffer.from(text)]]) });

describeWith('redis-server', 'two replicas', () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await startRedis({ appendfsync: 'everysec' });
  });
  const stores: SessionStore[] = [];
  afterEach(() => Promise.all(stores.splice(0).map((store) => store.close())));

  async function openTwo(): Promise<[SessionStore, SessionStore]> {
    await server.admin.flushall();
    const open = () => openRedisStore(server.url, { timeoutMs: 5_000 });
    const [a, b] = await Promise.all([open(), open()]);
    stores.push(a, b);
    return [a, b];
  }

  test(`${2 * CLIENTS} clients race on one record for ${ROUNDS} rounds: each has one winner`, async () => {
    const both = await openTwo();
    const [id] = await createSessions(both[0], 1);
    for (let round = 0; round < ROUNDS; round++) {
      const { revision } = (await both[round % 2]!.read(id!))!;
      const heads = both.flatMap((store, k) =>
        Array.from({ length: CLIENTS }, (_, n) => ({ store, text: `${round} ${k} ${n}` })),
      );
      const wins = await Promise.all(
        heads.map(({ store, text }) => store.change(id!, revision, parts(text))),
      );
      expect(wins.filter(Boolean)).toHaveLength(1);
      const record = await both[round % 2]!.read(id!);
      expect(record!.revision).toBe(wins.find(Boolean));
      expect(countOf(record!.revision)).toBe(round + 1);
      const { text } = heads[wins.findIndex(Boolean)]!;
      expect(String(record!.head)).toBe(text);
      expect(String(record!.slots.get(0))).toBe(text);
    }
  });

  test('control: reading, comparing and writing separately lets two clients win', async () => {
    await server.admin.flushall();
    const clients = [new Redis(server.port), new Redis(server.port)];
    const change = async (redis: Redis, revision: number) => {
      if (Number(await redis.hget('record', 'r')) !== revision) return false;
      await redis.hset('record', 'r', revision + 1);
      return true;
    };
    let forks = 0;
    for (let revision = 0; revision < 50; revision++) {
      const calls = clients.flatMap((redis) =>
        Array.from({ length: CLIENTS }, () => change(redis, revision)),
      );
      if ((await Promise.all(calls)).filter(Boolean).length > 1) forks++;
    }
    expect(forks).toBeGreaterThan(0);
    for (const redis of clients) redis.disconnect();
  });

  test('a change that is sent again is recognised among the last 16, and later answered with TOO_OLD', async () => {
    const [store] = await openTwo();
    const [id] = await createSessions(store, 1);
    const first = (await store.read(id!))!.revision;
    const newestNonce = async () => {
      const nonces = await server.admin.hgetBuffer(`carryover:{${id}}:s`, 'n');
      return nonces!.subarray(0, NONCE_BYTES);
    };
    const deliver = async (count: number, nonce: string) =>
      server.admin.eval(
        CHANGE.source,
        1,
        `carryover:{${id}}:s`,
        count,
        await newestNonce(),
        count + 1,
        nonce,
        `head ${nonce}`,
      );
    expect(await deliver(0, 'nonce--0')).toBe(DONE);
    for (let revision = 1; revision <= 15; revision++) {
      expect(await deliver(revision, `other${String(revision).padStart(3, '0')}`)).toBe(DONE);
      expect(await deliver(0, 'nonce--0')).toBe(DONE);
      expect(await deliver(0, 'another0')).toBe(REFUSED);
      expect(countOf((await store.read(id!))!.revision)).toBe(revision + 1);
    }
    await deliver(16, 'other016');
    expect(await deliver(0, 'nonce--0')).toBe(TOO_OLD);
    expect(await deliver(99, 'too-soon')).toBe(REFUSED);
    // A change that is sent for the first time so late is a conflict.
    expect(await store.change(id!, first, parts('late'))).toBeUndefined();
  });

  test('the stores use the clock of Redis, whatever the clocks of their computers are', async () => {
    const open = () => openRedisStore(server.url, { timeoutMs: 2_000 });
    const first = await open();
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 2 * 24 * 3_600_000 });
    const second = await open();
    stores.push(first, second);
    expect(Math.abs(second.now() - first.now())).toBeLessThan(60_000);
    // Control: this computer's clock is two days ahead.
    expect(Date.now() - second.now()).toBeGreaterThan(24 * 3_600_000);
    vi.useRealTimers();
  });

  test('a model that one store registers is seen by the other, and only that changes its revision', async () => {
    const [a, b] = await openTwo();
    const [aBefore, bBefore] = [await a.models.revision(), await b.models.revision()];
    await a.models.put(MODEL);
    await a.models.point('name', MODEL.id);
    await a.models.point('name', MODEL.id);
    expect(await a.models.revision()).toBe(aBefore);
    const bAfter = await b.models.revision();
    expect(bAfter).not.toBe(bBefore);
    expect(await b.models.ids()).toEqual([MODEL.id]);
    expect(await b.models.names()).toEqual(new Map([['name', MODEL.id]]));
    expect(String((await b.models.get(MODEL.id))!.file)).toBe(String(MODEL.file));
    const revision = await b.create('x', parts('x'), 5, MODEL.id);
    expect(await a.models.remove(MODEL.id)).toBe(false);
    expect(await b.models.revision()).toBe(bAfter);
    await a.writeTombstone('x', revision!, Buffer.from(''), 5);
    expect(await b.models.remove(MODEL.id)).toBe(true);
    expect(await a.models.revision()).not.toBe(aBefore);
    expect((await a.models.names()).size).toBe(0);
  });

  test('a server that lost changes and got as many others has another revision', async () => {
    const [a, b] = await openTwo();
    const other = { ...MODEL, id: 'sha256:other' };
    await a.models.put(MODEL);
    const before = await a.models.revision();
    // As many changes as were lost, made by another before this one looks again.
    await server.admin.flushall();
    await b.models.put(other);
    expect(await b.models.ids()).toEqual([other.id]);
    expect(await a.models.revision()).not.toBe(before);
  });

  test('no name is given to a model that another is removing', async () => {
    const [a] = await openTwo();
    await a.models.put({ ...MODEL, isKept: false });
    await server.admin.del(`carryover:{${MODEL.id}}:file`);
    expect(await a.models.ids()).toEqual([MODEL.id]);
    await expect(a.models.point('name', MODEL.id)).rejects.toMatchObject({ code: 'model_not_found' });
    expect((await a.models.names()).size).toBe(0);
  });

  test('a model of many megabytes is sent in chunks, and sessions are changed between them', async () => {
    const [a, b] = await openTwo();
    const [id] = await createSessions(a, 1);
    const file = Buffer.alloc(20 * 1024 * 1024 + 5);
    for (let k = 0; k < file.length; k += 4096) file.writeUInt32LE(k, k);
    const puts = { left: 3 };
    const put = Promise.all(
      [a, b, a].map(async (store) => {
        await store.models.put({ ...MODEL, id: 'big', file });
        puts.left--;
      }),
    );
    let { revision } = (await a.read(id!))!;
    let steps = 0;
    for (; puts.left > 0; steps++) revision = (await a.change(id!, revision, parts(`${steps}`)))!;
    await put;
    expect(steps).toBeGreaterThan(10);
    expect(Buffer.from((await b.models.get('big'))!.file).equals(file)).toBe(true);
    expect(await server.admin.keys('*upload*')).toEqual([]);
    expect(await server.admin.pttl('carryover:{big}:file')).toBe(-1);
    await a.models.put({ ...MODEL, id: 'empty', file: Buffer.alloc(0) });
    expect((await b.models.get('empty'))!.file).toHaveLength(0);
    expect(await a.models.ids()).toEqual([MODEL.id, 'big', 'empty']);
  });

  test('putting, removing, pinning and naming at once leaves no model incomplete', async () => {
    const both = await openTwo();
    const random = pseudoRandom(7);
    const chance = () => (random() + 1) / 2;
    const ids = ['m1', 'm2'];
    for (let round = 0; round < runs(100); round++) {
      const created: string[] = [];
      await Promise.all(
        Array.from({ length: 12 }, async (_, k) => {
          const store = both[k % 2]!;
          const id = ids[Math.floor(chance() * 2)]!;
          const dice = chance();
          if (dice < 0.4) return store.models.put({ ...MODEL, id });
          if (dice < 0.7) return store.models.remove(id);
          const session = `s${round}-${k}`;
          const isDone = await (dice < 0.85
            ? store.models.point(`n${k}`, id)
            : store.create(session, parts(id), 9e12, id)
          ).then(() => true, () => false);
          if (isDone && dice >= 0.85) created.push(session);
          return undefined;
        }),
      );
      const listed = new Set(await both[0].models.ids());
      for (const id of ids) {
        const model = await both[1].models.get(id);
        if (listed.has(id)) expect(model).toBeDefined();
      }
      for (const target of (await both[0].models.names()).values()) expect(listed).toContain(target);
      for (const session of created) {
        const id = String((await both[0].read(session))!.head);
        expect(await both[0].models.get(id)).toBeDefined();
        expect(await both[0].models.remove(id)).toBe(false);
        await both[0].writeTombstone(session, (await both[0].read(session))!.revision, Buffer.from(''), 5);
        await both[0].forget(session);
      }
    }
  });

  test('records that a crash left between two writes are neither listed nor kept', async () => {
    const [store] = await openTwo();
    await store.models.put(MODEL);
    await store.create('half', parts('x'), 100, MODEL.id);
    // As if its creation had ended before the record was written.
    await server.admin.del('carryover:{half}:s');
    expect(await store.list(undefined, 10)).toEqual([]);
    expect(await store.read('half')).toBeUndefined();
    expect(await store.due(100, 10)).toEqual(['half']);
    expect(await store.models.remove(MODEL.id)).toBe(false);
    await store.forget('half');
    expect(await store.due(100, 10)).toEqual([]);
    expect(await store.count()).toBe(0);
    expect(await store.models.remove(MODEL.id)).toBe(true);
    const left = (await server.admin.keys('*')).toSorted();
    expect(left).toEqual(['carryover:{models}:revision']);
  });

  test('a session that is due before its record is written is not erased', async () => {
    const proxy = await startFaultProxy(server.port);
    proxy.delayMs = 200;
    // Between the index of the record and the record itself.
    proxy.choose = (request) => (request.includes(PIN.sha) ? 'delay' : undefined);
    const [, sweeping] = await openTwo();
    const making = await openRedisStore(`redis://127.0.0.1:${proxy.port}`, { timeoutMs: 2_000 });
    stores.push(making);
    await making.models.put(MODEL);
    const nowMs = making.now();
    const made = making.create('x', parts('x'), nowMs, MODEL.id);
    while (!(await sweeping.due(nowMs, 10)).includes('x')) await sleep(5);
    await sweeping.forget('x');
    expect(await made).toBeDefined();
    expect(await sweeping.due(nowMs, 10)).toEqual(['x']);
    expect((await sweeping.list(undefined, 10)).map(({ id }) => id)).toEqual(['x']);
    expect(await sweeping.models.remove(MODEL.id)).toBe(false);
  });

  test('a tombstone is complete after a crash before its index was removed', async () => {
    const [store] = await openTwo();
    await store.models.put(MODEL);
    const revision = await store.create('x', parts('x'), 100, MODEL.id);
    const [pins] = await server.admin.keys('*:pins');
    const [ids] = await server.admin.keys('*index*:ids');
    const [entry] = await server.admin.zrange(ids!, '0', '-1');
    await store.writeTombstone('x', revision!, Buffer.from('gone'), 50);
    await server.admin.sadd(pins!, 'x');
    await server.admin.zadd(ids!, 0, entry!);
    expect(await store.list(undefined, 10)).toEqual([]);
    expect(await store.due(50, 10)).toEqual(['x']);
    await store.forget('x');
    expect(await store.count()).toBe(0);
    expect(await store.models.remove(MODEL.id)).toBe(true);
  });

  const DAY_MS = 24 * 3_600_000;

  test('Redis erases a tombstone that is not forgotten, a day after it is due', async () => {
    const [store] = await openTwo();
    const [id] = await createSessions(store, 1);
    const key = `carryover:{${id}}:s`;
    await store.writeTombstone(id!, (await store.read(id!))!.revision, Buffer.from('gone'), Date.now() + 3_600_000);
    const leftMs = await server.admin.pttl(key);
    expect(leftMs).toBeGreaterThan(DAY_MS);
    expect(leftMs).toBeLessThan(26 * 3_600_000);
  });

  test('Redis erases a live record 30 days after it is due; each change, and postponing it, begin that anew', async () => {
    const [store] = await openTwo();
    await store.models.put(MODEL);
    const key = 'carryover:{x}:s';
    const revision = await store.create('x', parts('x'), store.now() + 5 * DAY_MS, MODEL.id);
    const expectDays = async (days: number) => {
      expect(Math.abs((await server.admin.pttl(key)) - days * DAY_MS)).toBeLessThan(10_000);
    };
    await expectDays(35);
    await server.admin.pexpire(key, 3 * DAY_MS);
    await store.change('x', revision!, parts('y'));
    await expectDays(35);
    await server.admin.pexpire(key, 3 * DAY_MS);
    await store.postpone('x', store.now() + 9 * DAY_MS);
    await expectDays(39);
    await store.postpone('x', store.now() + 1 * DAY_MS);
    await expectDays(35);
    // Not with every change: it would be one more command in the log of Redis.
    await server.admin.pexpire(key, 34.5 * DAY_MS);
    await store.change('x', (await store.read('x'))!.revision, parts('z'));
    await expectDays(34.5);
  });

  test('a record of an earlier version has no such time, and gets none', async () => {
    const [store] = await openTwo();
    await store.models.put(MODEL);
    const key = 'carryover:{x}:s';
    const revision = await store.create('x', parts('x'), 1, MODEL.id);
    await server.admin.hdel(key, 'e');
    await server.admin.persist(key);
    await store.change('x', revision!, parts('y'));
    await store.postpone('x', store.now() + DAY_MS);
    expect(await server.admin.pttl(key)).toBe(-1);
  });

  test('of a record that Redis has erased nothing remains after the sweep', async () => {
    const [store] = await openTwo();
    await store.models.put(MODEL);
    for (const id of ['a', 'b']) await store.create(id, parts(id), 1, MODEL.id);
    await server.admin.pexpire('carryover:{a}:s', 1);
    await expect.poll(() => server.admin.exists('carryover:{a}:s')).toBe(0);
    expect(await store.read('a')).toBeUndefined();
    expect((await store.list(undefined, 9)).map(({ id }) => id)).toEqual(['b']);
    expect((await store.list(undefined, 9, MODEL.id)).map(({ id }) => id)).toEqual(['b']);
    expect(await store.due(1, 9)).toEqual(['a', 'b']);
    for (const id of ['a', 'b']) await store.forget(id);
    expect(await store.count()).toBe(1);
    expect(await server.admin.smembers(`carryover:{${MODEL.id}}:pins`)).toEqual(['b']);
  });
});
