// What can be done with sessions, and the promises that go with it. The order of a change:
//
//   its turn → the session as committed last → was it answered before? → is it at the right version?
//   → compute → is the client still there? → commit, as a whole or not at all → answer
//
// So an answer that was sent has been committed, and an error before the commit has changed nothing.
// Where other processes share the store, the commit compares revisions: of two replicas one wins, and
// the other goes back to the start with what it finds. The same if the store has lost changes: what is in
// memory is then refused at the commit, and nothing else is answered from memory alone.
import { CarryoverError } from '../errors.ts';
import type { SessionStore } from '../store/store.ts';
import {
  type Call,
  type LookedUp,
  type Outcome,
  answeredBefore,
  dependsOnState,
  expectBits,
  expectDeletedBy,
  expectNumerics,
  expectVersion,
  inDoubt,
  reused,
  told,
} from './call.ts';
import { SessionCreation, type SessionCreationOptions, type ForkPlace } from './creation.ts';
import { SessionExpiry, type SessionExpiryOptions } from './expiry.ts';
import { type CachedSession, SessionCache } from './session-cache.ts';
import { randomNonce } from './ids.ts';
import { type SessionPage, listSessions } from './listing.ts';
import { ifIntact, readLive, readStored } from './lookup.ts';
import { WRITE_CONFLICT, retryOnConflict } from './write-conflict.ts';
import { decodeRecord, encodeChange, isTombstone } from './record.ts';
import {
  type CallKey,
  type KeptAnswer,
  type Reply,
  type Session,
  type SessionSpec,
  type Stamp,
  withStateBefore,
  advanced,
  withKeptAnswer,
  rewound,
  stateDigest,
} from './session.ts';
import { SessionLocks } from './session-locks.ts';

export interface SessionsOptions extends SessionExpiryOptions, SessionCreationOptions {
  readonly cacheBytesMax: number;
  readonly waitingMax: number;
  /** Number of the numerics that `compute` has; see wasm/numerics.ts. */
  readonly numerics: number;
}

/** The session after a step, made by advanced(), and the answer that tells of it. */
export interface Advance<Value> {
  readonly after: Session;
  readonly value: Value;
}

/** Of a lifetime: an answer that took longer to write and tells an earlier end than the session has. */
const LATE_SHARE_MAX = 0.1;

export class Sessions {
  readonly #store: SessionStore;
  readonly #options: SessionsOptions;
  readonly #hot: SessionCache;
  readonly #turns: SessionLocks;
  readonly #endings: SessionExpiry;
  readonly #creations: SessionCreation;

  constructor(store: SessionStore, options: SessionsOptions) {
    this.#store = store;
    this.#options = options;
    this.#hot = new SessionCache(options.cacheBytesMax);
    this.#turns = new SessionLocks(options);
    this.#endings = new SessionExpiry(store, this.#hot, this.#turns, options);
    this.#creations = new SessionCreation(store, this.#hot, this.#endings, options);
  }

  /** @throws as SessionCreation.create */
  create(spec: SessionSpec): Promise<Session> {
    return this.#creations.create(spec);
  }

  /** @throws as SessionCreation.createOnce */
  createOnce(
    spec: SessionSpec,
    key: CallKey,
    reply: (session: Session) => Reply,
  ): Promise<Outcome<Reply>> {
    return this.#creations.createOnce(spec, key, reply);
  }

  /** @throws as SessionCreation.created */
  created(key: CallKey): Promise<Outcome<Reply> | undefined> {
    return this.#creations.created(key);
  }

