// How sessions are created: by a call of their own, once for each idempotency key, or as forks.
import { CarryoverError } from '../errors.ts';
import type { Lifetime } from '../lifetime.ts';
import type { RequestRecord } from '../request-record.ts';
import type { Revision, SessionStore } from '../store/store.ts';
import type { Tenant } from '../tenant.ts';
import type { CallResult } from './call.ts';
import type { SessionExpiry } from './expiry.ts';
import { idempotencyKeyReused } from './idempotency.ts';
import { forkIdFromKey, idFromKey, idOfSequence, randomId, randomIncarnation } from './ids.ts';
import type { IdempotencyKey, Reply } from './kept-answer.ts';
import { readRecord } from './lookup.ts';
import { decodeHead, decodeRecord, encodeSession, isTombstone } from './record.ts';
import type { SessionCache } from './session-cache.ts';
import { sessionGone } from './session-gone.ts';
import { idPrefixOf, prefixIn } from './session-owner.ts';
import type { SessionObserver } from './session-observer.ts';
import { type Session, type SessionSpec, newSession } from './session.ts';
import type { Reserved, TenantSessions } from './tenant-sessions.ts';
import { forked } from './transitions.ts';
import { WRITE_CONFLICT, retryOnConflict } from './write-conflict.ts';

export interface SessionCreationOptions {
  /** Most sessions that may exist at the same time (SESSIONS_MAX). */
  readonly countMax: number;
  readonly now: () => number;
  /** Number of the numerics that compute the steps; see wasm/numerics.ts. */
  readonly numerics: number;
  readonly observer?: SessionObserver | undefined;
  /** Undefined if no tenant has a limit. */
  readonly tenantSessions?: TenantSessions | undefined;
}

/** The fork that a call stands for. */
export interface ForkTarget {
  readonly id: string;
  /** Whether an earlier attempt of the call has created it. */
  readonly exists: boolean;
}

export class SessionCreation {
  readonly #store: SessionStore;
  readonly #cache: SessionCache;
  readonly #expiry: SessionExpiry;
  readonly #options: SessionCreationOptions;

  constructor(store: SessionStore, cache: SessionCache, expiry: SessionExpiry, options: SessionCreationOptions) {
    this.#store = store;
    this.#cache = cache;
    this.#expiry = expiry;
    this.#options = options;
  }

  /** @param record of the request · @throws sessions_full · model_not_found · store_full · store_unavailable */
  async create(spec: SessionSpec, tenant: Tenant, record?: RequestRecord): Promise<Session> {
    await this.expectCapacity();
    const { now, numerics } = this.#options;
    const id = idPrefixOf(tenant) + randomId();
    const session = newSession(id, randomIncarnation(), spec, now(), numerics);
    const revision = await this.#add(session, await this.#reserve(session, tenant), record);
    // The id has not been answered yet, so no call can have changed the session.
    if (revision !== undefined) this.#cache.set({ session, revision });
    return session;
  }

