// Write coalescing: responses that are ready in the same event-loop iteration are written together, at its end.
//
// A write wakes the receiving thread if that sleeps, which costs the writer 2 to 40 µs, most on a virtual machine. If
// each response were written as soon as it is computed, the receiver would have gone to sleep again before each of
// them; if all are written together, only the first write wakes it. A response that is the only one of its iteration is
// not delayed, as the iteration ends right after it.

/** In a long iteration responses are written after this time: beside it a wake-up costs little. */
const DELAY_MS_MAX = 2;

interface Flush {
  readonly promise: Promise<void>;
  readonly run: () => void;
  readonly sinceMs: number;
}

/** The flush that responses wait for. There is one event loop in a thread, and so one of these. */
let pending: Flush | undefined;

/** Resolves when a response that is ready now should be written. */
export function nextFlush(): Promise<void> {
  const nowMs = performance.now();
  pending ??= scheduleFlush(nowMs);
  const { promise, run, sinceMs } = pending;
  if (nowMs - sinceMs >= DELAY_MS_MAX) run();
  return promise;
}

function scheduleFlush(sinceMs: number): Flush {
  const { promise, resolve } = Promise.withResolvers<void>();
  const run = () => {
    if (pending?.promise === promise) pending = undefined;
    resolve();
  };
  setImmediate(run);
  return { promise, run, sinceMs };
}
