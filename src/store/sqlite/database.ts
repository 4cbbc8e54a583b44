// What each call does to the database. Used by the thread of the store alone; every call here may wait
// for the disk.
import { statSync } from 'node:fs';
import { dirname } from 'node:path';
import { modelNotFound } from '../model-not-found.ts';
import { type FileIdentity, identityOf, isSameFile } from './file-identity.ts';
import { markIn, nextMark, userVersionOf } from './wal-match.ts';
import { type Connection, FORMAT, SLOTS_MAX, openFile, syncFolder } from './open.ts';
import { NoRoom, Reserve, freeBytes, isFull } from './reserve.ts';
import { type Statements, prepareStatements } from './statements.ts';
import { HEAD, type CallOf, type Part, type Request, type Revising } from './messages.ts';

const PAGE_BYTES = 4_096;

/**
 * Pages below the limit that only what makes room may take: ends of sessions, and their tombstones. They are
 * for the limit what the reserve (reserve.ts) is for the disk.
 */
const RESERVED_PAGES = 256;

/** What a change takes besides its bytes, at most: pages of the tables and of their indexes. */
const SPARE_PAGES = 32;

/** Free pages are kept up to this number; beyond it they are given back, so many at a time. */
const FREE_PAGES_KEPT = 256;
const FREED_AT_ONCE = 256;

/** So often, to get room for the reserve: 8 MiB, which is more than it has. */
const FREED_TIMES_MAX = 8;

/**
 * After so many pages of 4 KiB the log is copied into the database and begun anew. Four times as
 * many took the same CPU time per change (23 µs with 16 calls at a time), and a disk that is nearly
 * full must have room for both, the log and its copy.
 */
const WAL_PAGES_MAX = 1_000;

export interface DatabaseOptions {
  readonly path: string;
  /** Of the file; its log is not counted. */
  readonly bytesMax: number;
}

export class Database {
  readonly #connection: Connection;
  readonly #statements: Statements;
  #liveCount: number;
  /** What the transaction that is under way adds to it. */
  #liveAdded = 0;
  readonly #path: string;
  readonly #pagesMax: number;
  #isLimitLifted: boolean | undefined;
  readonly #reserve: Reserve;
  /** Of this file and of its log, as they were opened. */
  readonly identity: FileIdentity;
  #logIdentity: FileIdentity | undefined;
  /** The mark of the log that is being written, or of the one before it. */
  #mark: number;
  #beginsLog: 'no' | 'next' | 'now' = 'next';