  /**
   * Creates a session of the tenant once for an idempotency key of the tenant: one of several attempts creates it, the others get the
   * same answer. The answer is stored in the session itself, so the key is known as long as the session
   * and then its tombstone exist.
   *
   * @throws as create and created
   */
  async createOnce(
    spec: SessionSpec,
    key: IdempotencyKey,
    reply: (session: Session) => Reply,
    tenant: Tenant,
    record?: RequestRecord,
  ): Promise<CallResult<Reply>> {
    const id = await this.#idOf(key, tenant);
    return retryOnConflict(id, async () => {
      const replay = await this.created(key, tenant);
      if (replay) return replay;
      await this.expectCapacity();
      const session = newSession(id, randomIncarnation(), spec, this.#options.now(), this.#options.numerics);
      const value = reply(session);
      const reserved = await this.#reserve(session, tenant);
      const revision = await this.#add({ ...session, creation: { ...key, reply: value } }, reserved, record);
      if (revision === undefined) throw WRITE_CONFLICT;
      return { value, replayed: false };
    });
  }

  /**
   * The answer of the tenant's call that created a session with this key; undefined if there was none.
   *
   * @throws idempotency_key_reused · session_gone · session_corrupt
   */
  async created(key: IdempotencyKey, tenant: Tenant): Promise<CallResult<Reply> | undefined> {
    const id = await this.#idOf(key, tenant);
    return retryOnConflict(id, async () => {
      const stored = await this.#store.read(id);
      if (!stored) return undefined;
      const record = decodeRecord(id, stored);
      if (isTombstone(record)) throw sessionGone(record);
      const { creation } = record;
      if (creation?.digest !== key.digest) throw idempotencyKeyReused(key);
      await this.#expiry.endIfExpired({ session: record, revision: stored.revision });
      this.#options.observer?.onReplay();
      return { value: creation.reply, replayed: true };
    });
  }

  /**
   * Stores the fork, or returns the one that an earlier attempt has stored. It is not put into the cache:
   * calls on it may be running already, and this call does not hold its lock.
   */
  async addFork(session: Session, { id, exists }: ForkTarget, { tenant, record }: Lifetime): Promise<Session> {
    const fork = forked(session, id, randomIncarnation(), this.#options.now());
    const reserved = exists ? undefined : await this.#reserve(fork, tenant);
    if ((await this.#add(fork, reserved, record)) !== undefined) return fork;
    const { record: stored } = await readRecord(this.#store, id);
    if (isTombstone(stored)) throw WRITE_CONFLICT;
    return stored;
  }

  /**
   * The fork that a call stands for, of the same tenant as the session: with a key the one that an earlier attempt has created, if it has not ended.
   *
   * @throws session_corrupt
   */
  async findFork(session: Session, key: string | undefined): Promise<ForkTarget> {
    const prefix = prefixIn(session.id);
    if (key === undefined) return { id: prefix + randomId(), exists: false };
    for (let ended = 0; ; ended++) {
      const id = prefix + forkIdFromKey(session, key, ended);
      const stored = await this.#store.read(id);
      if (!stored) return { id, exists: false };
      const record = decodeHead(id, stored.head);
      if (!isTombstone(record) && !this.#expiry.hasExpired(record)) return { id, exists: true };
    }
  }

  /** The id of the session that stands for a tenant's sequence. @param name of it, which the client chooses */
  async sequenceId(name: string, tenant: Tenant): Promise<string> {
    const prefix = idPrefixOf(tenant);
    return prefix + idOfSequence(await this.#store.secret(), prefix + name);
  }

  /**
   * Stores a session under an id that an earlier one may have had, whose tombstone is erased. The caller holds the lock
   * of the id.
   *
   * @throws WRITE_CONFLICT if there is a session with this id · sessions_full · store_full · store_unavailable
   */
  async createAgain(session: Session, { tenant, record }: Lifetime): Promise<void> {
    await this.expectCapacity();
    await this.#store.forget(session.id);
    const revision = await this.#add(session, await this.#reserve(session, tenant), record);
    if (revision === undefined) throw WRITE_CONFLICT;
    this.#cache.set({ session, revision });
  }

  /** @throws sessions_full */
  async expectCapacity(): Promise<void> {
    const { countMax } = this.#options;
    if ((await this.#store.count()) < countMax) return;
    throw new CarryoverError('sessions_full', {
      detail: `${countMax} sessions are open (SESSIONS_MAX).`,
    });
  }

  async #idOf({ key }: IdempotencyKey, tenant: Tenant): Promise<string> {
    const prefix = idPrefixOf(tenant);
    return prefix + idFromKey(await this.#store.secret(), prefix + key);
  }

  async #reserve({ state }: Session, tenant: Tenant): Promise<Reserved | undefined> {
    return this.#options.tenantSessions?.reserve(tenant, state.byteLength);
  }

  async #add(session: Session, reserved: Reserved | undefined, record?: RequestRecord): Promise<Revision | undefined> {
    const { id, expiresAtMs, modelId } = session;
    const commit = () => this.#store.create(id, encodeSession(session), expiresAtMs, modelId, record?.trace);
    try {
      const revision = await (record ? record.measure('commitMs', commit) : commit());
      if (revision === undefined) return undefined;
      reserved?.created(id);
      reserved = undefined;
      this.#options.observer?.onCreated(session);
      return revision;
    } finally {
      reserved?.cancel();
    }
  }
}
