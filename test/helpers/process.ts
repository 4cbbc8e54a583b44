// Child processes for the tests that need a real one: started, watched and stopped by their handle.
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { nodeFlagsOfStart } from '../../load/processes/server-process.ts';
import { closeAtEnd } from './cleanup.ts';

/** What `npm start` gives Node.js. */
export const NODE_FLAGS = nodeFlagsOfStart();
/** One worker however many cores there are, for each takes time at the start. */
const SETTINGS = { HOST: '127.0.0.1', PORT: '0', LOG_LEVEL: 'warn', STORE_URL: 'memory:', WORKERS: '1' };
const START_TIMEOUT_MS = 150_000;
const STOP_TIMEOUT_MS = 20_000;

export interface RunningProcess {
  readonly process: ChildProcess;
  /** Everything written to stdout and stderr so far. */
  output(): string;
  /** SIGTERM, then the exit code; null if a signal had to end it. A second call only reports. */
  stop(): Promise<number | null>;
}

export interface RunningServer extends RunningProcess {
  readonly url: string;
  readonly port: number;
}

/**
 * The service, ready to answer, on a free port of 127.0.0.1 unless `env` says otherwise.
 *
 * @param entry another file that starts it
 * @param wrapper a command that is given the one that starts it, with its arguments
 */
export async function startServer(
  env: Record<string, string> = {},
  entry?: string,
  wrapper: readonly string[] = [],
): Promise<RunningServer> {
  const server = spawnServer(env, entry, wrapper);
  // With PORT=0 the system chooses: no other process can take the port in between.
  const printed = /API +(http:\/\/\S+:(\d+))\//;
  const [, url, port] = await until(server, () => printed.exec(server.output()));
  if (!url) throw new Error(`no address in ${server.output()}`);
  await untilReady(server, url);
  return { ...server, url, port: Number(port) };
}

const QUICK = 'test/fixtures/servers/quick.ts';

/** As startServer, in half of the processor time, where the start and the end of the process are not what is tested. */
export function startQuickly(env: Record<string, string> = {}, wrapper: readonly string[] = []): Promise<RunningServer> {
  return startServer(env, QUICK, wrapper);
}

/** As startServer, not waiting until it is ready. */
export function spawnServer(
  env: Record<string, string>,
  entry = 'src/server.ts',
  wrapper: readonly string[] = [],
): RunningProcess {
  const [command, ...args] = [...wrapper, process.execPath, ...NODE_FLAGS, entry];
  return startProcess(command, args, {
    cwd: join(import.meta.dirname, '../..'),
    env: { ...process.env, ...SETTINGS, ...env },
  });
}

export function startProcess(
  command: string,
  args: readonly string[],
  options: SpawnOptions,
): RunningProcess {
  const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const append = (chunk: Buffer) => {
    output += chunk;
  };
  child.stdout?.on('data', append);
  child.stderr?.on('data', append);
  child.once('error', append);
  // Neither a test that fails nor a run that dies may leave its servers behind. Not SIGKILL: nginx'
  // workers outlive it.
  const end = () => child.kill('SIGTERM');
  child.once('close', closeAtEnd(() => stop(child)));
  process.once('exit', end);
  child.once('close', () => process.off('exit', end));
  return { process: child, output: () => output, stop: () => stop(child) };
}

/** Waits until `GET /health/ready` is 200. @throws Error with the output if the process ends */
export async function untilReady(running: RunningProcess, url: string): Promise<void> {
  await until(running, async () => {
    const response = await fetch(`${url}/health/ready`).catch(() => undefined);
    await response?.body?.cancel();
    return response?.ok || undefined;
  });
}

/** Below those that Linux gives to sockets by itself (from 32,768 on), which may take a port between two starts. */
const FREE_PORTS = { min: 10_000, max: 32_767 };
/** Test files run side by side: each process has a part of the ports, so that none takes one that another is about to use. */
const PORT_PARTS = 16;
const PORTS_OF_PART = Math.floor((FREE_PORTS.max - FREE_PORTS.min + 1) / PORT_PARTS);
const FIRST_PORT = FREE_PORTS.min + (Number(process.env['VITEST_POOL_ID'] ?? 0) % PORT_PARTS) * PORTS_OF_PART;
const givenPorts = new Set<number>();

/** A port that was free a moment ago, for a process that cannot choose one itself; another one each time. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST_PORT + randomInt(PORTS_OF_PART);
    if (givenPorts.has(port)) continue;
    givenPorts.add(port);
    const server = createServer().listen(port, '127.0.0.1');
    const isFree = await once(server, 'listening').then(
      () => true,
      () => false,
    );
    if (!isFree) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}

/** Polls `probe` until it gives a value. @throws Error if the process ends or stays silent */
export async function until<Value>(
  running: RunningProcess,
  probe: () => Value | null | undefined | Promise<Value | null | undefined>,
): Promise<Value> {
  const deadline = performance.now() + START_TIMEOUT_MS;
  while (performance.now() < deadline) {
    const value = await probe();
    if (value !== null && value !== undefined) return value;
    if (hasEnded(running.process)) throw new Error(`The process ended:\n${running.output()}`);
    await sleep(20);
  }
  running.process.kill('SIGTERM');
  throw new Error(`The process did not start in ${START_TIMEOUT_MS} ms:\n${running.output()}`);
}

async function stop(child: ChildProcess): Promise<number | null> {
  if (hasEnded(child)) return child.exitCode;
  const force = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
  const exit = once(child, 'exit');
  child.kill('SIGTERM');
  await exit;
  clearTimeout(force);
  return child.exitCode;
}

function hasEnded(child: ChildProcess): boolean {
  return child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
}
