// Something done again and again, never twice at a time.

export interface Periodic {
  /** No further round; resolves when the running one is over. */
  stop(): Promise<void>;
}

/**
 * @param task is given a signal that says when to come to an end
 * @param onError is told of a failure, and not again until a round has succeeded
 */
export function startPeriodic(
  intervalMs: number,
  task: (stopping: AbortSignal) => Promise<void>,
  onError: (error: unknown) => void,
): Periodic {
  const stopping = new AbortController();
  let running: Promise<void> | undefined;
  let hasFailed = false;
  const round = async () => {
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
    running ??= round();
  }, intervalMs);
  return {
    stop: async () => {
      stopping.abort();
      clearInterval(timer);
      await running;
    },
  };
}
