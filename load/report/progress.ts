// A progress bar on stderr, shown at a terminal only: not in a pipe and not in CI.
import cliProgress from 'cli-progress';

export interface Progress {
  update(done: number): void;
  stop(): void;
}

/** @param what the label of the bar · @param total the count at which it is full */
export function startProgress(what: string, total: number): Progress {
  if (!process.stderr.isTTY || process.env['NO_COLOR'] || process.env['CI']) {
    return { update: () => undefined, stop: () => undefined };
  }
  const bar = new cliProgress.SingleBar({
    format: `${what} {bar} {value}/{total}  {eta_formatted} left`,
    stream: process.stderr,
    hideCursor: true,
    clearOnComplete: true,
  });
  bar.start(total, 0);
  return bar;
}
