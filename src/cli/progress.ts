// A progress bar on stderr, at a terminal only: not in a pipe, not with NO_COLOR and not in CI.
import type { Io } from './io.ts';

export interface Progress {
  update(done: number): void;
  stop(): void;
}

/** @param what the label of the bar · @param total the count at which it is full */
export async function startProgress(
  { stderr, env }: Pick<Io, 'stderr' | 'env'>,
  what: string,
  total: number,
): Promise<Progress> {
  if (!stderr.isTTY || env['NO_COLOR'] || env['CI']) return { update: () => undefined, stop: () => undefined };
  const { default: cliProgress } = await import('cli-progress');
  const bar = new cliProgress.SingleBar({
    format: `${what} {bar} {value}/{total}  {eta_formatted} left`,
    // A terminal is the stream of a process.
    stream: stderr as NodeJS.WriteStream,
    hideCursor: true,
    clearOnComplete: true,
  });
  bar.start(total, 0);
  return bar;
}
