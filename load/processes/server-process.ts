// The service, or a peer of it, as a process of its own on a free port of 127.0.0.1.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort, startChild } from './child.ts';

const START_MS_MAX = 60_000;

export interface ServerProcess extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
  /** The log so far, a line of JSON for each warning and error. */
  log(): string;
  /** SIGTERM, and waits for the end. */
  stop(): Promise<void>;
  /** SIGKILL: no signal handler runs, and nothing more is written. */
  kill(): Promise<void>;
}

/**
 * The service with the Node.js flags of `npm start`.
 *
 * @param settings of its environment; STORE_URL is `memory:` unless given, PORT one that is free
 * @param file its src/server.ts; that of this checkout if absent
 * @throws Error if it does not become ready
 */
export function startServer(
  settings: Readonly<Record<string, string>> = {},
  file = join(import.meta.dirname, '../../src/server.ts'),
): Promise<ServerProcess> {
  return startServerProcess({
    name: 'service',
    settings: { STORE_URL: 'memory:', ...settings },
    nodeFlags: nodeFlagsOfStart(),
    file,
    readyPath: '/health/ready',
  });
}

export interface ServerProgram {
  readonly name: string;
  /** Listens at HOST and PORT of its environment; the port is a free one unless the settings say it. */
  readonly file: string;
  readonly nodeFlags?: readonly string[];
  readonly args?: readonly string[];
  readonly settings?: Record<string, string>;
  /** Answers 2xx as soon as the server takes requests. */
  readonly readyPath: string;
}

/** @throws Error if the server does not become ready */
export async function startServerProcess(program: ServerProgram): Promise<ServerProcess> {
  const { name, file, nodeFlags = [], args = [], settings, readyPath } = program;
  const port = settings?.['PORT'] ?? (await freePort());
  const url = `http://127.0.0.1:${port}`;
  const own = { HOST: '127.0.0.1', PORT: String(port), LOG_LEVEL: 'warn' };
  const env = { ...process.env, ...settings, ...own };
  const child = startChild(process.execPath, [...nodeFlags, file, ...args], env);
  const stop = () => child.end('SIGTERM');
  if (await child.becomesReady(() => answers(url + readyPath), START_MS_MAX)) {
    const kill = () => child.end('SIGKILL');
    return { url, pid: child.pid!, log: () => child.stdout(), stop, kill, [Symbol.asyncDispose]: stop };
  }
  await stop();
  throw new Error(`The ${name} did not become ready.\n${child.stderr()}`);
}

async function answers(url: string): Promise<boolean> {
  const response = await fetch(url).catch(() => undefined);
  await response?.arrayBuffer();
  return response?.ok ?? false;
}

/** The options that `npm start` gives to Node.js. */
export function nodeFlagsOfStart(): string[] {
  const manifest = readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8');
  const { scripts } = JSON.parse(manifest) as { scripts: { start: string } };
  return scripts.start.split(' ').filter((word) => word.startsWith('--'));
}
