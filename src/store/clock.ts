// The clock of the stores of one process. The wall clock may be set, by an operator or by NTP, and a lifetime
// that is measured with it would then end early or never.

/** Starts a clock at the time of the wall clock, in ms since 1970, that then counts the time that passes. */
export function monotonicClock(): () => number {
  const startMs = Date.now() - performance.now();
  return () => Math.round(startMs + performance.now());
}
