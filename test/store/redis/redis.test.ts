// The Redis store: the contract of all stores, on one server and on a cluster.
import { beforeAll, expect, test } from 'vitest';
import { openRedisStore } from '../../../src/store/redis/redis.ts';
import { describeWith } from '../../helpers/needs.ts';
import { type RedisServer, startRedis, startRedisCluster } from '../../helpers/redis.ts';
import { storeContract } from '../contract.ts';

const TIMEOUT_MS = 2_000;

describeWith('redis-server', 'a store on one server', () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await startRedis({ appendfsync: 'everysec' });
  });
  const reopen = () => openRedisStore(server.url, { timeoutMs: TIMEOUT_MS });
  storeContract('redis', {
    open: async () => {
      await server.admin.flushall();
      return reopen();
    },
    reopen,
  });
});

describeWith('redis-server', 'a store on a cluster', () => {
  let nodes: RedisServer[];
  beforeAll(async () => {
    nodes = await startRedisCluster({ appendfsync: 'everysec' });
  });
  const reopen = () => openRedisStore(`${nodes[1]!.url}?cluster=true`, { timeoutMs: TIMEOUT_MS });
  storeContract('redis cluster', {
    open: async () => {
      for (const { admin } of nodes) await admin.flushall();
      return reopen();
    },
    reopen,
  });

  test('the records are spread over the nodes', async () => {
    expect(nodes).toHaveLength(3);
  });
});
