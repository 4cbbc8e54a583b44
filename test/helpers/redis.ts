// Redis servers for tests: Debian's redis-server on a free port, its files in a folder of its own.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { closeAtEnd } from './cleanup.ts';
import { type RunningProcess, freePort, startProcess, until } from './process.ts';

export interface RedisServer {
  readonly port: number;
  readonly url: string;
  /** A client of its own, with a short timeout, for arranging and looking. */
  readonly admin: Redis;
  /** SIGSTOP: the kernel still takes connections and bytes, nothing answers. */
  pause(): void;
  resume(): void;
  /** kill -9 */
  kill(): Promise<void>;
  /** With the same port, options and files. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

// Each running server ends with this process, which takes a listener.
process.setMaxListeners(100);

/** A port that was free may be taken by another process before the server listens on it. */
const STARTS_MAX = 5;

/**
 * On another port if the one that was chosen is taken meanwhile.
 *
 * @param options of redis.conf, e.g. { appendfsync: 'always' }, which enables the AOF
 */
export async function startRedis(
  options: Record<string, string> = {},
  choosePort: () => Promise<number> = freePort,
): Promise<RedisServer> {
  for (let starts = 1; ; starts++) {
    try {
      return await startOn(await choosePort(), options);
    } catch (error) {
      if (starts === STARTS_MAX || !/Address already in use/.test((error as Error).message)) throw error;
    }
  }
}

async function startOn(port: number, options: Record<string, string>): Promise<RedisServer> {
  const isClustered = options['cluster-enabled'] === 'yes';
  const dir = mkdtempSync(join(tmpdir(), 'carryover-redis-'));
  const settings: Record<string, string> = {
    port: String(port),
    bind: '127.0.0.1',
    dir,
    save: '',
    appendonly: options.appendfsync === undefined ? 'no' : 'yes',
    'enable-debug-command': 'yes',
    ...(isClustered && { 'cluster-port': String(await freePort()) }),
    ...options,
  };
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
  const admin = new Redis({
    port,
    lazyConnect: true,
    commandTimeout: 5_000,
    retryStrategy: () => 50,
    ...(options.requirepass !== undefined && { password: options.requirepass }),
  });
  admin.on('error', () => {});
  let running: RunningProcess;
  const signal = (name: NodeJS.Signals) => process.kill(running.process.pid!, name);
  const start = async () => {
    running = startProcess('redis-server', args, {});
    await until(running, () => /Ready to accept connections/.exec(running.output()));
    if (admin.status === 'wait' || admin.status === 'end') await admin.connect().catch(() => {});
    await until(running, () => (admin.status === 'ready' ? true : undefined));
  };
  const server: RedisServer = {
    port,
    url: `redis://127.0.0.1:${port}`,
    admin,
    start,
    pause: () => signal('SIGSTOP'),
    resume: () => signal('SIGCONT'),
    kill: async () => {
      signal('SIGKILL');
      while (running.process.signalCode === null && running.process.exitCode === null) await sleep(5);
    },
    stop: async () => {
      admin.disconnect();
      if (running.process.signalCode === null && running.process.exitCode === null) signal('SIGCONT');
      await running.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
  const forget = closeAtEnd(() => server.stop());
  try {
    await start();
  } catch (error) {
    forget();
    await server.stop();
    throw error;
  }
  return server;
}

const SLOTS = 16_384;

/** A cluster of three primaries without replicas. */
export async function startRedisCluster(options: Record<string, string> = {}): Promise<RedisServer[]> {
  const nodes: RedisServer[] = [];
  for (let k = 0; k < 3; k++) {
    nodes.push(await startRedis({ 'cluster-enabled': 'yes', 'cluster-node-timeout': '2000', ...options }));
    const [first, last] = [k, k + 1].map((share) => Math.floor((share * SLOTS) / 3));
    await nodes[k]!.admin.call('CLUSTER', 'ADDSLOTSRANGE', first!, last! - 1);
    await nodes[k]!.admin.call('CLUSTER', 'SET-CONFIG-EPOCH', k + 1);
    if (k > 0) await nodes[k]!.admin.call('CLUSTER', 'MEET', '127.0.0.1', nodes[0]!.port, await bus(nodes[0]!));
  }
  for (const { admin } of nodes) {
    for (;;) {
      const info = String(await admin.call('CLUSTER', 'INFO'));
      if (/cluster_state:ok/.test(info) && /cluster_known_nodes:3/.test(info)) break;
      await sleep(50);
    }
  }
  return nodes;
}

async function bus({ admin }: RedisServer): Promise<string> {
  const [, port] = await admin.config('GET', 'cluster-port');
  return port!;
}
