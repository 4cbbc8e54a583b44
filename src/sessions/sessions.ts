// The operations on sessions, and their guarantee: an answer that was sent has been committed,
// and an error before the commit has changed nothing; session-change.ts has the order of a change.
//
// Where other processes share the store, the commit compares revisions: of two changes one is committed, and
// the other call is attempted again on what the store holds then. So is a call whose cached session is newer
// than a store that has lost changes: the commit is refused, and no answer comes from the cache alone.
import { CarryoverError } from '../errors.ts';
import type { RequestRecord } from '../request-record.ts';
import type { SessionStore } from '../store/store.ts';
import type { Tenant } from '../tenant.ts';
import { throwAppliedUnknown } from './applied.ts';
import type { Call, CallResult } from './call.ts';
import { SessionCreation, type SessionCreationOptions } from './creation.ts';
import { SessionExpiry, type SessionExpiryOptions } from './expiry.ts';
import { expectDeletedBy, idempotencyKeyReused } from './idempotency.ts';
import type { ChangeMetadata, IdempotencyKey, KeptAnswer, Reply } from './kept-answer.ts';
import { type SessionPage, listSessions } from './listing.ts';
import { ifIntact, readSession, readStored } from './lookup.ts';
import { expectIfMatch } from './precondition.ts';
import { decodeRecord, isTombstone } from './record.ts';
import { expectOwnedBy, isOwnedBy } from './session-owner.ts';
import { SessionCache } from './session-cache.ts';
import { SessionChange, type SessionChangeParts } from './session-change.ts';
import { SessionLocks } from './session-locks.ts';
import type { PastState, Session, SessionSpec } from './session.ts';
import { advanced, rewound } from './transitions.ts';
import { retryOnConflict } from './write-conflict.ts';

export interface SessionsOptions extends SessionExpiryOptions, SessionCreationOptions {
  /** Most bytes of sessions in the cache, about. */
  readonly cacheBytesMax: number;
  /** Most calls that may wait for the lock of one session (SESSION_QUEUE_MAX). */
  readonly waitingMax: number;
}

export class Sessions {
  readonly #store: SessionStore;
  readonly #options: SessionsOptions;
  readonly #cache: SessionCache;
  readonly #locks: SessionLocks;
  readonly #expiry: SessionExpiry;
  readonly #creation: SessionCreation;
  readonly #changeParts: SessionChangeParts;

  constructor(store: SessionStore, options: SessionsOptions) {
    this.#store = store;
    this.#options = options;
    this.#cache = new SessionCache(options.cacheBytesMax);
    this.#locks = new SessionLocks(options);
    this.#expiry = new SessionExpiry(store, this.#cache, this.#locks, options);
    this.#creation = new SessionCreation(store, this.#cache, this.#expiry, options);
    const { numerics, now, observer } = options;
    const { cache, expiry, creation } = { cache: this.#cache, expiry: this.#expiry, creation: this.#creation };
    this.#changeParts = { store, cache, expiry, creation, numerics, now, observer };
  }

  /** A session of the tenant. @throws as SessionCreation.create */
  create(spec: SessionSpec, tenant?: Tenant, record?: RequestRecord): Promise<Session> {
    return this.#creation.create(spec, tenant, record);
  }

  /** @throws as SessionCreation.createOnce */
  createOnce(
    spec: SessionSpec,
    key: IdempotencyKey,
    reply: (session: Session) => Reply,
    tenant?: Tenant,
    record?: RequestRecord,
  ): Promise<CallResult<Reply>> {
    return this.#creation.createOnce(spec, key, reply, tenant, record);
  }

  /** @throws as SessionCreation.created */
  created(key: IdempotencyKey, tenant?: Tenant): Promise<CallResult<Reply> | undefined> {
    return this.#creation.created(key, tenant);
  }

  /** The id of the session of a sequence. @throws store_unavailable */
  sequenceId(name: string, tenant?: Tenant): Promise<string> {
    return this.#creation.sequenceId(name, tenant);
  }

  /** A page of the tenant's sessions that have not expired; see listSessions(). */
  list(after: string | undefined, limit: number, modelId?: string, tenant?: Tenant): Promise<SessionPage> {
    const hasExpired = (session: Session) => this.#expiry.hasExpired(session);
    return listSessions(this.#store, hasExpired, { after, limit, modelId, tenant });
  }

  /**
   * The session as it was committed last.
   *
   * @throws session_not_found, also if it is of another tenant · session_gone · session_corrupt
   */
  async read(id: string, tenant?: Tenant): Promise<Session> {
    expectOwnedBy(id, tenant);
    return retryOnConflict(id, async () => {
      const known = this.#store.isShared ? undefined : this.#cache.get(id);
      const cached = known ?? (await readSession(this.#store, id));
      await this.#expiry.endIfExpired(cached);
      return cached.session;
    });
  }

  /**
   * Begins a change: acquires the session's lock, which disposing of the change releases. See session-change.ts.
   *
   * @throws session_not_found if it is of another tenant · idempotency_key_in_use · session_busy · client_closed
   */
  async begin(id: string, call: Call): Promise<SessionChange> {
    expectOwnedBy(id, call.lifetime.tenant);
    const receivedMs = this.#options.now();
    call.lifetime.record.sessionId = id;
    const lock = await this.#locks.acquire(id, call.key?.key, call.lifetime);
    return new SessionChange(this.#changeParts, id, call, receivedMs, lock);
  }

  /**
   * As begin(), without waiting: undefined if another call holds the lock, or if the session is of another tenant.
   */
  tryBegin(id: string, call: Call): SessionChange | undefined {
    if (!isOwnedBy(id, call.lifetime.tenant)) return undefined;
    const lock = this.#locks.tryAcquire(id, call.key?.key);
    if (!lock) return undefined;
    call.lifetime.record.sessionId = id;
    return new SessionChange(this.#changeParts, id, call, this.#options.now(), lock);
  }

  /** The model of a session that is in memory, as it was committed last or, where the store is shared, perhaps earlier. */
  modelIfCached(id: string): string | undefined {
    return this.#cache.get(id)?.session.modelId;
  }

  /**
   * Puts another state in place of the present one.
   *
   * @throws session_not_found · session_gone · step_conflict · idempotency_key_reused ·
   *   idempotency_key_in_use · session_busy · client_closed · deadline_exceeded · store_full ·
   *   store_unavailable; what `next` throws
   */
  setState(
    id: string,
    call: Call,
    next: (session: Session) => Promise<PastState>,
    reply: (after: Session, before: Session) => Reply,
  ): Promise<CallResult<Reply>> {
    const { numerics } = this.#options;
    return this.#changeState(id, call, reply, async (session, metadata) => ({
      ...advanced(session, await next(session), metadata),
      numerics,
    }));
  }

  /** Back to the latest kept state of step t. @throws state_not_kept · as setState */
  rewind(
    id: string,
    call: Call,
    t: number,
    reply: (after: Session, before: Session) => Reply,
  ): Promise<CallResult<Reply>> {
    return this.#changeState(id, call, reply, async (session, metadata) => {
      const after = rewound(session, t, metadata);
      if (after) return after;
      const kept = session.past.map((state) => state.t);
      throw new CarryoverError('state_not_kept', {
        detail:
          kept.length > 0
            ? `Session ${id} keeps the states of the steps [${kept.join(', ')}], not of ${t}.`
            : `Session ${id} keeps no state before the present one: its \`keep\` is ${session.keep}` +
              (session.keep > 0 ? ', and there is no change to go back before.' : '; set it at creation.'),
        errors: [{ pointer: '/t', message: `expected one of ${kept.join(', ') || 'none'}` }],
        members: { kept },
      });
    });
  }

  /** A change that computes nothing. Its answer is short, and kept as it is. */
  async #changeState(
    id: string,
    call: Call,
    reply: (after: Session, before: Session) => Reply,
    transition: (session: Session, metadata: ChangeMetadata) => Promise<Session>,
  ): Promise<CallResult<Reply>> {
    using change = await this.begin(id, call);
    return await change.retryOnConflict(async () => {
      const session = await change.load();
      if (change.replay) return this.#replay(change.replay);
      expectIfMatch(session, call);
      const after = await transition(session, change.newMetadata(session));
      const value = reply(after, session);
      await change.commitReply(after, value);
      return { value, replayed: false };
    });
  }

