// The times of spans are those of performance.now(), which never jumps, moved to ms since 1970.

/** Date.now() has whole ms, and the two are not read in one moment. */
const TOLERANCE_MS = 2;

let offsetMs = performance.timeOrigin;

/** What to add to performance.now(). It changes only when the system's clock was set, or has drifted. */
export function epochOffsetMs(): number {
  const measuredMs = Date.now() - performance.now();
  if (Math.abs(measuredMs - offsetMs) > TOLERANCE_MS) offsetMs = measuredMs;
  return offsetMs;
}
