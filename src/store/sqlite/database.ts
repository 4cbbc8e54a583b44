// The open database: transactions, checkpoints of the WAL, and the space of the file and the disk. Used by the
// thread of the store alone: every method here may wait for the disk.
import { statSync } from 'node:fs';
import { dirname } from 'node:path';
import { copyInSteps } from './backup-copy.ts';
import { Executor } from './executor.ts';
import { type FileIdentity, identityOf, isSameFile } from './file-identity.ts';
import type { Opened } from './messages.ts';
import { migrate } from './migrations.ts';
import { type Connection, openFile, syncFolder } from './open.ts';
import { FREE_BYTES_NEEDED, NoSpaceError, Reserve, freeBytes, isFull } from './reserve.ts';
import { FORMAT } from './schema.ts';
import { type Statements, prepareStatements } from './statements.ts';
import { generationOf, nextGeneration, userVersionOf } from './wal-match.ts';

const PAGE_BYTES = 4_096;

/**
 * Pages below the limit of the file that only transactions which free space may use: deletions, and their
 * tombstones. They are for the limit what the reserve (reserve.ts) is for the disk.
 */
const RESERVED_PAGES = 256;

/** The pages of tables and indexes that a change needs besides its bytes, at most. */
const OVERHEAD_PAGES = 32;

/** Free pages are kept in the file up to this number; more are returned to the disk by incremental vacuum. */
const FREE_PAGES_KEPT = 256;
/** Pages of one incremental vacuum. */
const VACUUM_PAGES = 256;

/** Incremental vacuums to obtain space for the reserve: 8 MiB together, which is more than it has. */
const VACUUMS_MAX = 8;

/**
 * A checkpoint is made when the WAL has this many pages of 4 KiB. With four times as many the CPU time per change
 * was the same (23 µs with 16 calls at a time), and a disk that is nearly full must have space for the WAL and
 * for the pages that a checkpoint copies.
 */
const WAL_PAGES_MAX = 1_000;

export interface DatabaseOptions {
  readonly path: string;
  /** Limit of the file, without its WAL. */
  readonly bytesMax: number;
}

/** What a transaction is for. One that frees space may use the last pages and bytes, which are kept for it. */
export type TransactionKind = 'reads' | 'writes' | 'freesSpace';

export class Database {
  /** Executes calls, between begin() and commit() or rollback(). */
  readonly executor: Executor;
  /** Of the file, as it was opened. */
  readonly identity: FileIdentity;
  /** Undefined if it had the present format. */
  readonly migrated: Opened['migrated'];
  readonly #connection: Connection;
  readonly #statements: Statements;
  readonly #path: string;
  readonly #pagesMax: number;
  readonly #reserve: Reserve;
  /** Whether transactions may use the reserved pages; undefined before it was set. */
  #isLimitLifted: boolean | undefined;
  #walIdentity: FileIdentity | undefined;
  /** The generation of the WAL that is being written, or of the one before it (wal-match.ts). */
  #generation: number;
  /** Whether the current transaction (`now`) or the next one that writes begins a new WAL. */
  #beginsWal: 'no' | 'next' | 'now' = 'next';

