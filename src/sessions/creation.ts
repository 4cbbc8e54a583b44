// How sessions come to be: created, once for each key if the call has one, or forked from another.
import { CarryoverError } from '../errors.ts';
import type { Revision, SessionStore } from '../store/store.ts';
import { type Outcome, gone, reused } from './call.ts';
import type { SessionExpiry } from './expiry.ts';
import type { SessionCache } from './session-cache.ts';
import { createdId, derivedId, randomId, randomIncarnation } from './ids.ts';
import { readRecord } from './lookup.ts';
import { WRITE_CONFLICT, retryOnConflict } from './write-conflict.ts';
import { decodeHead, decodeRecord, encodeSession, isTombstone } from './record.ts';
import {
  type CallKey,
  type Reply,
  type Session,
  type SessionSpec,
  forked,
  newSession,
} from './session.ts';

export interface SessionCreationOptions {
  /** Open sessions. */
  readonly countMax: number;
  readonly now: () => number;
}

/** Where a call that forks finds its fork, or makes it. */
export interface ForkPlace {
  readonly id: string;
  /** Whether an earlier attempt has made the fork. */
  readonly isTaken: boolean;
}

export class SessionCreation {
  readonly #store: SessionStore;
  readonly #hot: SessionCache;
  readonly #endings: SessionExpiry;
  readonly #options: SessionCreationOptions;

  constructor(store: SessionStore, hot: SessionCache, endings: SessionExpiry, options: SessionCreationOptions) {
    this.#store = store;
    this.#hot = hot;
    this.#endings = endings;
    this.#options = options;
  }

  /** @throws sessions_full · model_not_found · store_full · store_unavailable */
  async create(spec: SessionSpec): Promise<Session> {
    await this.expectRoom();
    const session = newSession(randomId(), randomIncarnation(), spec, this.#options.now());
    const revision = await this.#add(session);
    // Nobody else knows this id yet, so no call on it can have changed it.
    if (revision !== undefined) this.#hot.set({ session, revision });
    return session;
  }

  /**
   * The same for a call with a key: of several attempts one makes the session, the others are answered as
   * that was. What remembers it is the session: a key is remembered as long as that and its tombstone.
   *
   * @throws as create and created
   */
  async createOnce(
    spec: SessionSpec,
    key: CallKey,
    reply: (session: Session) => Reply,
  ): Promise<Outcome<Reply>> {
    const id = await this.#createdId(key);
    return retryOnConflict(id, async () => {
      const earlier = await this.created(key);
      if (earlier) return earlier;
      await this.expectRoom();
      const session = newSession(id, randomIncarnation(), spec, this.#options.now());
      const value = reply(session);
      const revision = await this.#add({ ...session, creation: { ...key, reply: value } });
      if (revision === undefined) throw WRITE_CONFLICT;
      return { value, replayed: false };
    });
  }

  /**
   * How a call with this key that created a session was answered; undefined if there was none.
   *
   * @throws idempotency_key_reused · session_gone · session_corrupt
   */
  async created(key: CallKey): Promise<Outcome<Reply> | undefined> {
    const id = await this.#createdId(key);
    return retryOnConflict(id, async () => {
      const stored = await this.#store.read(id);
      if (!stored) return undefined;
      const record = decodeRecord(id, stored);
      if (isTombstone(record)) throw gone(record);
      const { creation } = record;
      if (creation?.digest !== key.digest) throw reused(key);
      await this.#endings.expectAlive({ session: record, revision: stored.revision });
      return { value: creation.reply, replayed: true };
    });
  }

  /** Not kept in memory: calls on the fork may be running by now, and this is not its turn. */
  async addFork(session: Session, id: string): Promise<Session> {
    const fork = forked(session, id, randomIncarnation(), this.#options.now());
    if ((await this.#add(fork)) !== undefined) return fork;
    const { record } = await readRecord(this.#store, id);
    if (isTombstone(record)) throw WRITE_CONFLICT;
    return record;
  }

  /** @param key of the call; of several attempts with it one makes the fork · @throws session_corrupt */
  async forkPlace(session: Session, key: string | undefined): Promise<ForkPlace> {
    if (key === undefined) return { id: randomId(), isTaken: false };
    for (let ended = 0; ; ended++) {
      const id = derivedId(session, key, ended);
      const stored = await this.#store.read(id);
      if (!stored) return { id, isTaken: false };
      const record = decodeHead(id, stored.head);
      if (!isTombstone(record) && this.#endings.isAlive(record)) return { id, isTaken: true };
    }
  }

  /** @throws sessions_full */
  async expectRoom(): Promise<void> {
    const { countMax } = this.#options;
    if ((await this.#store.count()) < countMax) return;
    throw new CarryoverError('sessions_full', {
      detail: `${countMax} sessions are open (SESSIONS_MAX).`,
    });
  }

  async #createdId({ key }: CallKey): Promise<string> {
    return createdId(await this.#store.secret(), key);
  }

  async #add(session: Session): Promise<Revision | undefined> {
    const { id, expiresAtMs, modelId } = session;
    return this.#store.create(id, encodeSession(session), expiresAtMs, modelId);
  }
}
