// Waiting that ends early, when a signal aborts or a time is over.

export type Signals = readonly (AbortSignal | undefined)[];

/** @throws the reason of a signal that has aborted */
export function throwIfAborted(signals: Signals): void {
  for (const signal of signals) signal?.throwIfAborted();
}

/** A controller that aborts when one of the signals does, until it is released. */
export interface LinkedController {
  readonly controller: AbortController;
  readonly release: () => void;
}

/** As AbortSignal.any(), whose signals stay in memory as long as those they depend on: perhaps as long as the program. */
export function linkedTo(signals: Signals): LinkedController {
  const controller = new AbortController();
  const abort = (event: Event) => controller.abort((event.target as AbortSignal).reason);
  for (const signal of signals) {
    if (signal?.aborted) controller.abort(signal.reason);
    signal?.addEventListener('abort', abort, { once: true });
  }
  const release = () => {
    for (const signal of signals) signal?.removeEventListener('abort', abort);
  };
  return { controller, release };
}

/** Runs `work` with a signal that aborts when one of the signals does, or after `ms`. */
export async function withSignals<Value>(
  signals: Signals,
  ms: number,
  work: (signal: AbortSignal) => Promise<Value>,
): Promise<Value> {
  const { controller, release } = linkedTo(signals);
  const timer = setTimeout(() => controller.abort(new DOMException(`No answer in ${ms} ms.`, 'TimeoutError')), ms);
  try {
    return await work(controller.signal);
  } finally {
    clearTimeout(timer);
    release();
  }
}

/** @throws the reason of a signal, as soon as it aborts */
export async function sleep(ms: number, signals: Signals): Promise<void> {
  const { controller, release } = linkedTo(signals);
  const { signal } = controller;
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  signal.addEventListener('abort', () => resolve(), { once: true });
  if (!signal.aborted) await promise;
  clearTimeout(timer);
  release();
  signal.throwIfAborted();
}