  /**
   * @param expected the file that this process had open before: another one is refused
   * @throws Refusal · an error of SQLite · an error of the system
   */
  constructor({ path, bytesMax }: DatabaseOptions, expected?: FileIdentity) {
    this.#path = path;
    this.#pagesMax = Math.floor(bytesMax / PAGE_BYTES);
    this.#connection = openFile(path, expected);
    try {
      this.migrated = migrate(this.#connection, path);
      this.identity = identityOf(path)!;
      this.#reserve = new Reserve(path);
      this.#generation = generationOf(this.#pragma('user_version'));
      this.#statements = prepareStatements(this.#connection);
      this.executor = new Executor(this.#statements);
      // What a crash has left in the WAL may not be on the disk yet, and must not be read before it is. A full
      // disk is no problem here: the WAL was synced before the checkpoint found something to copy.
      if (this.#truncateWal() || this.freeSpace()) this.#reserve.take();
      // A WAL that was deleted must not reappear with changes that were reported as not applied.
      syncFolder(dirname(path));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Whether space is reserved for deletions. Without it nothing may grow. */
  get hasReserve(): boolean {
    return this.#reserve.isHeld;
  }

  /** @throws NoSpaceError · an error of SQLite */
  begin(kind: TransactionKind): void {
    if (kind !== 'reads') this.#liftLimit(kind === 'freesSpace');
    if (kind === 'writes' && !this.hasReserve) throw new NoSpaceError();
    this.#statements.begin.run();
    if (kind === 'reads' || this.#beginsWal === 'no') return;
    this.#beginsWal = 'now';
    this.#pragma(`user_version = ${userVersionOf(FORMAT, nextGeneration(this.#generation))}`);
  }

  /** When it returns, the transaction is on the disk. @throws an error of SQLite */
  commit(): void {
    this.#statements.commit.run();
    this.executor.committed();
    if (this.#beginsWal !== 'now') return;
    this.#beginsWal = 'no';
    this.#generation = nextGeneration(this.#generation);
    this.#walIdentity ??= identityOf(`${this.#path}-wal`);
  }

  /** @throws an error of SQLite */
  rollback(): void {
    this.executor.rolledBack();
    if (this.#beginsWal === 'now') this.#beginsWal = 'next';
    // After some errors SQLite has already rolled back by itself.
    if (this.#connection.inTransaction) this.#statements.rollback.run();
  }

  /** Whether the path still names the files that are open. Takes about 7 µs. @throws an error of the system */
  isInPlace(): boolean {
    if (!isSameFile(this.identity, identityOf(this.#path))) return false;
    return !this.#walIdentity || isSameFile(this.#walIdentity, identityOf(`${this.#path}-wal`));
  }

  /** Whether a change of this many bytes would exceed the limit of the file; if not, it is the disk that is full. */
  wouldExceedLimit(bytes: number): boolean {
    const pages = Math.ceil(bytes / PAGE_BYTES) + OVERHEAD_PAGES;
    return this.#pragma('page_count') + pages > this.#pagesMax - RESERVED_PAGES;
  }

  /** Returns some free pages to the disk, if there are many. Not in a transaction. @throws an error of SQLite */
  shrink(): void {
    if (this.#freePages() > FREE_PAGES_KEPT + VACUUM_PAGES) this.#vacuum();
  }

  /**
   * Obtains space for a transaction that frees space, on a disk that is full: releases the reserve, and copies
   * the WAL into the file if that has space for it. Not in a transaction.
   *
   * @returns whether the WAL is empty now
   * @throws an error of the system · an error of SQLite, unless it says that the disk is full
   */
  freeSpace(): boolean {
    this.#reserve.release();
    return this.#truncateWal();
  }

  /**
   * Takes the reserve again, if need be in the place of free pages. Not in a transaction.
   *
   * @returns whether it is held now, so that all calls can be executed again
   * @throws an error of the system · an error of SQLite
   */
  regainReserve(): boolean {
    if (this.hasReserve) return true;
    for (let vacuums = 0; ; vacuums++) {
      if (this.#truncateWal() && this.#reserve.take()) return true;
      const freePages = this.#freePages();
      if (freePages === 0 || vacuums === VACUUMS_MAX) return false;
      this.#vacuum();
      // The file of an earlier version was created without auto_vacuum and cannot shrink.
      if (this.#freePages() === freePages) return false;
    }
  }

  /** Writes 64 KiB and syncs them, to find out whether that works. @throws an error of SQLite */
  probe(): void {
    this.#transact(() => this.#statements.probe.run());
  }

  /**
   * Makes a checkpoint if the WAL is long. Not in a transaction.
   *
   * @throws NoSpaceError · an error of SQLite: nothing is lost then, and the WAL continues to grow
   */
  checkpointIfLong(): void {
    const { log: walPages } = this.#statements.walLength.get() as { log: number };
    if (walPages <= WAL_PAGES_MAX) return;
    try {
      if (!this.#hasSpaceForCheckpoint()) throw new NoSpaceError();
      const { log, checkpointed } = this.#statements.checkpoint.get() as { log: number; checkpointed: number };
      if (log === checkpointed) this.#beginsWal = 'next';
    } catch (error) {
      if (!isFull(error) || !this.hasReserve) throw error;
      if (this.freeSpace()) this.#reserve.take();
    }
  }

  /**
   * Copies the database into an existing empty file, in steps between transactions.
   *
   * @throws NoSpaceError · an error of SQLite or of the system; TypeError if the database is closed meanwhile
   */
  async copyTo(path: string): Promise<void> {
    const bytes = this.#pragma('page_count') * PAGE_BYTES;
    // On the same disk the copy must leave what the reserve would need.
    if (freeBytes(dirname(path)) < bytes + FREE_BYTES_NEEDED) throw new NoSpaceError();
    await copyInSteps(this.#connection, path);
  }

  /** @throws an error of SQLite */
  close(): void {
    this.#connection.close();
  }

  /** Executes one change as a transaction that may use the reserved space. */
  #transact(change: () => void): void {
    this.begin('freesSpace');
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

  /** Copies the WAL into the file and truncates it to nothing. False if the disk is too full for that. */
  #truncateWal(): boolean {
    if (!this.#hasSpaceForCheckpoint()) return false;
    try {
      this.#statements.checkpointAndTruncate.get();
      this.#beginsWal = 'next';
      return true;
    } catch (error) {
      if (!isFull(error)) throw error;
      return false;
    }
  }

  /** A checkpoint that does not fit would use up the space that deletions need for the WAL. */
  #hasSpaceForCheckpoint(): boolean {
    const growth = this.#pragma('page_count') * PAGE_BYTES - statSync(this.#path).size;
    return growth <= 0 || growth <= freeBytes(dirname(this.#path));
  }

  #freePages(): number {
    return this.#pragma('freelist_count');
  }

  #vacuum(): void {
    // The pragma returns a row for each page and stops when no more rows are fetched: exec() fetches all.
    this.#transact(() => this.#connection.exec(`PRAGMA incremental_vacuum(${VACUUM_PAGES})`));
  }

  #pragma(sql: string): number {
    return this.#connection.pragma(sql, { simple: true }) as number;
  }
}
