// What a store keeps and promises. Three implement it: memory, SQLite, Redis.
//
// A session is one record: a head, and numbered slots beside it (earlier answers, earlier states). The
// bytes of both are opaque here (record.ts makes them). Every change of a record goes from one revision
// to another, as a whole or not at all: of two that follow the same revision exactly one happens.
//
// A promise that resolves says: it is done, and it outlives a crash as far as the store outlives one.
// A rejection with applied 'no' says that nothing was changed; with 'unknown' that it may have been.

/** 22 characters of base64url: 128 random bits. */
export type SessionId = string;

/**
 * Names one content of a record, and no other that it ever had: a store that can lose changes and take
 * others in their place gives these other revisions. What it looks like is the store's own business.
 */
export type Revision = string;

export interface RecordParts {
  readonly head: Uint8Array;
  /** By slot number; a change leaves the slots that it does not name as they are. */
  readonly slots: ReadonlyMap<number, Uint8Array>;
}

export interface StoredRecord extends RecordParts {
  readonly revision: Revision;
}

export interface ListedRecord {
  readonly id: SessionId;
  readonly head: Uint8Array;
}

export interface SessionStore {
  /** For the log and /health/ready: the kind of store and what its answers survive. */
  readonly description: string;

  /**
   * What time it is, in ms since 1970: the same for all who share the store, and moved by no jump of this
   * computer's clock. What is due is due by it.
   */
  now(): number;

  /** Why it cannot serve at this moment, each a short phrase; empty if it can. */
  problems(): readonly string[];

  /**
   * Adds a live record. Undefined if there is one with this id, or a tombstone.
   *
   * @param dueAtMs when due() shall name it; it may be put off later
   * @param modelId is pinned: see ModelStore.remove
   * @returns its first revision
   * @throws model_not_found if the model is not in the store · store_full · store_unavailable
   */
  create(
    id: SessionId,
    record: RecordParts,
    dueAtMs: number,
    modelId: string,
  ): Promise<Revision | undefined>;

  /**
   * Replaces the head and the named slots, if the record is live and at this revision. Undefined if it
   * is not: read it again.
   *
   * @returns the revision that this led to
   * @throws store_full · store_unavailable
   */
  change(id: SessionId, revision: Revision, parts: RecordParts): Promise<Revision | undefined>;

  /**
   * Replaces a live record at this revision by a tombstone: its head is kept until due, its slots and
   * its pin are dropped, it is no longer listed. False if it is not at this revision.
   */
  writeTombstone(id: SessionId, revision: Revision, head: Uint8Array, dueAtMs: number): Promise<boolean>;

  /** A live record or a tombstone (told apart by its head), as of the last change that resolved. */
  read(id: SessionId): Promise<StoredRecord | undefined>;

  /** Whether another process can change records: what is kept of them elsewhere may be stale then. */
  readonly isShared: boolean;

  /** Records and tombstones due at or before this time, earliest first, at most `limit`. */
  due(nowMs: number, limit: number): Promise<SessionId[]>;

  /** Makes it due at another time. */
  postpone(id: SessionId, dueAtMs: number): Promise<void>;

  /** Erases a tombstone, and all traces of a record that is not there. */
  forget(id: SessionId): Promise<void>;

  /**
   * Live records in the order of their ids, after `after`; all, or those that pin a model. Fewer than
   * `limit` are the last.
   */
  list(after: SessionId | undefined, limit: number, modelId?: string): Promise<ListedRecord[]>;

  /** Live records. */
  count(): Promise<number>;

  /** Random text that is as old as the store: what ids are made of that nobody shall guess. */
  secret(): Promise<string>;

  readonly models: ModelStore;

  /** Finishes what was begun. */
  close(): Promise<void>;
}

export interface StoredModel {
  /** `sha256:<hex>` */
  readonly id: string;
  /** A safetensors file with W_x, W_h, b and, with a readout, W_y, b_y. */
  readonly file: Uint8Array;
  readonly createdAtMs: number;
  /** Whether it stays until it is removed. If not, it came with a session and goes with the last one. */
  readonly isKept: boolean;
}

/** Models outlive the process where their sessions do. */
export interface ModelStore {
  /**
   * Adds it. If its id is there, so is its file, which may be replaced if it is not the same: it is
   * damaged then. It is kept from then on if it shall be. Takes a large file's
   * memory over if the file has it for itself.
   *
   * @throws store_full · store_unavailable
   */
  put(model: StoredModel): Promise<void>;
  get(id: string): Promise<StoredModel | undefined>;
  /** Removes it with all names that point to it, unless a live record pins it; false then. */
  remove(id: string): Promise<boolean>;
  /** Removes it unless it is kept or a live record pins it; false then. */
  collect(id: string): Promise<boolean>;
  /** Oldest first. */
  ids(): Promise<string[]>;
  /** Names, new or not; each points to a model that is there, and keeps it. */
  point(name: string, id: string): Promise<void>;
  /** Name → id, oldest name first. */
  names(): Promise<Map<string, string>>;
  /**
   * Grows whenever another process has changed the models or the names; constant otherwise. Less than
   * before if the store has lost changes, and another one if it has taken others in their place.
   */
  revision(): Promise<number>;
}