  /** A page of them; see listSessions(). */
  list(after: string | undefined, limit: number, modelId?: string): Promise<SessionPage> {
    const isAlive = (session: Session) => this.#endings.isAlive(session);
    return listSessions(this.#store, isAlive, after, limit, modelId);
  }

  /** As it was committed last. @throws session_not_found · session_gone · session_corrupt */
  async read(id: string): Promise<Session> {
    return retryOnConflict(id, async () => {
      const known = this.#store.isShared ? undefined : this.#hot.get(id);
      const hot = known ?? (await readLive(this.#store, id));
      await this.#endings.expectAlive(hot);
      return hot.session;
    });
  }

  /**
   * Computes the next state and commits it. A call with a key that was answered before is computed
   * again from the state of then, and changes nothing; `compute` is told so.
   *
   * @throws what `compute` throws, with nothing changed; answer_not_kept · session_not_found · session_gone ·
   *   step_conflict · idempotency_key_reused · idempotency_key_in_use · session_busy ·
   *   client_closed · deadline_exceeded · store_full · store_unavailable
   */
  async advance<Value>(
    id: string,
    call: Call,
    compute: (
      session: Session,
      stamp: () => Stamp,
      isReplay: boolean,
    ) => Promise<Advance<Value>>,
  ): Promise<Outcome<Value>> {
    return this.#change(id, call, async (hot, earlier) => {
      const { session } = hot;
      if (earlier) {
        if (earlier.kind !== 'advance') throw reused(earlier);
        const { numerics } = this.#options;
        expectNumerics(earlier, session, numerics);
        const before = withStateBefore(session, earlier);
        const { after, value } = await compute(before, () => earlier.stamp, true);
        expectBits(earlier, session, after);
        return { value, replayed: true };
      }
      const { after: answered, value } = await compute(session, () => this.#stampOf(session), false);
      const after = this.#lastingAsTold(answered);
      const { version, t, h } = session;
      const { numerics } = this.#options;
      const { nonce, expiresAtMs } = answered;
      const answer = (key: CallKey): KeptAnswer => ({
        ...key,
        kind: 'advance',
        before: { version, t, h },
        stamp: { nonce, expiresAtMs },
        made: { numerics, digest: stateDigest(after) },
      });
      await this.#commit(hot, call.key ? withKeptAnswer(after, answer(call.key)) : after, call);
      return { value, replayed: false };
    });
  }

  /** Puts another state in place of the present one. @throws as advance */
  async setState(
    id: string,
    call: Call,
    next: (session: Session) => { readonly h: Float32Array; readonly t: number },
    reply: (after: Session) => Reply,
  ): Promise<Outcome<Reply>> {
    return this.#reply(id, call, reply, (session) =>
      advanced(session, next(session), this.#stampOf(session)),
    );
  }

  /** Back to the latest kept state of step t. @throws state_not_kept · as advance */
  async rewind(
    id: string,
    call: Call,
    t: number,
    reply: (after: Session) => Reply,
  ): Promise<Outcome<Reply>> {
    return this.#reply(id, call, reply, (session) => {
      const after = rewound(session, t, this.#stampOf(session));
      if (after) return after;
      const kept = session.past.map((state) => state.t);
      throw new CarryoverError('state_not_kept', {
        detail: `Session ${id} keeps the states of the steps [${kept.join(', ')}], not of ${t}.`,
        errors: [{ pointer: '/t', message: `expected one of ${kept.join(', ') || 'none'}` }],
        members: { kept },
      });
    });
  }

  /**
   * Another session that goes on from the present state. With a key its id follows from the id of
   * this session and the key: if the call is cut off between making the fork and withKeptAnswer the
   * key, the next attempt finds the same fork. Where a fork that the key stood for is gone, and the key
   * forgotten, the call is a new one. @throws sessions_full · as advance
   */
  async fork(
    id: string,
    call: Call,
    reply: (fork: Session) => Reply,
  ): Promise<Outcome<Reply>> {
    let place: ForkPlace | undefined;
    return this.#change(
      id,
      call,
      async (hot, earlier) => {
        if (earlier) return replayOf(earlier);
        const { session } = hot;
        call.lifetime.throwIfOver();
        const fork = await this.#creations.addFork(session, place!.id);
        const value = reply(fork);
        if (call.key) {
          const after = withKeptAnswer(session, { kind: 'reply', ...call.key, reply: value });
          await this.#commit(hot, after, call).catch(inDoubt);
        }
        return { value, replayed: false };
      },
      async (session) => {
        // One that an earlier attempt made stands for this call, whatever has happened since.
        place = await this.#creations.forkPlace(session, call.key?.key);
        if (place.isTaken) return;
        expectVersion(session, call);
        await this.#creations.expectRoom();
      },
      this.#store.isShared,
    );
  }

  /** @throws session_not_found · session_gone · step_conflict · store_unavailable */
  async delete(id: string, call: Call): Promise<{ readonly replayed: boolean }> {
    return this.#inTurn(id, call, async (sinceMs) => {
      let lookedUp: LookedUp | undefined;
      try {
        const stored = await readStored(this.#store, id);
        const { revision } = stored;
        const record = ifIntact(() => decodeRecord(id, stored));
        if (!record) {
          // What is damaged can be deleted, but not compared.
          if (call.ifMatch !== undefined && call.ifMatch !== '*') decodeRecord(id, stored);
          await this.#endings.delete({ id, deletion: call.key }, revision);
          return { replayed: false };
        }
        if (isTombstone(record)) {
          expectDeletedBy(call, record);
          return { replayed: true };
        }
        await this.#endings.expectLiveSince({ session: record, revision }, sinceMs);
        const earlier = answeredBefore(record, call);
        lookedUp = { session: record, earlier, isShared: this.#store.isShared };
        if (earlier) throw reused(earlier);
        expectVersion(record, call);
        call.lifetime.throwIfOver();
        const ended = { id, t: record.t, deletion: call.key };
        await this.#endings.delete(ended, revision, record.modelId);
        return { replayed: false };
      } catch (error) {
        throw told(error, call, lookedUp);
      }
    });
  }

