// One call that changes a session, from the lock to the commit:
//
//   acquire the lock → load the session as committed last → compare the idempotency key → compare If-Match
//   → compute → print → check that the client is connected → commit, as a whole or not at all → answer
//
// Sessions.begin() acquires the lock, and disposing of the change releases it. In between the caller runs
// an attempt with retryOnConflict(): load(), then either the answer of `replay` or a commit.
import { CarryoverError } from '../errors.ts';
import type { Revision, SessionStore } from '../store/store.ts';
import { type KeyLookup, dependsOnState, withApplied } from './applied.ts';
import type { Call } from './call.ts';
import type { SessionCreation } from './creation.ts';
import type { SessionExpiry } from './expiry.ts';
import { expectSameNumerics, expectSameState, expectSteps, findKeptAnswer, keepsAnswerTo } from './idempotency.ts';
import { randomIncarnation, randomNonce } from './ids.ts';
import type { ChangeMetadata, KeptAnswer, Reply } from './kept-answer.ts';
import { readSession } from './lookup.ts';
import { decodeRecord, encodeChange, isTombstone } from './record.ts';
import type { CachedSession, SessionCache } from './session-cache.ts';
import type { SessionObserver } from './session-observer.ts';
import { type Session, type SessionSpec, type Tombstone, newSession } from './session.ts';
import { type ReplayedSteps, answerToSteps, withFullTtl, withKeptAnswer, withStateBefore } from './transitions.ts';
import { WRITE_CONFLICT, retryOnConflict } from './write-conflict.ts';

export interface SessionChangeParts {
  readonly store: SessionStore;
  readonly cache: SessionCache;
  readonly expiry: SessionExpiry;
  readonly creation: SessionCreation;
  /** Number of the numerics that compute the steps; see wasm/numerics.ts. */
  readonly numerics: number;
  /** The clock of the store, ms since 1970. */
  readonly now: () => number;
  readonly observer: SessionObserver | undefined;
}

export class SessionChange implements Disposable {
  readonly id: string;
  readonly call: Call;
  readonly #parts: SessionChangeParts;
  /** When the call was received: a session that expires later, while the call waits for its lock, is still served. */
  readonly #receivedMs: number;
  readonly #lock: Disposable;
  /** Result of load(). */
  #loaded: CachedSession | undefined;
  #replay: KeptAnswer | undefined;
  #isFromCache = false;
  #lookup: KeyLookup | undefined;

  constructor(parts: SessionChangeParts, id: string, call: Call, receivedMs: number, lock: Disposable) {
    this.#parts = parts;
    this.id = id;
    this.call = call;
    this.#receivedMs = receivedMs;
    this.#lock = lock;
  }

  /** Releases the session's lock. */
  [Symbol.dispose](): void {
    this.#lock[Symbol.dispose]();
  }

  /** The kept answer of the call, if its idempotency key was used before. */
  get replay(): KeptAnswer | undefined {
    return this.#replay;
  }

