// What time it is, for what must not depend on the wall clock: that one is set, by people and by NTP, and
// a lifetime measured with it would end or never end at a jump.

/** A clock in ms since 1970 that starts with the wall clock and then counts the time that passes. */
export function monotonicClock(): () => number {
  const startMs = Date.now() - performance.now();
  return () => Math.round(startMs + performance.now());
}
