// ResponseWriter that are ready in the same turn of the event loop leave together, at its end.
//
// A write wakes the thread at the other end if that sleeps, and the writer pays for it: 2 to 40 µs, most on
// a virtual machine. Written as soon as each is computed, every answer finds its reader asleep again;
// written together, only the first does. A turn with one answer ends at once, and loses nothing.

/** In a long turn some leave earlier: here a wake-up is worth hardly anything. */
const HELD_MS_MAX = 2;

interface Waiting {
  readonly promise: Promise<void>;
  readonly leave: () => void;
  readonly sinceMs: number;
}

/** A thread has one event loop, so there is one of these. */
let waiting: Waiting | undefined;

/** Resolves when an answer that is ready now should be written. */
export function nextFlush(): Promise<void> {
  const nowMs = performance.now();
  waiting ??= openDoor(nowMs);
  const { promise, leave, sinceMs } = waiting;
  if (nowMs - sinceMs >= HELD_MS_MAX) leave();
  return promise;
}

function openDoor(sinceMs: number): Waiting {
  const { promise, resolve } = Promise.withResolvers<void>();
  const leave = () => {
    if (waiting?.promise === promise) waiting = undefined;
    resolve();
  };
  setImmediate(leave);
  return { promise, leave, sinceMs };
}
