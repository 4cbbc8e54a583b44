// How long the current event-loop iteration has lasted, for work that continues in microtasks: nothing else
// runs until they are done.

/**
 * Of all such work together: ten times what a small message takes. An iteration can last twice as long, since
 * callbacks of I/O and those of setImmediate, which follow them, have this much each.
 */
const ITERATION_MS_MAX = 3;

let beganAtMs: number | undefined;

/** When this was first called in the current iteration, which counts as its beginning; in ms of performance.now(). */
export function beginIteration(): number {
  if (beganAtMs === undefined) {
    beganAtMs = performance.now();
    setImmediate(endIteration);
  }
  return beganAtMs;
}

/** Whether the remaining work should wait for the next iteration. */
export function isIterationOver(): boolean {
  return performance.now() - beginIteration() >= ITERATION_MS_MAX;
}

function endIteration(): void {
  beganAtMs = undefined;
}