  /**
   * @param known the file that this process had open before: no other will do
   * @throws Refusal · an error of SQLite
   */
  constructor({ path, bytesMax }: DatabaseOptions, known?: FileIdentity) {
    this.#path = path;
    this.#pagesMax = Math.floor(bytesMax / PAGE_BYTES);
    this.#connection = openFile(path, known);
    try {
      this.identity = identityOf(path)!;
      this.#reserve = new Reserve(path);
      this.#mark = markIn(this.#pragma('user_version'));
      this.#statements = prepareStatements(this.#connection);
      this.#liveCount = this.#statements.countLive.get() as number;
      // What a crash has left in the log may not have reached the disk, so nobody may see it before
      // it has. A full disk does not matter: the log was synced before there was something to copy.
      if (this.#emptyLog() || this.freeRoom()) this.#reserve.take();
      // A log that was deleted must not come back with changes that were reported as not applied.
      syncFolder(dirname(path));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Whether there is room on the disk that only what makes room may take. Without it nothing may grow. */
  get hasReserve(): boolean {
    return this.#reserve.isHeld;
  }

  /**
   * @param kind what the transaction is for: the last pages and bytes are kept for what makes room
   * @throws NoRoom · an error of SQLite
   */
  begin(kind: 'reads' | 'writes' | 'makesRoom'): void {
    if (kind !== 'reads') this.#liftLimit(kind === 'makesRoom');
    if (kind === 'writes' && !this.hasReserve) throw new NoRoom();
    this.#statements.begin.run();
    if (kind === 'reads' || this.#beginsLog === 'no') return;
    this.#beginsLog = 'now';
    this.#pragma(`user_version = ${userVersionOf(FORMAT, nextMark(this.#mark))}`);
  }

  commit(): void {
    this.#statements.commit.run();
    this.#liveCount += this.#liveAdded;
    this.#liveAdded = 0;
    if (this.#beginsLog !== 'now') return;
    this.#beginsLog = 'no';
    this.#mark = nextMark(this.#mark);
    this.#logIdentity ??= identityOf(`${this.#path}-wal`);
  }

  /** Whether the path still names the files that are open. Costs about 7 µs. */
  isInPlace(): boolean {
    if (!isSameFile(this.identity, identityOf(this.#path))) return false;
    return !this.#logIdentity || isSameFile(this.#logIdentity, identityOf(`${this.#path}-wal`));
  }

  /** Whether so many bytes more are too many for the limit; else it is the disk that is full. */
  wouldExceed(bytes: number): boolean {
    const pages = Math.ceil(bytes / PAGE_BYTES) + SPARE_PAGES;
    return this.#pragma('page_count') + pages > this.#pagesMax - RESERVED_PAGES;
  }

  /** Gives some of many free pages back to the disk. Between two transactions. @throws an error of SQLite */
  shrink(): void {
    if (this.#freePages() > FREE_PAGES_KEPT + FREED_AT_ONCE) this.#vacuum();
  }

  /**
   * Makes room for what makes room, on a disk that is full: gives the reserve up, and copies the log into
   * the file if that has room for it. Between two transactions.
   *
   * @returns whether the log is empty now
   * @throws an error of the system · an error of SQLite, other than that the disk is full
   */
  freeRoom(): boolean {
    this.#reserve.release();
    return this.#emptyLog();
  }

  /**
   * Takes the reserve again, if need be in the place of free pages. Between two transactions.
   *
   * @returns whether it is there, so that all calls can be done again
   * @throws an error of the system · an error of SQLite
   */
  regainReserve(): boolean {
    if (this.hasReserve) return true;
    for (let times = 0; ; times++) {
      if (this.#emptyLog() && this.#reserve.take()) return true;
      const freePages = this.#freePages();
      if (freePages === 0 || times === FREED_TIMES_MAX) return false;
      this.#vacuum();
      // A file of an earlier server stays as large as it is.
      if (this.#freePages() === freePages) return false;
    }
  }

  rollback(): void {
    this.#liveAdded = 0;
    if (this.#beginsLog === 'now') this.#beginsLog = 'next';
    // SQLite has rolled back by itself after some errors.
    if (this.#connection.inTransaction) this.#statements.rollback.run();
  }

  /** Within a transaction. @throws CarryoverError · an error of SQLite */
  execute({ call, parts }: Request): unknown {
    switch (call[0]) {
      case 'create':
        return this.#create(call, parts);
      case 'change':
        return this.#change(call, parts);
      case 'writeTombstone':
        return this.#writeTombstone(call, parts);
      case 'postpone':
        this.#statements.postpone.run(call[2], call[1]);
        return undefined;
      case 'forget':
        this.#statements.forget.run(call[1]);
        return undefined;
      case 'read':
        return this.#read(call[1]);
      case 'due':
        return this.#statements.due.all(call[1], call[2]);
      case 'list':
        return this.#list(call);
      case 'count':
        return this.#liveCount + this.#liveAdded;
      case 'putModel':
        this.#putModel(call, parts);
        return undefined;
      case 'removeModel':
        return this.#removeModel(call[1]);
      case 'collectModel':
        this.#statements.collectModel.run(call[1]);
        return this.#statements.modelKey.get(call[1]) === undefined;
      case 'point':
        if (this.#statements.point.run(call[1], call[2]).changes === 0) throw modelNotFound(call[2]);
        this.#statements.keepModel.run(call[2]);
        return undefined;
      case 'getModel':
        return this.#getModel(call[1]);
      case 'modelIds':
        return this.#statements.modelIds.all();
      case 'names':
        return this.#statements.names.all();
      case 'secret':
        return this.#statements.secret.get();
    }
  }

  /** Whether a model or a name is there already, as after every start, so that it needs no room. */
  isSo({ call, parts }: Request): boolean {
    if (call[0] === 'putModel') return this.#isStored(call, parts);
    return call[0] === 'point' && this.#statements.isPointed.get(call[1], call[2]) !== undefined;
  }

  /**
   * Whether the transaction in which this request succeeded has come to pass. That transaction must
   * not have forgotten records: otherwise they exist, and their revisions grow.
   */
  shows({ call }: Request & { readonly call: Revising }): boolean {
    const record = this.#statements.findRecord.get(call[1]) as { revision: number } | undefined;
    if (!record) return false;
    return call[0] === 'create' || record.revision > call[2];
  }

  /** Writes 64 KiB and syncs them. @throws an error of SQLite */
  probe(): void {
    this.#alone(() => this.#statements.probe.run());
  }

  /** Between two transactions. @throws an error of SQLite; nothing is lost, the log just grows. */
  keepLogShort(): void {
    const { log } = this.#statements.logLength.get() as { log: number };
    if (log <= WAL_PAGES_MAX) return;
    try {
      if (!this.#hasRoomForCopy()) throw new NoRoom();
      const copied = this.#statements.checkpoint.get() as { log: number; checkpointed: number };
      if (copied.log === copied.checkpointed) this.#beginsLog = 'next';
    } catch (error) {
      if (!isFull(error) || !this.hasReserve) throw error;
      if (this.freeRoom()) this.#reserve.take();
    }
  }

  close(): void {
    this.#connection.close();
  }

  /** A transaction that may use the room that is kept. */
  #alone(change: () => void): void {
    this.begin('makesRoom');
    try {
      change();
      this.commit();
    } catch (error) {
      this.rollback();
      throw error;
    }
  }

  #liftLimit(isLifted: boolean): void {
    if (this.#isLimitLifted === isLifted) return;
    this.#isLimitLifted = isLifted;
    this.#pragma(`max_page_count = ${this.#pagesMax - (isLifted ? 0 : RESERVED_PAGES)}`);
  }

  /** TensorCopier the log into the file and cuts it to nothing. False if the disk is too full for the copy. */
  #emptyLog(): boolean {
    if (!this.#hasRoomForCopy()) return false;
    try {
      this.#statements.checkpointAll.get();
      this.#beginsLog = 'next';
      return true;
    } catch (error) {
      if (!isFull(error)) throw error;
      return false;
    }
  }

  /** A copy that does not fit would take the room that deletions need for the log. */
  #hasRoomForCopy(): boolean {
    const growth = this.#pragma('page_count') * PAGE_BYTES - statSync(this.#path).size;
    return growth <= 0 || growth <= freeBytes(dirname(this.#path));
  }

  #freePages(): number {
    return this.#pragma('freelist_count');
  }

  #vacuum(): void {
    // It gives a row for each page, and stops when these are not asked for: exec() asks for all.
    this.#alone(() => this.#connection.exec(`PRAGMA incremental_vacuum(${FREED_AT_ONCE})`));
  }

  #pragma(sql: string): number {
    return this.#connection.pragma(sql, { simple: true }) as number;
  }

  #create([, id, dueAtMs, modelId]: CallOf<'create'>, parts: readonly Part[]) {
    if (this.#statements.findRecord.get(id) !== undefined) return false;
    const model = this.#statements.modelKey.get(modelId);
    if (model === undefined) throw modelNotFound(modelId);
    const key = this.#statements.create.get(id, model, dueAtMs, bytesOf(parts[0]!)) as number;
    this.#putSlots(key, parts);
    this.#liveAdded++;
    return true;
  }

  #change([, id, revision]: CallOf<'change'>, parts: readonly Part[]) {
    const key = this.#statements.change.get(bytesOf(parts[0]!), id, revision);
    if (key === undefined) return false;
    this.#putSlots(key as number, parts);
    return true;
  }

  #writeTombstone([, id, revision, dueAtMs]: CallOf<'writeTombstone'>, parts: readonly Part[]) {
    const key = this.#statements.writeTombstone.get(bytesOf(parts[0]!), dueAtMs, id, revision);
    if (key === undefined) return false;
    const first = (key as number) * SLOTS_MAX;
    this.#statements.dropSlots.run(first, first + SLOTS_MAX);
    this.#liveAdded--;
    return true;
  }

  #read(id: string) {
    const record = this.#statements.findRecord.get(id) as
      | { key: number; revision: number; head: Uint8Array }
      | undefined;
    if (!record) return undefined;
    const { key, revision, head } = record;
    const first = key * SLOTS_MAX;
    const rows = this.#statements.slots.all(first, first + SLOTS_MAX) as {
      key: number;
      bytes: Uint8Array;
    }[];
    return { revision, head, slots: new Map(rows.map(({ key, bytes }) => [key - first, bytes])) };
  }

  #putModel([, id, createdAtMs, isKept]: CallOf<'putModel'>, parts: readonly Part[]): void {
    const isNew = this.#statements.modelKey.get(id) === undefined;
    this.#statements.putModel.run(id, createdAtMs, bytesOf(parts[0]!));
    if (isKept) this.#statements.keepModel.run(id);
    else if (isNew) this.#statements.letModelGo.run(id);
  }

  #isStored([, id, , isKept]: CallOf<'putModel'>, parts: readonly Part[]): boolean {
    const row = this.#statements.isStored.get(id, bytesOf(parts[0]!)) as { isInline: number } | undefined;
    return row !== undefined && !(isKept && row.isInline);
  }

  #getModel(id: string) {
    const row = this.#statements.getModel.get(id) as { isInline: number } | undefined;
    if (!row) return undefined;
    const { isInline, ...model } = row;
    return { ...model, isKept: isInline === 0 };
  }

  #list([, after = '', limit, modelId]: CallOf<'list'>) {
    return modelId === undefined
      ? this.#statements.list.all(after, limit)
      : this.#statements.listOfModel.all(modelId, after, limit);
  }

  #removeModel(id: string): boolean {
    if (this.#statements.isPinned.get(id) !== undefined) return false;
    this.#statements.removeModel.run(id);
    return true;
  }

  #putSlots(key: number, parts: readonly Part[]): void {
    for (const part of parts) {
      const [number] = part;
      if (number === HEAD) continue;
      if (number >= SLOTS_MAX) throw new RangeError(`slot ${number} is not below ${SLOTS_MAX}`);
      this.#statements.putSlot.run(key * SLOTS_MAX + number, bytesOf(part));
    }
  }
}

/** Bytes of length 0 that are not a Buffer would be stored as NULL. */
function bytesOf([, bytes]: Part): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
