// How sessions end: deleted, or idle for longer than their lifetime. What is left is a tombstone, for a
// while. A session expires by the clock of the store, and while a call on it runs or waits it does not:
// the call sets a new end when it commits.
//
// A call on a shared store may run in another process. So 410 is told only once the tombstone is in the
// store: then that call can commit no more, and is told the same.
import { CarryoverError } from '../errors.ts';
import type { Revision, SessionStore } from '../store/store.ts';
import { gone } from './call.ts';
import type { CachedSession, SessionCache } from './session-cache.ts';
import { WRITE_CONFLICT } from './write-conflict.ts';
import { decodeHead, encodeTombstone, isTombstone } from './record.ts';
import { type Session, type Tombstone, expired } from './session.ts';
import type { SessionLocks } from './session-locks.ts';

export interface SessionExpiryOptions {
  readonly tombstoneMs: number;
  readonly now: () => number;
  /** Told of the model of each session that has ended; waited for, and rejects never. */
  readonly onEnded?: (modelId: string) => Promise<void>;
}

/** A call that another process runs has so long to commit; after that it may be told 410. */
const ELSEWHERE_MS = 3_000;
/** A session that is in use when it is due is looked at again after this. */
const BUSY_MS = 1_000;

export class SessionExpiry {
  readonly #store: SessionStore;
  readonly #hot: SessionCache;
  readonly #turns: SessionLocks;
  readonly #options: SessionExpiryOptions;

  constructor(store: SessionStore, hot: SessionCache, turns: SessionLocks, options: SessionExpiryOptions) {
    this.#store = store;
    this.#hot = hot;
    this.#turns = turns;
    this.#options = options;
  }

  /** Whether it has not expired, or is kept alive by a call. */
  isAlive({ id, expiresAtMs }: Session): boolean {
    return expiresAtMs > this.#options.now() || this.#turns.has(id);
  }

  /** @throws session_gone, final, if it is not alive · WRITE_CONFLICT */
  async expectAlive(hot: CachedSession): Promise<void> {
    if (this.isAlive(hot.session)) return;
    // Nobody else can have a call on it, nor a clock that says otherwise.
    if (!this.#store.isShared) throw gone(expired(hot.session));
    await this.#expire(hot);
  }

  /**
   * For a call whose turn it is, that came at `sinceMs`.
   *
   * @throws session_gone, and buries it, if it had expired when the call came · WRITE_CONFLICT
   */
  async expectLiveSince(hot: CachedSession, sinceMs: number): Promise<void> {
    if (hot.session.expiresAtMs <= sinceMs) await this.#expire(hot);
  }

  /** @param modelId undefined if the record is damaged · @throws WRITE_CONFLICT */
  async delete(
    ended: Omit<Tombstone, 'reason' | 'atMs'>,
    revision: Revision,
    modelId?: string,
  ): Promise<void> {
    const tombstone = { ...ended, reason: 'deleted', atMs: this.#options.now() } as const;
    if (!(await this.#writeTombstone(tombstone, revision, modelId))) throw WRITE_CONFLICT;
  }

  /**
   * SessionLocks expired sessions into tombstones and erases old tombstones, at most `limit` of them.
   *
   * @returns how many were looked at
   */
  async sweep(limit: number): Promise<number> {
    const due = await this.#store.due(this.#options.now(), limit);
    await Promise.all(
      due.map((id) => this.#sweepOne(id).catch((error: unknown) => this.#skip(id, error))),
    );
    return due.length;
  }

  /** The end of a session in its turn or beside it: the store compares its revision. */
  async #expire({ session, revision }: CachedSession): Promise<never> {
    if (!(await this.#writeTombstone(expired(session), revision, session.modelId))) throw WRITE_CONFLICT;
    throw gone(expired(session));
  }

  /** False if the record is at another revision by now. */
  async #writeTombstone(
    tombstone: Tombstone,
    revision: Revision,
    modelId: string | undefined,
  ): Promise<boolean> {
    const { id } = tombstone;
    this.#hot.delete(id);
    const dueAtMs = this.#options.now() + this.#options.tombstoneMs;
    if (!(await this.#store.writeTombstone(id, revision, encodeTombstone(tombstone), dueAtMs))) return false;
    if (modelId !== undefined) await this.#options.onEnded?.(modelId);
    return true;
  }

  async #sweepOne(id: string): Promise<void> {
    const nowMs = this.#options.now();
    if (this.#turns.has(id)) return this.#store.postpone(id, nowMs + BUSY_MS);
    const stored = await this.#store.read(id);
    const record = stored && decodeHead(id, stored.head);
    if (!stored || !record) return this.#store.forget(id);
    if (isTombstone(record)) {
      // One that another process has made just now may still be due as the session was.
      const forgottenAtMs = record.atMs + this.#options.tombstoneMs;
      if (forgottenAtMs > nowMs) return this.#store.postpone(id, forgottenAtMs);
      return this.#store.forget(id);
    }
    const endMs = this.#sweptAtMs(record);
    if (endMs > nowMs) return this.#store.postpone(id, endMs);
    await this.#writeTombstone(expired(record), stored.revision, record.modelId);
    return undefined;
  }

  #sweptAtMs({ expiresAtMs }: Session): number {
    return expiresAtMs + (this.#store.isShared ? ELSEWHERE_MS : 0);
  }

  /** A damaged record stays for whoever wants to look at it, and must not hold up the others. */
  async #skip(id: string, error: unknown): Promise<void> {
    if (!(error instanceof CarryoverError) || error.code !== 'session_corrupt') throw error;
    await this.#store.postpone(id, this.#options.now() + this.#options.tombstoneMs);
  }
}
