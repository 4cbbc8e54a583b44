// Two stores on one Redis, with keys of different prefixes: neither has, or changes, anything of the other.
import { describe, expect, onTestFinished, test } from 'vitest';
import { openRedisStore } from '../../../src/store/redis/redis.ts';
import { buildApp } from '../../helpers/app.ts';
import { describeWith } from '../../helpers/needs.ts';
import { startRedis, startRedisCluster } from '../../helpers/redis.ts';
import { MODEL } from '../hammer.ts';

const parts = (text: string) => ({ head: Buffer.from(text), slots: new Map([[0, Buffer.from(text)]]) });

describeWith('redis-server', 'two prefixes', () => {
  describe.each<[string, () => Promise<{ url: string; keys: () => Promise<string[]> }>]>([
    [
      'one server',
      async () => {
        const { url, admin } = await startRedis();
        return { url, keys: () => admin.keys('*') };
      },
    ],
    [
      'a cluster',
      async () => {
        const nodes = await startRedisCluster();
        const keys = async () => (await Promise.all(nodes.map(({ admin }) => admin.keys('*')))).flat();
        return { url: `${nodes[0]!.url}?cluster=true`, keys };
      },
    ],
  ])('on %s', (_, start) => {
    test('are two stores', async () => {
      const { url, keys } = await start();
      const open = async (prefix?: string) => {
        const store = await openRedisStore(url, { timeoutMs: 5_000, prefix });
        onTestFinished(() => store.close());
        return store;
      };
      const [a, b, first] = await Promise.all([open('a'), open('a:b'), open()]);
      const before = [await b.models.revision(), await b.secret()];
      await a.models.put(MODEL);
      await a.models.point('name', MODEL.id);
      const revision = await a.create('x', parts('of a'), 1, MODEL.id);
      expect(await a.change('x', revision!, parts('of a, changed'))).toBeDefined();
      expect([await b.models.revision(), await b.secret()]).toEqual(before);
      expect(await a.secret()).not.toBe(await b.secret());
      for (const other of [b, first]) {
        expect([await other.models.ids(), await other.models.names()]).toEqual([[], new Map()]);
        expect([await other.count(), await other.list(undefined, 9), await other.due(9, 9)]).toEqual([0, [], []]);
        expect(await other.read('x')).toBeUndefined();
        await other.forget('x');
        await other.postpone('x', 5);
        await expect(other.create('x', parts('y'), 1, MODEL.id)).rejects.toMatchObject({ code: 'model_not_found' });
      }
      await b.models.put(MODEL);
      expect(await b.create('x', parts('of b'), 1, MODEL.id)).toBeDefined();
      expect(await b.models.remove(MODEL.id)).toBe(false);
      expect(String((await a.read('x'))!.head)).toBe('of a, changed');
      expect([await a.count(), await b.count()]).toEqual([1, 1]);
      expect(a.now() - b.now()).toBeLessThan(1_000);
      for (const key of await keys()) expect(key).toMatch(/^(a|a:b|carryover):/);
    });
  });

  test('REDIS_PREFIX is that of the service; without it data of before is found', async () => {
    const { url, admin } = await startRedis();
    await buildApp({ STORE_URL: url, REDIS_PREFIX: 'mine' });
    expect(await admin.keys('*')).toEqual((await admin.keys('mine:*')).concat());
    expect(await admin.keys('mine:*')).not.toEqual([]);
    await buildApp({ STORE_URL: url });
    expect(await admin.keys('carryover:*')).not.toEqual([]);
  });
});
