// A progress bar on stderr, and only for a person at a terminal: never in a pipe or in CI.
import cliProgress from 'cli-progress';

export interface Progress {
  update(done: number): void;
  stop(): void;
}

/** @param what  said in front of the bar · @param total  what `update` counts up to */
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
