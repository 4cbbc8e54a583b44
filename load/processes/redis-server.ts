// A Redis server for one measurement: redis-server of the system on a free port.
import { spawnSync } from 'node:child_process';
import { freePort, startChild } from './child.ts';

const START_MS_MAX = 30_000;

export interface RedisServer {
  readonly url: string;
  stop(): Promise<void>;
}

export const hasRedis = spawnSync('redis-server', ['--version']).status === 0;

/**
 * @param folder of its files
 * @param appendfsync `everysec` or `always`
 * @throws Error if it does not start
 */
export async function startRedis(folder: string, appendfsync: string): Promise<RedisServer> {
  const port = await freePort();
  const bind = '127.0.0.1';
  const settings = { port, bind, dir: folder, save: '', appendonly: 'yes', appendfsync };
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const child = startChild('redis-server', args);
  const stop = () => child.end('SIGTERM');
  const isReady = () => child.stdout().includes('Ready to accept connections');
  if (await child.becomesReady(isReady, START_MS_MAX)) return { url: `redis://127.0.0.1:${port}`, stop };
  await stop();
  throw new Error(`redis-server did not start.\n${child.stdout()}`);
}
