// Starts the service, or a peer of it, as a process of its own, on a free port of this host, for
// one measurement.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const START_MS_MAX = 20_000;


export interface OwnServer {
  readonly url: string;
  readonly pid: number;
  /** What it has logged so far: warnings and errors, a line each. */
  log(): string;
  stop(): Promise<void>;
  /** SIGKILL: no signal handler runs, nothing is written any more. */
  kill(): Promise<void>;
}

/** @param settings of its environment, e.g. STORE_URL · @throws Error if it does not become ready */
export function startServer(settings: Record<string, string> = {}): Promise<OwnServer> {
  return startProcess({
    name: 'service',
    settings: { STORE_URL: 'memory:', ...settings },
    nodeFlags: nodeFlagsOfStart(),
    file: join(import.meta.dirname, '../src/server.ts'),
    readyPath: '/health/ready',
  });
}

export interface ServerProcess {
  readonly name: string;
  /** Listens at HOST and PORT of its environment. */
  readonly file: string;
  readonly nodeFlags?: readonly string[];
  readonly args?: readonly string[];
  readonly settings?: Record<string, string>;
  /** Answers 2xx as soon as requests may come. */
  readonly readyPath: string;
}

/** @throws Error if it does not become ready */
export async function startProcess(server: ServerProcess): Promise<OwnServer> {
  const { name, file, nodeFlags = [], args = [], settings, readyPath } = server;
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const child = spawn(process.execPath, [...nodeFlags, file, ...args], {
    env: {
      ...process.env,
      ...settings,
      HOST: '127.0.0.1',
      PORT: String(port),
      LOG_LEVEL: 'warn',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = once(child, 'exit');
  // However this process ends, the server does not outlive it.
  const end = () => child.kill('SIGKILL');
  process.once('exit', end);
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  let log = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (log += text));

  const endWith = async (signal: NodeJS.Signals) => {
    child.kill(signal);
    await exited;
    process.off('exit', end);
  };
  const stop = () => endWith('SIGTERM');
  const kill = () => endWith('SIGKILL');
  if (await becomesReady(url + readyPath, () => child.exitCode !== null)) {
    return { url, pid: child.pid!, log: () => log, stop, kill };
  }
  await stop();
  throw new Error(`The ${name} did not become ready.\n${stderr}`);
}

/** A port that was free a moment ago. The service could take one itself, but not tell which. */
export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}

async function becomesReady(url: string, hasExited: () => boolean): Promise<boolean> {
  const endMs = performance.now() + START_MS_MAX;
  while (performance.now() < endMs && !hasExited()) {
    const answer = await fetch(url).catch(() => undefined);
    await answer?.arrayBuffer();
    if (answer?.ok) return true;
    await sleep(20);
  }
  return false;
}

/** What `npm start` gives to Node.js. */
export function nodeFlagsOfStart(): string[] {
  const manifest = readFileSync(join(import.meta.dirname, '../package.json'), 'utf8');
  const { scripts } = JSON.parse(manifest) as { scripts: { start: string } };
  return scripts.start.split(' ').filter((word) => word.startsWith('--'));
}
