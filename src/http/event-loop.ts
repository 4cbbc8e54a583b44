// How long this turn of the event loop has run, for work that goes on in microtasks: it would not let anything
// else happen until it is done.

/**
 * Shared by all who ask: ten times what a small message takes. An iteration can last twice as long, since
 * callbacks of I/O and those of setImmediate, which follow them, have this much each.
 */
const TURN_MS_MAX = 3;

let beganAtMs: number | undefined;

/** The turn is measured from when this was first called in it. */
export function beginTurn(): number {
  if (beganAtMs === undefined) {
    beganAtMs = performance.now();
    setImmediate(endTurn);
  }
  return beganAtMs;
}

/** Whether the rest should wait for the next turn. */
export function isTurnOver(): boolean {
  return performance.now() - beginTurn() >= TURN_MS_MAX;
}

export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

function endTurn(): void {
  beganAtMs = undefined;
}