  /**
   * Another session that goes on from the present state. With a key its id follows from the id of this
   * session and the key: if the call fails after the fork was made and before the key was kept, the next
   * attempt finds the same fork. Where the fork of a key has ended, and the key is no longer kept, the call
   * is a new one.
   *
   * @throws sessions_full · as setState
   */
  async fork(
    id: string,
    call: Call,
    reply: (fork: Session, before: Session) => Reply,
  ): Promise<CallResult<Reply>> {
    using change = await this.begin(id, call);
    return await change.retryOnConflict(async () => {
      // Making the fork does not compare the revision of this session.
      const session = await change.load({ fromStore: this.#store.isShared });
      if (change.replay) return this.#replay(change.replay);
      const target = await this.#creation.findFork(session, call.key?.key);
      // A fork that an earlier attempt made stands for this call, whatever has happened since.
      if (!target.exists) {
        expectIfMatch(session, call);
        await this.#creation.expectCapacity();
      }
      call.lifetime.throwIfOver();
      const fork = await this.#creation.addFork(session, target, call.lifetime);
      const value = reply(fork, session);
      if (call.key) await change.commitReply(session, value).catch(throwAppliedUnknown);
      return { value, replayed: false };
    });
  }

  /**
   * Ends a session. `before` is undefined if an earlier attempt has, or if its record was damaged.
   *
   * @throws session_not_found · session_gone · step_conflict · store_unavailable
   */
  async delete(id: string, call: Call): Promise<{ readonly replayed: boolean; readonly before?: Session }> {
    using change = await this.begin(id, call);
    const { record: measured } = call.lifetime;
    return await change.retryOnConflict(async () => {
      const stored = await readStored(this.#store, id);
      const { revision } = stored;
      const record = ifIntact(() => decodeRecord(id, stored));
      if (!record) {
        // A damaged record can be deleted, but its version cannot be compared.
        if (call.ifMatch !== undefined && call.ifMatch !== '*') decodeRecord(id, stored);
        await this.#expiry.delete({ id, deletion: call.key }, revision, undefined, measured);
        return { replayed: false };
      }
      if (isTombstone(record)) {
        expectDeletedBy(call, record);
        this.#options.observer?.onReplay();
        return { replayed: true };
      }
      const session = await change.use(record, revision);
      if (change.replay) throw idempotencyKeyReused(change.replay);
      expectIfMatch(session, call);
      call.lifetime.throwIfOver();
      await this.#expiry.delete({ id, t: session.t, deletion: call.key }, revision, session, measured);
      return { replayed: false, before: session };
    });
  }

  /** @returns how many that were due were looked at; see SessionExpiry.sweep */
  sweep(limit: number): Promise<number> {
    return this.#expiry.sweep(limit);
  }

  #replay(answer: KeptAnswer): CallResult<Reply> {
    if (answer.kind !== 'reply') throw idempotencyKeyReused(answer);
    this.#options.observer?.onReplay();
    return { value: answer.reply, replayed: true };
  }
}
