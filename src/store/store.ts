// The interface of a store, which memory, SQLite and Redis implement. What test/store/contract.ts checks is part
// of it: a new store must pass these tests.
//
// - A session is one record: a head, and numbered slots beside it, which hold earlier answers and states. The
//   bytes of both are opaque to the store (sessions/record.ts makes them). A record is live, or a tombstone,
//   which keeps only a head and says why the session is gone.
// - Every change of a record leads from one revision to the next, as a whole or not at all. Of two changes of
//   the same revision exactly one is made.
// - A call sees the effects of all calls that had resolved when it was made, also of other processes.
// - A promise that resolves says that the change is made and as durable as the store is (`description`).
// - A promise that rejects does so with a CarryoverError. Its `applied` says whether the change was made: `no`
//   must be true; `unknown` is for a change that may have been made, and for nothing else.
// - Every promise settles within the timeout of the store, whatever the disk or the server does.
// - Bytes that are passed to a store, and those that it returns, are written to by neither side.

import type { RequestTrace } from '../request-trace.ts';

/** 22 characters of base64url: 128 random bits. Ids are ordered by their bytes. */
export type SessionId = string;

/**
 * Names one content of a record, and no other content that it had or will have. A store that can lose changes,
 * and accept others in their place, must give these other revisions. Opaque to the callers.
 */
export type Revision = string;

/** What a record holds, or what a change of it replaces. */
export interface RecordParts {
  readonly head: Uint8Array;
  /** By slot number, an integer from 0 to 65535. A change leaves the slots that it does not name as they are. */
  readonly slots: ReadonlyMap<number, Uint8Array>;
}

/** Calls that one transaction has committed together. */
export interface CommittedGroup {
  /** When the transaction began and had ended, by performance.now(). */
  readonly startMs: number;
  readonly endMs: number;
  /** How many calls it had, also such as only read. */
  readonly calls: number;
  /** Those of the changes in it that were given one, and are sampled. */
  readonly traces: readonly RequestTrace[];
}

/** Called when a transaction has committed changes with traces, before their promises resolve. */
export type CommittedGroupListener = (group: CommittedGroup) => void;

export interface StoredRecord extends RecordParts {
  readonly revision: Revision;
}

export interface ListedRecord {
  readonly id: SessionId;
  readonly head: Uint8Array;
}

export interface SessionStore {
  /** For the log and /health/ready, in one line: the kind of store, and which failures its data survives. */
  readonly description: string;

  /** Whether other processes can change records, so that what is cached of them may be stale. */
  readonly isShared: boolean;

  /** The models, without which no record can be created. */
  readonly models: ModelStore;

  /**
   * The time in ms since 1970 by which records are due. It is the same for all processes that share the store,
   * and a jump of this computer's clock does not change it.
   */
  now(): number;

  /** Why the store cannot serve at this moment, each reason a short phrase; empty if it can. */
  problems(): readonly string[];

  /**
   * Creates a live record that pins a model (see ModelStore.remove).
   *
   * @param dueAtMs from when on due() returns the id; postpone() changes it
   * @param trace of the request; see CommittedGroup
   * @returns its first revision; undefined if there is a record or a tombstone with this id
   * @throws model_not_found if the model is not in the store · store_full · store_unavailable
   */
  create(
    id: SessionId,
    record: RecordParts,
    dueAtMs: number,
    modelId: string,
    trace?: RequestTrace,
  ): Promise<Revision | undefined>;

  /**
   * Replaces the head and the named slots of a live record.
   *
   * @param revision that the record must be at
   * @param trace of the request; see CommittedGroup
   * @returns the next revision; undefined if the record is not live or at another revision
   * @throws store_full · store_unavailable
   */
  change(
    id: SessionId,
    revision: Revision,
    parts: RecordParts,
    trace?: RequestTrace,
  ): Promise<Revision | undefined>;

  /**
   * Replaces a live record by a tombstone with this head: its slots and its pin are removed, and it is not listed
   * any more. Must be possible also when the store is full.
   *
   * @param revision that the record must be at
   * @param dueAtMs from when on due() returns the id, so that forget() can erase the tombstone
   * @param trace of the request; see CommittedGroup
   * @returns whether the tombstone was written; false if the record is not live or at another revision
   * @throws store_unavailable
   */
  writeTombstone(
    id: SessionId,
    revision: Revision,
    head: Uint8Array,
    dueAtMs: number,
    trace?: RequestTrace,
  ): Promise<boolean>;

  /**
   * The record or tombstone with this id as of the last change that has resolved, or of a later one. A tombstone
   * differs by its head only.
   *
   * @returns undefined if there is none
   * @throws store_unavailable
   */
  read(id: SessionId): Promise<StoredRecord | undefined>;

