// What the sessions report to those that measure or record them.
import type { Session, Tombstone } from './session.ts';

export interface SessionObserver {
  /** A session was stored for the first time, also a fork. */
  onCreated(session: Session): void;
  /**
   * A session has ended: this process has written its tombstone.
   *
   * @param session undefined if its record was damaged
   */
  onEnded(session: Session | undefined, tombstone: Tombstone): void;
  /** A call was refused because its If-Match names another version (412). */
  onConflict(): void;
  /** A call was answered with the answer of an earlier attempt, found by its Idempotency-Key. */
  onReplay(): void;
  /** A session goes on from a state that other numerics have computed. @param before their number */
  onOtherNumerics(before: number): void;
}

/** How old a session was when it ended, and how long it had not been changed, in ms. */
export function ageAtEnd({ createdAtMs, expiresAtMs, ttlMs }: Session, { atMs }: Tombstone) {
  return { ageMs: Math.max(0, atMs - createdAtMs), idleMs: Math.max(0, atMs - (expiresAtMs - ttlMs)) };
}
