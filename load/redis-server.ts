// A Redis server for one measurement: Debian's redis-server on a free port, its files in a folder.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from './own-server.ts';

const START_MS_MAX = 10_000;

export interface RedisServer {
  readonly url: string;
  stop(): Promise<void>;
}

export const hasRedis = spawnSync('redis-server', ['--version']).status === 0;

/** @throws Error if it does not start */
export async function startRedis(folder: string, appendfsync: string): Promise<RedisServer> {
  const port = await freePort();
  const settings = {
    port,
    bind: '127.0.0.1',
    dir: folder,
    save: '',
    appendonly: 'yes',
    appendfsync,
  };
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const child = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  const end = () => child.kill('SIGKILL');
  process.once('exit', end);
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  const stop = async () => {
    child.kill('SIGTERM');
    await exited;
    process.off('exit', end);
  };
  const endMs = performance.now() + START_MS_MAX;
  while (performance.now() < endMs && child.exitCode === null) {
    if (output.includes('Ready to accept connections')) {
      return { url: `redis://127.0.0.1:${port}`, stop };
    }
    await sleep(20);
  }
  await stop();
  throw new Error(`redis-server did not start.\n${output}`);
}