  /**
   * The ids of records and tombstones that are due at or before this time, earliest first, at most `limit`. An id
   * may be among them whose creation was interrupted, and which has no record.
   *
   * @throws store_unavailable
   */
  due(nowMs: number, limit: number): Promise<SessionId[]>;

  /** Sets when an id is due. Without effect if there is no such id. @throws store_unavailable */
  postpone(id: SessionId, dueAtMs: number): Promise<void>;

  /**
   * Erases a tombstone, or what an interrupted creation has left. Without effect on a live record, and on one
   * that is being created.
   *
   * @throws store_unavailable
   */
  forget(id: SessionId): Promise<void>;

  /**
   * Live records in the order of their ids.
   *
   * @param after ids up to this one are left out
   * @param limit of the records returned; if there are fewer, they are the last ones
   * @param modelId restricts them to those that pin this model
   * @throws store_unavailable
   */
  list(after: SessionId | undefined, limit: number, modelId?: string): Promise<ListedRecord[]>;

  /** The number of live records. @throws store_unavailable */
  count(): Promise<number>;

  /**
   * A random string that is made with the store and never changes: 128 random bits. Ids that must not be
   * predictable are derived from it.
   *
   * @throws store_unavailable
   */
  secret(): Promise<string>;

  /**
   * Copies the store into an existing empty file while it is used; absent of a store that is not a file. The copy has
   * all changes that had resolved when it was called, and each later one as a whole or not at all. One copy at a time.
   *
   * @throws store_full if the disk of the copy is · store_unavailable, also when the store is closed meanwhile
   */
  copyTo?(path: string): Promise<void>;

  /**
   * Takes tokens of a rate that all processes share; absent of a store that one process uses. Never waits for durability.
   *
   * @param name of the rate; rates that are not used are forgotten
   * @throws store_unavailable
   */
  takeTokens?(name: string, request: TokensRequest): Promise<TakenTokens>;

  /** Completes the calls that were made, and releases files and connections. Later calls are refused. */
  close(): Promise<void>;
}

/** A request for tokens of a token bucket. */
export interface TokensRequest {
  /** Tokens that come in each second, up to `burst`. */
  readonly perS: number;
  readonly burst: number;
  /** Tokens that are taken in any case. */
  readonly debt: number;
  /** Of these as many as there are are granted. */
  readonly amount: number;
}

export interface TakenTokens {
  readonly granted: number;
  /** Until there is one; 0 if some were granted. */
  readonly waitMs: number;
  /** Negative for a debt. */
  readonly left: number;
}

export interface StoredModel {
  /** `sha256:<hex>` */
  readonly id: string;
  /** A safetensors file with W_x, W_h, b and, with a readout, W_y, b_y. Opaque to the store. */
  readonly file: Uint8Array;
  readonly createdAtMs: number;
  /**
   * Whether the model stays until it is removed. If not, it came with the weights of a session, and collect()
   * removes it when no session pins it any more.
   */
  readonly isKept: boolean;
}

/** Models and their names, as durable as the sessions. */
export interface ModelStore {
  /**
   * Stores a model, or marks one that is there as kept if `isKept` is true. As the id is a digest of the weights,
   * a file that is there is the same, or damaged, and may be replaced. If `file` is all of its buffer, the
   * store may transfer the buffer, which leaves it empty.
   *
   * @throws store_full · store_unavailable
   */
  put(model: StoredModel): Promise<void>;

  /** Undefined if there is no such model. @throws store_unavailable */
  get(id: string): Promise<StoredModel | undefined>;

  /**
   * Removes a model and all names that point to it.
   *
   * @returns false if a live record pins it, which it then stays for; true if it is not in the store any more
   * @throws store_unavailable
   */
  remove(id: string): Promise<boolean>;

  /**
   * Removes a model that nobody needs.
   *
   * @returns false if it is kept or a live record pins it; true if it is not in the store any more
   * @throws store_unavailable
   */
  collect(id: string): Promise<boolean>;

  /** The ids of all models, oldest first. @throws store_unavailable */
  ids(): Promise<string[]>;

  /**
   * Makes a name, new or not, point to a model, which is kept from then on.
   *
   * @throws model_not_found · store_full · store_unavailable
   */
  point(name: string, id: string): Promise<void>;

  /**
   * Deletes those of these names that point to the model. If no name is left that does, the model is not kept any more:
   * collect() removes it.
   *
   * @returns whether a name is left
   * @throws store_unavailable
   */
  unpoint(id: string, names: readonly string[]): Promise<boolean>;

  /** Name → id, in the order in which the names were first given. @throws store_unavailable */
  names(): Promise<Map<string, string>>;

  /**
   * A number that differs from an earlier one if another process has changed models or names in between, and is
   * the same otherwise. It grows with every such change, unless the store has lost changes.
   *
   * @throws store_unavailable
   */
  revision(): Promise<number>;
}
