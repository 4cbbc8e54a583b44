// A service of two processes, and which of them answered.
import { Agent, type IncomingMessage, request } from 'node:http';
import { once } from 'node:events';
import { type RunningProcess, type RunningServer, freePort, startServer, until } from '../helpers/process.ts';

export interface Service extends RunningServer {
  readonly metricsPort: number;
  /** Of the processes that have been started to serve, the first one in front. */
  pids(): number[];
  /** The lines of the log with this message. */
  lines(message: string): any[];
  scrape(): Promise<string>;
}

export async function startService(env: Record<string, string>): Promise<Service> {
  const metricsPort = await freePort();
  const server = await startServer({ PROCESSES: '2', LOG_LEVEL: 'info', METRICS_PORT: String(metricsPort), ...env });
  const pids = () => linesOf(server, 'kernels').map(({ pid }) => pid as number);
  // What they write and the greeting are read from different pipes.
  await until(server, () => (pids().length === 2 ? true : undefined));
  return {
    ...server,
    metricsPort,
    pids,
    lines: (message) => linesOf(server, message),
    scrape: async () => (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text(),
  };
}

export function linesOf(running: RunningProcess, message: string): any[] {
  const whole = running.output().split('\n').slice(0, -1);
  return whole.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line)).filter(({ msg }) => msg === message);
}

export function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

export interface Reply {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: any;
}

/** A call on a connection of its own, which goes to the process whose turn it is. */
export async function callAlone(url: string, body?: unknown, own: Record<string, string> = {}, timeoutMs = 10_000): Promise<Reply> {
  const method = body === undefined ? 'GET' : 'POST';
  const headers = { ...(body !== undefined && { 'content-type': 'application/json' }), ...own };
  const agent = new Agent({ keepAlive: false });
  const sent = request(url, { method, headers, agent, signal: AbortSignal.timeout(timeoutMs) });
  sent.end(body === undefined ? undefined : JSON.stringify(body));
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  const text = (await response.toArray()).join('');
  return { status: response.statusCode!, headers: response.headers, body: text === '' ? undefined : JSON.parse(text) };
}
