// What the store relies on in ioredis beyond its documentation: whether a command was written to a socket can be
// seen, and the commands of an event-loop iteration leave in one write. A version that changes this fails here.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster, Redis } from 'ioredis';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { parseRedisUrl } from '../../../src/settings/redis-url.ts';
import { type RedisClient, createClient, primariesOf, send } from '../../../src/store/redis/client.ts';
import { meaningOf } from '../../../src/store/redis/replies.ts';
import { startFaultProxy } from '../../helpers/fault-proxy.ts';
import { describeWith } from '../../helpers/needs.ts';
import { freePort } from '../../helpers/process.ts';
import { type RedisServer, startRedis, startRedisCluster } from '../../helpers/redis.ts';

const TIMEOUT_MS = 10_000;
const PING = { name: 'ping', args: [] };

async function connect(url: string): Promise<RedisClient> {
  const client = createClient(parseRedisUrl(url), TIMEOUT_MS, TIMEOUT_MS / 2);
  client.on('error', () => {});
  onTestFinished(() => client.disconnect());
  await client.connect();
  return client;
}

/** A key for each node of a cluster: their slots are 3300, 7365 and 15495. */
const KEYS = ['b', 'c', 'a'];
const TO_SECOND = { name: 'incr', args: [KEYS[1]!] };

describeWith('redis-server', 'a command sent to one server', () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await startRedis();
  });

  test('the command is answered with bytes', async () => {
    const result = await send(await connect(server.url), { name: 'echo', args: ['ü'] }, 500);
    expect(result).toEqual({ kind: 'reply', reply: Buffer.from('ü') });
  });

  test('the command is answered with an error reply', async () => {
    const result = await send(await connect(server.url), { name: 'evalsha', args: ['0', '0'] }, 500);
    expect(result).toMatchObject({ kind: 'errorReply', error: { message: expect.stringMatching(/^NOSCRIPT/) } });
  });

  test('the reply is lost when the connection breaks before it, and the command is not sent again', async () => {
    const proxy = await startFaultProxy(server.port);
    const client = await connect(`redis://127.0.0.1:${proxy.port}`);
    proxy.choose = (request) => (request.includes('incr') ? 'closed after' : undefined);
    expect(await send(client, { name: 'incr', args: ['lost'] }, 500)).toEqual({ kind: 'lost' });
    while (client.status !== 'ready') await sleep(5);
    expect(await server.admin.get('lost')).toBe('1');
  });

  test('the reply is lost when the server does not answer in time', async () => {
    const proxy = await startFaultProxy(server.port);
    const client = await connect(`redis://127.0.0.1:${proxy.port}`);
    proxy.choose = () => 'mute';
    const startMs = performance.now();
    expect(await send(client, PING, 50)).toEqual({ kind: 'lost' });
    expect(performance.now() - startMs).toBeLessThan(5_000);
  });

  test.each<[string, (client: Redis) => void]>([
    ['its socket is ended', (client) => client.stream.end()],
    ['its socket is destroyed', (client) => client.stream.destroy()],
    ['it reconnects', (client) => client.disconnect(true)],
    ['it is closed', (client) => client.disconnect()],
  ])('the command is not sent when %s', async (_, breakIt) => {
    const client = (await connect(server.url)) as Redis;
    breakIt(client);
    expect(await send(client, PING, 500)).toEqual({ kind: 'notSent' });
  });

  test('the command is written together with the others of its iteration', async () => {
    const proxy = await startFaultProxy(server.port);
    const client = await connect(`redis://127.0.0.1:${proxy.port}`);
    const requests: Buffer[] = [];
    proxy.choose = (request) => void requests.push(request);
    for (let round = 1; round <= 2; round++) {
      await Promise.all(Array.from({ length: 8 }, () => send(client, PING, 500)));
      expect(requests).toHaveLength(round);
    }
  });
});

describeWith('redis-server', 'a command sent to a cluster', () => {
  let nodes: RedisServer[];
  beforeAll(async () => {
    nodes = await startRedisCluster();
  });

  async function connectToBoth(): Promise<{ client: Cluster; second: Redis }> {
    const client = (await connect(`${nodes[0]!.url}?cluster=true`)) as Cluster;
    await send(client, TO_SECOND, 500);
    const second = client.nodes().find(({ options }) => options.port === nodes[1]!.port)!;
    return { client, second };
  }

  test('the command is sent to the node of its key', async () => {
    const { client } = await connectToBoth();
    expect(await send(client, TO_SECOND, 500)).toMatchObject({ kind: 'reply' });
    const address = parseRedisUrl(`${nodes[0]!.url}?cluster=true`);
    const keys = [...primariesOf(client, address).keys()];
    expect(keys).toEqual(nodes.map(({ port }) => `127.0.0.1:${port}`));
  });

  test.each<[string, (client: Cluster, second: Redis) => void]>([
    ['the socket of that node is destroyed', (_, second) => second.stream.destroy()],
    ['the connection to that node is closed', (_, second) => second.disconnect()],
    ['the client is closed', (client) => client.disconnect()],
  ])('the command is not sent when %s', async (_, breakIt) => {
    const { client, second } = await connectToBoth();
    breakIt(client, second);
    expect(await send(client, TO_SECOND, 500)).toEqual({ kind: 'notSent' });
  });

  test('the command is not sent to a node that cannot be reached when the client connects to it', async () => {
    // The client connects to a node when it has the first command for it, which waits for the connection. At
    // first it is connected to two nodes at most, which ioredis chooses at random.
    const client = (await connect(`${nodes[0]!.url}?cluster=true`)) as Cluster;
    const unconnected = client.nodes().find(({ status }) => status === 'wait')!;
    const key = KEYS[nodes.findIndex(({ port }) => port === unconnected.options.port)]!;
    unconnected.options.port = await freePort();
    expect(await send(client, { name: 'incr', args: [key] }, 500)).toEqual({ kind: 'notSent' });
  });

  test('the command is written together with the others of its iteration, one write per node', async () => {
    const { client, second } = await connectToBoth();
    const results = Array.from({ length: 8 }, () => send(client, TO_SECOND, 500));
    expect(second.stream.writableCorked).toBe(1);
    await Promise.all(results);
    expect(second.stream.writableCorked).toBe(0);
  });
});

describe('an error reply', () => {
  test.each([
    ['NOSCRIPT No matching script. Please use EVAL.', 'sendSource'],
    ['LOADING Redis is loading the dataset in memory', 'retry'],
    ['BUSY Redis is busy running a script.', 'retry'],
    ['ERR Error running script (call to f_1): @user_script:2: -READONLY You can\'t write against a read only replica.', 'retry'],
    ["OOM command not allowed when used memory > 'maxmemory'.", 'full'],
    ['MISCONF Errors writing to the AOF file: No space left on device', 'full'],
    ['MISCONF Redis is configured to save RDB snapshots, but is unable to persist to disk', 'refused'],
    ['NOAUTH Authentication required.', 'refused'],
    ['MOVED 7365 127.0.0.1:7001', 'refused'],
    ["ERR unknown command 'evalsha'", 'refused'],
    ['ERR Error running script: attempt to index a nil value', 'failed'],
    ['UNKILLABLE Sorry the script already executed write commands', 'failed'],
  ])('%s: %s', (message, meaning) => {
    expect(meaningOf(message)).toBe(meaning);
  });
});
