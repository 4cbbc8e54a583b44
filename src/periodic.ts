// A task that runs at an interval, never twice at a time.

export interface Periodic {
  /** Starts no further run; resolves when the current one has ended. */
  stop(): Promise<void>;
}

/**
 * Runs a task every `intervalMs`. A run that takes longer than the interval delays the next one.
 *
 * @param task gets a signal that is aborted by stop()
 * @param onError is called with the error of a run that fails, unless the run before it failed too
 */
export function startPeriodic(
  intervalMs: number,
  task: (stopping: AbortSignal) => Promise<void>,
  onError: (error: unknown) => void,
): Periodic {
  const stopping = new AbortController();
  let running: Promise<void> | undefined;
  let hasFailed = false;
  const run = async () => {
    try {
      await task(stopping.signal);
      hasFailed = false;
    } catch (error) {
      if (!hasFailed) onError(error);
      hasFailed = true;
    }
    running = undefined;
  };
  const timer = setInterval(() => {
    running ??= run();
  }, intervalMs);
  return {
    stop: async () => {
      stopping.abort();
      clearInterval(timer);
      await running;
    },
  };
}
