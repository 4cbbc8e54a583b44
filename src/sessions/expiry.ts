// What happens at expiry, and how sessions end otherwise: a session is deleted by a call, or it expires
// when it was not changed for ttlMs. Its record is replaced by a tombstone, which is erased after
// tombstoneMs. Times are those of the store's clock. A session does not expire while a call on it runs or
// waits: the call sets a new expiry time when it commits.
//
// In a shared store that call may run in another process. So session_gone is answered only after the
// tombstone is in the store: from then on the other call cannot commit, and gets the same answer.
import { CarryoverError } from '../errors.ts';
import type { RequestRecord } from '../request-record.ts';
import type { Revision, SessionStore } from '../store/store.ts';
import { decodeHead, encodeTombstone, isTombstone } from './record.ts';
import type { CachedSession, SessionCache } from './session-cache.ts';
import { sessionGone } from './session-gone.ts';
import type { SessionObserver } from './session-observer.ts';
import type { TenantSessions } from './tenant-sessions.ts';
import type { SessionLocks } from './session-locks.ts';
import type { Session, Tombstone } from './session.ts';
import { expiredTombstone } from './transitions.ts';
import { WRITE_CONFLICT } from './write-conflict.ts';

export interface SessionExpiryOptions {
  /** How long a tombstone is kept. */
  readonly tombstoneMs: number;
  readonly now: () => number;
  /** Called with the model of each session that has ended, and awaited; must not reject. */
  readonly onEnded?: (modelId: string) => Promise<void>;
  readonly observer?: SessionObserver | undefined;
  /** Undefined if no tenant has a limit. */
  readonly tenantSessions?: TenantSessions | undefined;
}

/**
 * Added to the expiry of a shared store's sessions before they are swept: calls of other processes may still commit.
 */
const SHARED_GRACE_MS = 3_000;
/** A session that is locked when it is due is looked at again after this. */
const LOCKED_RETRY_MS = 1_000;

export class SessionExpiry {
  readonly #store: SessionStore;
  readonly #cache: SessionCache;
  readonly #locks: SessionLocks;
  readonly #options: SessionExpiryOptions;

  constructor(store: SessionStore, cache: SessionCache, locks: SessionLocks, options: SessionExpiryOptions) {
    this.#store = store;
    this.#cache = cache;
    this.#locks = locks;
    this.#options = options;
  }

  /** Whether its time is over, and no call of this process holds or awaits its lock. */
  hasExpired({ id, expiresAtMs }: Session): boolean {
    return expiresAtMs <= this.#options.now() && !this.#locks.has(id);
  }

  /**
   * For a call that reads without the session's lock: ends the session if hasExpired(). In a shared store this writes
   * its tombstone.
   *
   * @throws session_gone if it has ended · WRITE_CONFLICT if its record was changed meanwhile
   */
  async endIfExpired(cached: CachedSession): Promise<void> {
    if (!this.hasExpired(cached.session)) return;
    // Without a tombstone: no other process can have a call on it, or a clock by which it has not expired.
    if (!this.#store.isShared) throw sessionGone(expiredTombstone(cached.session));
    await this.#expire(cached);
  }

  /**
   * For a call that holds the session's lock: writes the tombstone if the session had expired when the call was
   * received.
   *
   * @param receivedMs when the call was received
   * @throws session_gone if it has ended · WRITE_CONFLICT if its record was changed meanwhile
   */
  async endIfExpiredBy(cached: CachedSession, receivedMs: number): Promise<void> {
    if (cached.session.expiresAtMs <= receivedMs) await this.#expire(cached);
  }

  /** Writes the tombstone of a deletion. @param session undefined if the record is damaged · @param record of the request · @throws WRITE_CONFLICT */
  async delete(
    ended: Omit<Tombstone, 'reason' | 'atMs'>,
    revision: Revision,
    session?: Session,
    record?: RequestRecord,
  ): Promise<void> {
    const tombstone = { ...ended, reason: 'deleted', atMs: this.#options.now() } as const;
    const write = () => this.#writeTombstone(tombstone, revision, session, record);
    if (!(await (record ? record.measure('commitMs', write) : write()))) throw WRITE_CONFLICT;
  }

  /**
   * Turns expired sessions into tombstones and erases old tombstones.
   *
   * @param limit of records that are looked at
   * @returns how many were due and were looked at
   */
  async sweep(limit: number): Promise<number> {
    const due = await this.#store.due(this.#options.now(), limit);
    await Promise.all(
      due.map((id) => this.#sweepOne(id).catch((error: unknown) => this.#skip(id, error))),
    );
    return due.length;
  }

  /** Writes the tombstone; needs no lock, as the store compares the revision. @throws session_gone · WRITE_CONFLICT */
  async #expire({ session, revision }: CachedSession): Promise<never> {
    if (!(await this.#writeTombstone(expiredTombstone(session), revision, session))) throw WRITE_CONFLICT;
    throw sessionGone(expiredTombstone(session));
  }

  /** @returns whether it was written: false if the record has another revision by now */
  async #writeTombstone(
    tombstone: Tombstone,
    revision: Revision,
    session: Session | undefined,
    record?: RequestRecord,
  ): Promise<boolean> {
    const { id } = tombstone;
    this.#cache.delete(id);
    const dueAtMs = this.#options.now() + this.#options.tombstoneMs;
    const head = encodeTombstone(tombstone);
    if (!(await this.#store.writeTombstone(id, revision, head, dueAtMs, record?.trace))) return false;
    this.#options.observer?.onEnded(session, tombstone);
    this.#options.tenantSessions?.ended(id, session);
    if (session) await this.#options.onEnded?.(session.modelId);
    return true;
  }

  async #sweepOne(id: string): Promise<void> {
    const nowMs = this.#options.now();
    if (this.#locks.has(id)) return this.#store.postpone(id, nowMs + LOCKED_RETRY_MS);
    const stored = await this.#store.read(id);
    const record = stored && decodeHead(id, stored.head);
    if (!stored || !record) return this.#store.forget(id);
    if (isTombstone(record)) {
      // Another process may have written it after this sweep read which records are due.
      const erasedAtMs = record.atMs + this.#options.tombstoneMs;
      if (erasedAtMs > nowMs) return this.#store.postpone(id, erasedAtMs);
      return this.#store.forget(id);
    }
    const dueAtMs = this.#sweptAtMs(record);
    if (dueAtMs > nowMs) return this.#store.postpone(id, dueAtMs);
    await this.#writeTombstone(expiredTombstone(record), stored.revision, record);
    return undefined;
  }

  #sweptAtMs({ expiresAtMs }: Session): number {
    return expiresAtMs + (this.#store.isShared ? SHARED_GRACE_MS : 0);
  }

  /** A damaged record is kept for inspection, and postponed so that it does not block the others. */
  async #skip(id: string, error: unknown): Promise<void> {
    if (!(error instanceof CarryoverError) || error.code !== 'session_corrupt') throw error;
    await this.#store.postpone(id, this.#options.now() + this.#options.tombstoneMs);
  }
}
