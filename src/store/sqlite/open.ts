// Creates and opens the database file. A file of another program, or of a format that this version cannot read,
// is refused; one of an earlier format is opened as it is, for migrations.ts.
import { randomInt } from 'node:crypto';
import { closeSync, fsyncSync, mkdirSync, openSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
// @ts-expect-error: the package has no types; those of what is used here follow.
import Untyped from 'better-sqlite3';
import { type FileIdentity, identityOf, isSameFile } from './file-identity.ts';
import { APPLICATION_ID, FORMAT, FORMAT_MIN, SCHEMA } from './schema.ts';
import { firstGeneration, formatOf, isWalOf, userVersionOf } from './wal-match.ts';

/** A connection to the database, as better-sqlite3 gives it. */
export interface Connection {
  readonly inTransaction: boolean;
  exec(sql: string): void;
  pragma(sql: string, options: { simple: true }): unknown;
  prepare(sql: string): Statement;
  /** Copies the database; `progress` is called after each step and returns the pages of the next one. */
  backup(path: string, options: { progress: () => number }): Promise<unknown>;
  close(): void;
}

export interface Statement {
  run(...parameters: unknown[]): { changes: number };
  get(...parameters: unknown[]): unknown;
  all(...parameters: unknown[]): unknown[];
  /** Makes get() and all() return the first column of a row instead of an object. */
  pluck(): this;
}

const Connection = Untyped as new (path: string, options: { timeout: number }) => Connection;

/** The code of an error of SQLite, such as SQLITE_FULL or SQLITE_IOERR_FSYNC; undefined for other errors. */
export function sqliteCode(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as Error & { code?: unknown }).code : undefined;
  return typeof code === 'string' && code.startsWith('SQLITE_') ? code : undefined;
}

/** How long opening waits for another process that is closing the file. No later statement waits for a lock. */
const LOCK_TIMEOUT_MS = 500;

/** The WAL may exceed this in a transaction; after the next checkpoint it is truncated to it. */
const WAL_BYTES_KEPT = 8 * 2 ** 20;

/** Why the file must not be used: opening it again cannot help. */
export class Refusal extends Error {}

/**
 * Opens the file, which is created if it does not exist.
 *
 * @param expected the file that this process had open before: another one at this path is refused
 * @throws Refusal · an error of SQLite
 */
export function openFile(path: string, expected: FileIdentity | undefined): Connection {
  if (expected && !isSameFile(expected, identityOf(path))) throw new Refusal(replacedMessage(path));
  createFile(path);
  refuseForeignWal(path);
  return open(path);
}

/** The message for a file that is open, but not at its path any more. */
export function replacedMessage(path: string): string {
  return (
    `${path} was deleted or replaced while it was open, so what is written would be lost: put it back, or ` +
    'restart the server with the file that shall be served'
  );
}

function refuseForeignWal(path: string): void {
  // Closing a file releases the POSIX locks that SQLite holds on it in this process, so isWalOf(), which opens
  // and closes it, is called only if there is a WAL.
  const wal = statSync(`${path}-wal`, { throwIfNoEntry: false });
  if (!wal || wal.size === 0 || isWalOf(path)) return;
  throw new Refusal(
    `${path}-wal is the write-ahead log of another file than ${path}, or of another time: together they would ` +
      'be a mix of both. If the file was restored from a backup, delete the log; else restore both as they were ' +
      'together',
  );
}

/** SQLite gives its WAL the mode of the file. An existing file keeps the mode that it has. */
function createFile(path: string): void {
  createFolder(dirname(resolve(path)));
  try {
    // Opens only a file that does not exist: closing a file releases the locks that SQLite holds on it.
    closeSync(openSync(path, 'wx', 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

function createFolder(path: string): void {
  const first = mkdirSync(path, { recursive: true, mode: 0o700 });
  if (first === undefined) return;
  for (let folder = path; folder.length >= first.length; folder = dirname(folder)) {
    syncFolder(dirname(folder));
  }
}

/** Syncs a folder, so that the creation and deletion of files in it are durable. */
export function syncFolder(path: string): void {
  const folder = openSync(path, 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/** A connection to a file, with nothing set. @throws an error of SQLite */
export function connect(path: string): Connection {
  // An absolute path is never mistaken for one of the names of a database in memory.
  return new Connection(resolve(path), { timeout: LOCK_TIMEOUT_MS });
}

function open(path: string): Connection {
  const connection = connect(path);
  const pragma = (sql: string) => connection.pragma(sql, { simple: true });
  try {
    // Free pages can be returned to the file system by incremental vacuum. This can be set only before the first
    // transaction, which creates the first page.
    if (statSync(path).size === 0) pragma('auto_vacuum = INCREMENTAL');
    // Set before the first access to a file that has pages. After it no other process, nor another thread of this
    // one, can read or write the file.
    pragma('locking_mode = EXCLUSIVE');
    connection.exec('BEGIN EXCLUSIVE; COMMIT');
    const applicationId = pragma('application_id');
    const isOurs = applicationId === APPLICATION_ID;
    const isNew = (applicationId === 0 || isOurs) && isEmpty(connection);
    if (!isNew) checkFormat(path, applicationId, formatOf(pragma('user_version') as number));
    else initializeFile(connection);
    if (pragma('journal_mode = WAL') !== 'wal') throw new Refusal(`${path} cannot have a write-ahead log`);
    pragma('synchronous = FULL');
    pragma('wal_autocheckpoint = 0');
    pragma(`journal_size_limit = ${WAL_BYTES_KEPT}`);
    // Otherwise what does not fit into memory would be written to /tmp, which may be read-only.
    pragma('temp_store = MEMORY');
    if (isNew) {
      connection.exec(`
        BEGIN;
        ${SCHEMA}
        COMMIT`);
    }
    // Read back after a statement, as the first one may replace the value by a default of the build.
    connection.exec('SELECT count(*) FROM names');
    if (pragma('synchronous') !== 2) throw new Refusal('SQLite does not keep synchronous = FULL');
    return connection;
  } catch (error) {
    connection.close();
    throw refusalOf(path, error);
  }
}

/** Writes what must be in the file before the WAL is used. */
function initializeFile(connection: Connection): void {
  const generation = firstGeneration(randomInt(2 ** 32) / 2 ** 32);
  connection.exec(`
    PRAGMA application_id = ${APPLICATION_ID};
    PRAGMA user_version = ${userVersionOf(FORMAT, generation)};`);
}

function isEmpty(connection: Connection): boolean {
  return connection.prepare('SELECT count(*) FROM sqlite_schema').pluck().get() === 0;
}

/** @throws Refusal if the file is not of this program, or of a format that is not known */
export function checkFormat(path: string, applicationId: unknown, format: number): void {
  if (applicationId !== APPLICATION_ID) {
    throw new Refusal(`${path} is not a session store: name another file in STORE_URL`);
  }
  if (format < FORMAT_MIN || format > FORMAT) {
    throw new Refusal(
      `${path} has format ${format} and this server reads formats ${FORMAT_MIN} to ${FORMAT}: run the version of the ` +
        'server that wrote it, or a later one',
    );
  }
}

/** A Refusal if an error of SQLite is one that opening again cannot help; else the error itself. */
function refusalOf(path: string, error: unknown): unknown {
  switch (sqliteCode(error)) {
    case 'SQLITE_BUSY':
      return new Refusal(
        `${path} is in use by another server: stop that one, or name another file in STORE_URL`,
      );
    case 'SQLITE_NOTADB':
      return new Refusal(`${path} is not a session store: name another file in STORE_URL`);
    default:
      return error;
  }
}
