// A child process for one measurement: its output is collected, and it ends with this process at the latest.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const POLL_MS = 20;

export interface Child {
  readonly pid: number | undefined;
  /** Everything written to stdout so far. */
  stdout(): string;
  /** Everything written to stderr so far. */
  stderr(): string;
  /** Sends the signal and waits until the process has ended. */
  end(signal: NodeJS.Signals): Promise<void>;
  /** Polls `isReady` until it is true. @returns false if the process ends first or `timeoutMs` pass */
  becomesReady(isReady: () => boolean | Promise<boolean>, timeoutMs: number): Promise<boolean>;
}

export function startChild(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Child {
  const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const exited = once(child, 'exit');
  const killAtExit = () => child.kill('SIGKILL');
  process.once('exit', killAtExit);
  const output = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
  return {
    pid: child.pid,
    stdout: () => output.stdout,
    stderr: () => output.stderr,
    async end(signal) {
      child.kill(signal);
      await exited;
      process.off('exit', killAtExit);
    },
    async becomesReady(isReady, timeoutMs) {
      const endMs = performance.now() + timeoutMs;
      while (performance.now() < endMs && child.exitCode === null) {
        if (await isReady()) return true;
        await sleep(POLL_MS);
      }
      return false;
    },
  };
}

/** A port of 127.0.0.1 that was free a moment ago, for a process whose output does not name its own. */
export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}
