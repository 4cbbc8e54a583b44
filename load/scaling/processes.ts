// Two processes that run the kernel on the same job and share nothing: no memory, no queue, no main thread.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Sizes } from '../cases/sequence-case.ts';

export interface Processes {
  /** Runs of the job per second: of one process alone, or the sum of both at the same time. */
  rate(count: 1 | 2, seconds: number): Promise<number>;
  stop(): void;
}

export async function startProcesses(sizes: Sizes): Promise<Processes> {
  const children = [0, 1].map(() => {
    const child = fork(join(import.meta.dirname, 'process.ts'), [JSON.stringify(sizes)]);
    return { child, ended: failureOf(child) };
  });
  const stop = () => children.forEach(({ child }) => child.kill());
  process.once('exit', stop);
  await Promise.all(children.map(answerOf));
  return {
    async rate(count, seconds) {
      const some = children.slice(0, count);
      const answers = some.map(answerOf);
      for (const { child } of some) child.send(seconds);
      const rates = await Promise.all(answers);
      return rates.reduce((sum, rate) => sum + rate, 0);
    },
    stop() {
      process.off('exit', stop);
      stop();
    },
  };
}

interface Child {
  readonly child: ChildProcess;
  /** Rejects when the process ends. */
  readonly ended: Promise<never>;
}

function failureOf(child: ChildProcess): Promise<never> {
  const ended = once(child, 'exit').then(() => {
    throw new Error('A process of load/scaling/process.ts ended early.');
  });
  // Without a listener, as after stop(), the rejection must not end this process.
  ended.catch(() => undefined);
  return ended;
}

async function answerOf({ child, ended }: Child): Promise<number> {
  const [rate] = (await Promise.race([once(child, 'message'), ended])) as [number];
  return rate;
}
