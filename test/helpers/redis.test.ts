// A port that was free is sometimes taken before Redis listens on it: by another test, or by a connection.
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { describeWith } from './needs.ts';
import { freePort } from './process.ts';
import { startRedis } from './redis.ts';

describeWith('redis-server', 'a Redis server of a test', () => {
  test.each([
    ['alone', {}],
    ['in a cluster', { 'cluster-enabled': 'yes' }],
  ])('%s, it starts on another port if the one that was chosen is taken', async (_, options) => {
    const taken = await takePort();
    const ports = [taken, taken, await freePort()];
    const server = await startRedis(options, async () => ports.shift()!);
    expect(server.port).not.toBe(taken);
    expect(await server.admin.ping()).toBe('PONG');
  });

  test('it does not start if all ports are taken', async () => {
    const taken = await takePort();
    let chosen = 0;
    const choosePort = async () => {
      chosen++;
      return taken;
    };
    await expect(startRedis({}, choosePort)).rejects.toThrow(/Address already in use/);
    expect(chosen).toBe(5);
  });

  test('another failure is not tried again', async () => {
    let chosen = 0;
    const choosePort = async () => {
      chosen++;
      return freePort();
    };
    await expect(startRedis({ maxmemory: 'nothing' }, choosePort)).rejects.toThrow(/maxmemory/);
    expect(chosen).toBe(1);
  });
});

/** A port on which this test listens. */
async function takePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}