  /** @returns how many that were due were looked at; see SessionExpiry.sweep */
  sweep(limit: number): Promise<number> {
    return this.#endings.sweep(limit);
  }

  /** A change with a short answer, which is kept as it is. */
  async #reply(
    id: string,
    call: Call,
    reply: (after: Session) => Reply,
    transition: (session: Session) => Session,
  ): Promise<Outcome<Reply>> {
    return this.#change(id, call, async (hot, earlier) => {
      if (earlier) return replayOf(earlier);
      const after = transition(hot.session);
      const value = reply(after);
      await this.#commit(
        hot,
        call.key ? withKeptAnswer(after, { kind: 'reply', ...call.key, reply: value }) : after,
        call,
      );
      return { value, replayed: false };
    });
  }

  /**
   * Runs `attempt` in turn on the session as it was committed last.
   *
   * @param admit throws if a call that was not answered before must be refused
   * @param isReadAnew if nothing that `attempt` commits compares revisions: a copy in memory may be stale
   */
  async #change<Value>(
    id: string,
    call: Call,
    attempt: (hot: CachedSession, earlier: KeptAnswer | undefined) => Promise<Outcome<Value>>,
    admit: (session: Session) => Promise<void> | void = (session) => expectVersion(session, call),
    isReadAnew = false,
  ): Promise<Outcome<Value>> {
    return this.#inTurn(id, call, async (sinceMs) => {
      const known = isReadAnew ? undefined : this.#hot.get(id);
      let lookedUp: LookedUp | undefined;
      try {
        const hot = known ?? (await this.#load(id));
        // First: whether an expired session was swept already must make no difference.
        await this.#endings.expectLiveSince(hot, sinceMs);
        const earlier = answeredBefore(hot.session, call);
        // A shared store may have lost what was answered.
        if (earlier && known && this.#store.isShared) throw this.#stale(id);
        lookedUp = { session: hot.session, earlier, isShared: this.#store.isShared };
        if (!earlier) await admit(hot.session);
        return await attempt(hot, earlier);
      } catch (error) {
        const isDoubtful = known !== undefined && this.#store.isShared && dependsOnState(error);
        throw isDoubtful ? this.#stale(id) : told(error, call, lookedUp);
      }
    });
  }

  /** Has the call begin again, with what the store holds. */
  #stale(id: string): typeof WRITE_CONFLICT {
    this.#hot.delete(id);
    return WRITE_CONFLICT;
  }

  /** Runs `attempt` in turn, told when the call came, and again where another process was faster. */
  async #inTurn<Result>(
    id: string,
    call: Call,
    attempt: (sinceMs: number) => Promise<Result>,
  ): Promise<Result> {
    const sinceMs = this.#options.now();
    return this.#turns.take(id, call.key?.key, call.lifetime, () =>
      retryOnConflict(id, () => attempt(sinceMs)),
    );
  }

  /** @throws WRITE_CONFLICT if the record has another revision by now · client_closed · deadline_exceeded · the store's */
  async #commit({ session, revision }: CachedSession, after: Session, call: Call): Promise<void> {
    call.lifetime.throwIfOver();
    const { id } = session;
    // Until the store has answered it is not known what it holds.
    this.#hot.delete(id);
    const change = this.#store.change(id, revision, encodeChange(session, after));
    // What was handed over may be committed at any time after nobody waits for it any more.
    const next = await call.lifetime.race(change, 'unknown');
    if (next === undefined) throw WRITE_CONFLICT;
    this.#hot.set({ session: after, revision: next });
  }

  /** From the store into memory. To be called in turn. */
  async #load(id: string): Promise<CachedSession> {
    const hot = await readLive(this.#store, id);
    this.#hot.set(hot);
    return hot;
  }

  /** The lifetime begins with the commit; where that comes much later than was told, it ends later. */
  #lastingAsTold(after: Session): Session {
    const { ttlMs } = after;
    const expiresAtMs = this.#options.now() + ttlMs;
    return expiresAtMs - after.expiresAtMs > ttlMs * LATE_SHARE_MAX ? { ...after, expiresAtMs } : after;
  }

  /** Of a change that is made now. */
  #stampOf({ ttlMs }: Session): Stamp {
    return { nonce: randomNonce(), expiresAtMs: this.#options.now() + ttlMs };
  }
}

function replayOf(earlier: KeptAnswer): Outcome<Reply> {
  if (earlier.kind !== 'reply') throw reused(earlier);
  return { value: earlier.reply, replayed: true };
}
