// Sessions, counted as they are created and end.
import { type SessionObserver, ageAtEnd } from '../sessions/session-observer.ts';
import { METRICS } from './catalogue.ts';
import type { Exposition } from './exposition.ts';

/** Sessions that were deleted although their record was damaged are counted, but their age is not known. */
export function sessionMetrics(exposition: Exposition): SessionObserver {
  const created = exposition.counter(METRICS.sessionsCreated).of();
  const stateBytes = exposition.histogram(METRICS.sessionStateBytes).of();
  const counts = exposition.counter(METRICS.sessionsEnded);
  const ages = exposition.histogram(METRICS.sessionAge);
  const idles = exposition.histogram(METRICS.sessionIdle);
  const conflicts = exposition.counter(METRICS.sessionConflicts).of();
  const replays = exposition.counter(METRICS.sessionReplays).of();
  const otherNumerics = exposition.counter(METRICS.sessionNumericsChanges).of();
  const endedBy = (reason: 'expired' | 'deleted') => {
    return { count: counts.of(reason), age: ages.of(reason), idle: idles.of(reason) };
  };
  const ended = { expired: endedBy('expired'), deleted: endedBy('deleted') };
  return {
    onCreated: ({ state }) => {
      created.add();
      stateBytes.observe(state.byteLength);
    },
    onEnded: (session, tombstone) => {
      const { count, age, idle } = ended[tombstone.reason];
      count.add();
      if (!session) return;
      const { ageMs, idleMs } = ageAtEnd(session, tombstone);
      age.observe(ageMs / 1_000);
      idle.observe(idleMs / 1_000);
    },
    onConflict: () => conflicts.add(),
    onReplay: () => replays.add(),
    onOtherNumerics: () => otherNumerics.add(),
  };
}
