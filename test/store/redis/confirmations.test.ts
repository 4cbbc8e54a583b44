// REDIS_WAIT_REPLICAS: a change is answered when replicas of Redis have it, and is else `unknown`.
import { expect, onTestFinished, test } from 'vitest';
import { parseRedisUrl } from '../../../src/settings/redis-url.ts';
import { Confirmations } from '../../../src/store/redis/confirmations.ts';
import { RedisKeys } from '../../../src/store/redis/keys.ts';
import { type RedisStoreOptions, openRedisStore } from '../../../src/store/redis/redis.ts';
import type { SessionStore } from '../../../src/store/store.ts';
import { describeLong } from '../../helpers/long.ts';
import { describeWith } from '../../helpers/needs.ts';
import { type RedisServer, startRedis, startRedisCluster } from '../../helpers/redis.ts';
import { MODEL } from '../hammer.ts';
import { outcomeOf } from '../sqlite/helpers.ts';

const TIMEOUT_MS = 10_000;
const WAITING = { replicas: 1, waitMs: 400 };

const parts = (text: string) => ({ head: Buffer.from(text), slots: new Map() });

async function open(url: string, options: Partial<RedisStoreOptions> = {}): Promise<SessionStore> {
  const store = await openRedisStore(url, { timeoutMs: TIMEOUT_MS, ...options });
  onTestFinished(() => store.close());
  return store;
}

/** A replica confirms what the primary writes only when it has caught up, and the primary has noticed that. */
async function inStep({ admin }: RedisServer): Promise<void> {
  const confirmed = async () => {
    await admin.call('SET', 'carryover:{models}:in-step', '', 'PX', '1').catch(() => {});
    return admin.call('WAIT', '1', '100');
  };
  await expect.poll(confirmed, { timeout: 20_000 }).toBe(1);
}

/** One server with a replica; `url` leads to the first. */
async function startPair() {
  const primary = await startRedis({ 'repl-diskless-sync-delay': '0' });
  const replica = await startRedis({ replicaof: `127.0.0.1 ${primary.port}` });
  await inStep(primary);
  return { url: primary.url, primary, replica };
}

describeWith('redis-server', 'REDIS_WAIT_REPLICAS', () => {
  test('a change is answered while a replica has it, and is `unknown` while the replica stands still', async () => {
    const { url, replica } = await startPair();
    const [store, plain] = await Promise.all([open(url, { confirmations: WAITING }), open(url)]);
    expect(store.description).toContain('a change is answered when 1 of its replicas have it, within 400 ms');
    await store.models.put(MODEL);
    const first = await store.create('x', parts('0'), 1, MODEL.id);
    const second = await store.change('x', first!, parts('1'));
    expect(await replica.admin.hget('carryover:{x}:s', 'h')).toBe('1');

    replica.pause();
    const change = store.change('x', second!, parts('2'));
    expect(await outcomeOf(change)).toBe('store_unavailable unknown');
    await expect(change).rejects.toThrow(/Only 0 of the 1 replicas of Redis that REDIS_WAIT_REPLICAS asks for/);
    // The primary has it: a repeated key must not be answered with it either, as long as it could be lost.
    expect(await outcomeOf(store.read('x'))).toBe('store_unavailable no');
    expect(await outcomeOf(store.create('y', parts('y'), 1, MODEL.id))).toBe('store_unavailable no');
    // The control: who does not wait is answered, although a failover would lose it.
    const third = (await plain.read('x'))!;
    expect(String(third.head)).toBe('2');
    expect(await plain.change('x', third.revision, parts('3'))).toBeDefined();

    replica.resume();
    await expect.poll(async () => String((await store.read('x').catch(() => undefined))?.head), { timeout: 20_000 }).toBe('3');
    const { revision } = (await store.read('x'))!;
    expect(await store.change('x', revision, parts('4'))).toBeDefined();
    expect(await replica.admin.hget('carryover:{x}:s', 'h')).toBe('4');
  });

  test('requests that wait do not hold up others, and calls at once share the wait', async () => {
    const { url, replica } = await startPair();
    const store = await open(url, { confirmations: WAITING });
    await store.models.put(MODEL);
    const ids = Array.from({ length: 50 }, (_, k) => `s${k}`);
    const revisions = await Promise.all(ids.map((id) => store.create(id, parts(id), 1, MODEL.id)));
    replica.pause();
    const startMs = performance.now();
    const outcomes = ids.map((id, k) => outcomeOf(store.change(id, revisions[k]!, parts('later'))));
    expect(await store.count()).toBe(50);
    expect(performance.now() - startMs).toBeLessThan(WAITING.waitMs);
    expect(new Set(await Promise.all(outcomes))).toEqual(new Set(['store_unavailable unknown']));
    expect(performance.now() - startMs).toBeLessThan(10 * WAITING.waitMs);
    replica.resume();
  });

  test('another primary confirms nothing of what the one before has answered', async () => {
    const { url, primary } = await startPair();
    const confirmations = new Confirmations(parseRedisUrl(url), new RedisKeys('p'), WAITING);
    onTestFinished(() => confirmations.close());
    const deadline = () => performance.now() + TIMEOUT_MS;
    const begun = await confirmations.begin('p:{x}:s', deadline());
    await begun.expect(deadline(), 'unknown');
    // As in a failover: the connection breaks, and the next one leads to a server that has a replica as well.
    await primary.admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    const isConfirmedAgain = async () => {
      const next = await confirmations.begin('p:{x}:s', deadline());
      return next.expect(deadline(), 'unknown').then(
        () => true,
        () => false,
      );
    };
    await expect.poll(isConfirmedAgain, { timeout: 20_000 }).toBe(true);
    await expect(begun.expect(deadline(), 'unknown')).rejects.toMatchObject({ applied: 'unknown' });
  });

  describeLong('on a cluster', () => {
    test('the node of the record is asked', async () => {
      const nodes = await startRedisCluster({ 'repl-diskless-sync-delay': '0' });
      const url = `${nodes[0]!.url}?cluster=true`;
      const plain = await open(url);
      await plain.models.put(MODEL);
      const ids = Array.from({ length: 12 }, (_, k) => `s${k}`);
      for (const id of ids) await plain.create(id, parts('0'), 1, MODEL.id);
      // Only the first node has a replica.
      const replica = await startRedis({ 'cluster-enabled': 'yes', 'cluster-node-timeout': '2000' });
      const bus = (await nodes[0]!.admin.config('GET', 'cluster-port'))[1]!;
      await replica.admin.call('CLUSTER', 'MEET', '127.0.0.1', nodes[0]!.port, bus);
      const primaryId = String(await nodes[0]!.admin.call('CLUSTER', 'MYID'));
      await expect
        .poll(() => replica.admin.call('CLUSTER', 'REPLICATE', primaryId).catch(String), { timeout: 20_000 })
        .toBe('OK');
      await inStep(nodes[0]!);
      const store = await open(url, { confirmations: { ...WAITING, waitMs: 1_500 } });
      const change = async (id: string) => outcomeOf(store.change(id, (await plain.read(id))!.revision, parts('1')));
      const outcomes = await Promise.all(ids.map(change));
      const onFirst = new Set(await nodes[0]!.admin.keys('carryover:*:s'));
      const expected = ids.map((id) => (onFirst.has(`carryover:{${id}}:s`) ? 'ok' : 'store_unavailable unknown'));
      expect(outcomes).toEqual(expected);
      expect(new Set(expected).size).toBe(2);
    });
  });
});
