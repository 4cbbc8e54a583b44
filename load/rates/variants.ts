// The services that are compared: one, several that share nothing, or one of several processes that share a port and a store.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigSchema } from '../../src/settings/schema.ts';
import { type LoadCase, type CaseOptions, makeCase } from './cases.ts';
import { hasRedis, startRedis } from '../processes/redis-server.ts';
import { startServer } from '../processes/server-process.ts';

export interface Variant {
  readonly name: string;
  /** One for each service. */
  readonly cases: readonly LoadCase[];
}

export interface VariantOptions {
  /** A service that runs; undefined to start those of the lists below. */
  readonly url: string | undefined;
  /** Numbers of processes of one service. */
  readonly processes: readonly number[];
  /** Numbers of services. */
  readonly servers: readonly number[];
}

export interface Variants extends AsyncDisposable {
  readonly variants: readonly Variant[];
  /** Why some of those that were asked for are missing. */
  readonly skipped: readonly string[];
}

/** With the settings of the environment; sessions are in memory, and of several processes in Redis. */
export async function startVariants({ url, processes, servers }: VariantOptions, options: CaseOptions): Promise<Variants> {
  await using stack = new AsyncDisposableStack();
  const variants: Variant[] = [];
  const skipped: string[] = [];
  const add = async (name: string, urls: readonly string[]) => {
    const cases: LoadCase[] = [];
    for (const one of urls) cases.push(await makeCase(one, options));
    variants.push({ name, cases });
  };
  if (url !== undefined) await add(url, [url]);
  for (const count of url === undefined ? servers : []) {
    const urls: string[] = [];
    while (urls.length < count) urls.push(stack.use(await startServer()).url);
    await add(count === 1 ? 'one service' : `${count} services`, urls);
  }
  const whyNot = processes.length > 0 ? whyNoProcesses() : undefined;
  if (whyNot !== undefined) skipped.push(`SKIPPED: --processes ${processes.join()}: ${whyNot}`);
  else if (processes.length > 0) {
    const redisUrl = await startOwnRedis(stack);
    for (const count of processes) {
      const service = await startServer({ STORE_URL: redisUrl, PROCESSES: String(count) });
      stack.use(service);
      await add(`${count} ${count === 1 ? 'process' : 'processes'}, Redis`, [service.url]);
    }
  }
  const moved = stack.move();
  return { variants, skipped, [Symbol.asyncDispose]: () => moved.disposeAsync() };
}

function whyNoProcesses(): string | undefined {
  if (!hasRedis) return 'redis-server is missing (apt-get install redis-server).';
  if (!('PROCESSES' in ConfigSchema.properties)) return 'this version of the service has no setting PROCESSES.';
  return undefined;
}

async function startOwnRedis(stack: AsyncDisposableStack): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'carryover-load-'));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const redis = await startRedis(folder, 'everysec');
  stack.defer(() => redis.stop());
  return redis.url;
}
