// Starts processes of test/fixtures/store/load.ts and reads their output.
import { join } from 'node:path';
import type { LoadOptions } from '../../fixtures/store/load.ts';
import { type RunningProcess, startProcess } from '../../helpers/process.ts';

const LOAD = join(import.meta.dirname, '../../fixtures/store/load.ts');

/** @param wrapper a command that runs the process, such as strace with its arguments */
export function startLoad(options: LoadOptions, wrapper: readonly string[] = []): RunningProcess {
  const [command, ...args] = [...wrapper, process.execPath, LOAD, JSON.stringify(options)];
  return startProcess(command, args, {});
}

/** Kills the process with SIGKILL; resolves when it has ended. */
export async function kill(load: RunningProcess): Promise<void> {
  const closed = new Promise((resolve) => load.process.once('close', resolve));
  const pid = Number(/^pid (\d+)$/m.exec(load.output())![1]);
  process.kill(pid, 'SIGKILL');
  await closed;
}

/** The marks of the changes that the process reported with this word. */
export function marksThat(word: 'ack' | 'no' | 'unknown', load: RunningProcess): string[] {
  return [...load.output().matchAll(new RegExp(`^${word} (m\\d+\\.\\d+;)`, 'gm'))].map(
    ([, mark]) => mark!,
  );
}