  /**
   * Runs `attempt`, which begins with load(). Repeats it as long as another process commits first, or the cached
   * session turns out to be stale. An error that is thrown says by its `applied` whether the call was applied.
   *
   * @throws session_busy · what `attempt` throws
   */
  retryOnConflict<Result>(attempt: () => Promise<Result>): Promise<Result> {
    return retryOnConflict(this.id, attempt, (error) => this.#meaningOf(error));
  }

  /**
   * Runs `attempt` once, which follows loadCached().
   *
   * @returns false if another process has committed first, or if the copy in memory is stale: nothing has changed, and the
   *   next load() reads the store
   * @throws what `attempt` throws but for WRITE_CONFLICT; the error says by its `applied` whether the call was applied
   */
  async tryOnce(attempt: () => Promise<void>): Promise<boolean> {
    try {
      await attempt();
      return true;
    } catch (thrown) {
      const error = this.#meaningOf(thrown);
      if (error === WRITE_CONFLICT) return false;
      throw error;
    }
  }

  /**
   * The session as it was committed last, from memory or else from the store; sets `replay`.
   *
   * @param fromStore for a change whose commit does not compare the session's revision: a copy in memory may
   *   be stale
   * @throws session_not_found · session_gone · session_corrupt · idempotency_key_reused
   */
  async load({ fromStore = false } = {}): Promise<Session> {
    const { cache, expiry } = this.#parts;
    const cached = fromStore ? undefined : cache.get(this.id);
    this.#isFromCache = cached !== undefined;
    const loaded = cached ?? (await this.#loadFromStore());
    // Before the key is looked up: a kept answer of an expired session is not given, whether or not it was swept yet.
    await expiry.endIfExpiredBy(loaded, this.#receivedMs);
    return this.#lookUpKey(loaded);
  }

  /**
   * Like load(), of a session that is in memory, has not expired, and has not taken the call before: undefined if one of
   * these is not so.
   */
  loadCached(): Session | undefined {
    const cached = this.#parts.cache.get(this.id);
    if (!cached || cached.session.expiresAtMs <= this.#receivedMs || keepsAnswerTo(cached.session, this.call)) return undefined;
    this.#isFromCache = true;
    return this.#lookUpKey(cached);
  }

  /**
   * Like load(), with a record that the caller has read from the store: ends the session if it has expired, and sets
   * `replay`.
   *
   * @throws session_gone · idempotency_key_reused
   */
  async use(session: Session, revision: Revision): Promise<Session> {
    const loaded = { session, revision };
    await this.#parts.expiry.endIfExpiredBy(loaded, this.#receivedMs);
    return this.#lookUpKey(loaded);
  }

  /**
   * Like load(), of an id that a client may use for one session after the other: the tombstone of one that has ended,
   * undefined if there is neither.
   *
   * @throws session_corrupt · idempotency_key_reused
   */
  async find(): Promise<Session | Tombstone | undefined> {
    this.#loaded = undefined;
    try {
      return await this.load();
    } catch (error) {
      const code = error instanceof CarryoverError ? error.code : undefined;
      if (code === 'session_not_found') return undefined;
      if (code !== 'session_gone') throw error;
    }
    const stored = await this.#parts.store.read(this.id);
    const record = stored && decodeRecord(this.id, stored);
    // Another process begins the next session, or has begun it.
    if (record && !isTombstone(record)) throw WRITE_CONFLICT;
    return record;
  }

  async #loadFromStore(): Promise<CachedSession> {
    const loaded = await readSession(this.#parts.store, this.id);
    this.#parts.cache.set(loaded);
    return loaded;
  }

  #lookUpKey(loaded: CachedSession): Session {
    const { session } = loaded;
    const { isShared } = this.#parts.store;
    const replay = findKeptAnswer(session, this.call);
    // A shared store may have lost the answer that the copy in memory has.
    if (replay && this.#isFromCache && isShared) throw this.#stale();
    this.#loaded = loaded;
    this.#replay = replay;
    this.#lookup = { session, keptAnswer: replay, isShared };
    return session;
  }

  /** The metadata of a change that is made now. */
  newMetadata({ ttlMs }: Session): ChangeMetadata {
    return { nonce: randomNonce(), expiresAtMs: this.#parts.now() + ttlMs };
  }

  /**
   * The input with which the steps of a replayed call are computed again.
   *
   * @throws idempotency_key_reused if the call was no step or sequence · answer_not_kept if other numerics
   *   computed them
   */
  replayedSteps(): ReplayedSteps {
    const { session } = this.#loaded!;
    const replay = expectSteps(this.#replay!);
    expectSameNumerics(replay, session, this.#parts.numerics);
    return { before: withStateBefore(session, replay), metadata: replay.metadata };
  }

  /** @throws answer_not_kept unless the steps computed again came to the state that was committed */
  expectSameBits(after: Session): void {
    expectSameState(expectSteps(this.#replay!), this.#loaded!.session, after);
    this.#parts.observer?.onReplay();
  }

  /**
   * Commits the state after some steps. For a call with a key it also stores the state before them, from which the
   * answer can be computed again.
   *
   * @throws WRITE_CONFLICT · client_closed · deadline_exceeded · store_full · store_unavailable
   */
  commitSteps(answered: Session): Promise<void> {
    const { numerics, observer } = this.#parts;
    const before = this.#loaded!.session.numerics;
    if (before !== undefined && before !== numerics) observer?.onOtherNumerics(before);
    const lasting = withFullTtl(answered, this.#parts.now());
    const after = before === numerics ? lasting : { ...lasting, numerics };
    const { key } = this.call;
    return this.#commit(key ? withKeptAnswer(after, answerToSteps(key, this.#loaded!.session, answered, numerics)) : after);
  }

  /**
   * Commits a change whose answer is short. For a call with a key it keeps the answer.
   *
   * @throws as commitSteps
   */
  commitReply(after: Session, reply: Reply): Promise<void> {
    const { key } = this.call;
    return this.#commit(key ? withKeptAnswer(after, { kind: 'reply', ...key, reply }) : after);
  }

  /** A session with this id at t = 0, for commitAnew(). */
  newSession(spec: SessionSpec): Session {
    const { now, numerics } = this.#parts;
    return newSession(this.id, randomIncarnation(), spec, now(), numerics);
  }

  /**
   * Ends the session that find() has returned, if it has, and stores in its place one that has taken its first steps.
   *
   * @param first the session before these steps
   * @throws as commitSteps · sessions_full · rate_limited; the session before it may have ended then
   */
  async commitAnew(first: Session, answered: Session): Promise<void> {
    const { key, lifetime } = this.call;
    lifetime.throwIfOver();
    const after = key ? withKeptAnswer(answered, answerToSteps(key, first, answered, this.#parts.numerics)) : answered;
    const replace = async () => {
      if (this.#loaded) await this.#writeTombstone(this.#loaded);
      await this.#parts.creation.createAgain(after, lifetime);
    };
    await lifetime.race(replace(), 'unknown');
  }

  /**
   * Ends the session that was loaded. Nothing happens if there is none.
   *
   * @param t the steps that it has taken with those of this call
   * @throws as commitSteps
   */
  async end(t: number): Promise<void> {
    const { lifetime } = this.call;
    lifetime.throwIfOver();
    if (this.#loaded) await lifetime.race(this.#writeTombstone(this.#loaded, t), 'unknown');
  }

  #writeTombstone({ session, revision }: CachedSession, t = session.t): Promise<void> {
    const { key, lifetime } = this.call;
    return this.#parts.expiry.delete({ id: this.id, t, deletion: key }, revision, session, lifetime.record);
  }

  async #commit(after: Session): Promise<void> {
    const { id, call } = this;
    const { store, cache } = this.#parts;
    const { session, revision } = this.#loaded!;
    call.lifetime.throwIfOver();
    // Until the store has answered it is not known what it holds.
    cache.delete(id);
    const { record } = call.lifetime;
    const next = await record.measure('commitMs', () => {
      const change = store.change(id, revision, encodeChange(session, after), record.trace);
      // The store may commit it at any time after the caller has stopped waiting.
      return call.lifetime.race(change, 'unknown');
    });
    if (next === undefined) throw WRITE_CONFLICT;
    cache.set({ session: after, revision: next });
  }

  /** What the error that an attempt ended with means: WRITE_CONFLICT, or the error with its `applied`. */
  #meaningOf(error: unknown): unknown {
    const { store } = this.#parts;
    const mayBeStale = this.#isFromCache && store.isShared;
    const lookup = this.#lookup;
    this.#isFromCache = false;
    this.#lookup = undefined;
    if (mayBeStale && dependsOnState(error)) return this.#stale();
    if (error instanceof CarryoverError && error.code === 'step_conflict') this.#parts.observer?.onConflict();
    return withApplied(error, this.call, lookup);
  }

  /** Makes the next attempt load the session from the store. */
  #stale(): typeof WRITE_CONFLICT {
    this.#parts.cache.delete(this.id);
    return WRITE_CONFLICT;
  }
}
