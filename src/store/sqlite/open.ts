// The database file: how it is made and opened, and what is in it. Refused is what another program or
// another version would have to read.
import { randomInt } from 'node:crypto';
import { closeSync, fsyncSync, mkdirSync, openSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
// @ts-expect-error: the package has no types; those of what is used here follow.
import Untyped from 'better-sqlite3';
import { type FileIdentity, identityOf, isSameFile } from './file-identity.ts';
import { firstMark, formatIn, isWalOf, userVersionOf } from './wal-match.ts';

export interface Connection {
  readonly inTransaction: boolean;
  exec(sql: string): void;
  pragma(sql: string, options: { simple: true }): unknown;
  prepare(sql: string): Statement;
  close(): void;
}

export interface Statement {
  run(...parameters: unknown[]): { changes: number };
  get(...parameters: unknown[]): unknown;
  all(...parameters: unknown[]): unknown[];
  /** Rows become the value of their first column. */
  pluck(): this;
}

const Connection = Untyped as new (path: string, options: { timeout: number }) => Connection;

/** An error of SQLite has a code such as SQLITE_FULL or SQLITE_IOERR_FSYNC. */
export function sqliteCode(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as Error & { code?: unknown }).code : undefined;
  return typeof code === 'string' && code.startsWith('SQLITE_') ? code : undefined;
}

/** "CARR" in ASCII: tells our files from those of other programs. */
const APPLICATION_ID = 0x43415252;

/** Raised when a server of an earlier format could not read the file. */
export const FORMAT = 1;

/** How long opening waits for another process that is about to end. Later nothing is waited for. */
const LOCK_TIMEOUT_MS = 500;

/** A transaction may make the log longer than that; afterwards the file is cut to this. */
const WAL_BYTES_KEPT = 8 * 2 ** 20;

/** Slots of a record are numbered below this. */
export const SLOTS_MAX = 2 ** 16;

/** The sessions of a model in the order of their ids. */
const LIVE_RECORDS =
  'CREATE INDEX IF NOT EXISTS live_records_by_id ON records (model, id) WHERE model IS NOT NULL';

// A record with a model is live, one without is a tombstone. A change touches two pages: that of
// the head and that of the slot; the indexes hold nothing that a change changes.
const SCHEMA = `
  CREATE TABLE models (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    created_at REAL NOT NULL,
    file BLOB NOT NULL
  ) STRICT;
  CREATE TABLE names (
    key INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    model INTEGER NOT NULL REFERENCES models ON DELETE CASCADE
  ) STRICT;
  CREATE INDEX names_by_model ON names (model);
  CREATE TABLE records (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    revision INTEGER NOT NULL,
    model INTEGER REFERENCES models,
    due_at REAL NOT NULL,
    head BLOB NOT NULL
  ) STRICT;
  CREATE INDEX records_by_due ON records (due_at);
  ${LIVE_RECORDS};
  CREATE TABLE slots (
    key INTEGER PRIMARY KEY, -- that of the record × ${SLOTS_MAX} + the number of the slot
    bytes BLOB NOT NULL
  ) STRICT;
  CREATE TABLE probe (key INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
  INSERT INTO probe VALUES (1, zeroblob(65536));
`;

/**
 * Models that came with the weights of a session, and are not kept beyond the last session with them. Made
 * in files of earlier servers too: to these all models are kept.
 */
const INLINE_MODELS = `
  CREATE TABLE IF NOT EXISTS inline_models (
    model INTEGER PRIMARY KEY REFERENCES models ON DELETE CASCADE
  ) STRICT;
`;

/** What ids are made of that nobody shall guess; made in files of earlier servers too. */
const SECRET = `
  CREATE TABLE IF NOT EXISTS secret (key INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;
  INSERT OR IGNORE INTO secret VALUES (1, hex(randomblob(16)));
`;

/** A reason not to use the file that trying again does not remove. */
export class Refusal extends Error {}

/**
 * Opens the file, which is made if it is not there.
 *
 * @param known the file that this process had open before: no other will do
 * @throws Refusal · an error of SQLite
 */
export function openFile(path: string, known: FileIdentity | undefined): Connection {
  if (known && !isSameFile(known, identityOf(path))) throw new Refusal(replaced(path));
  createFile(path);
  expectLogBelongs(path);
  return open(path);
}

export function replaced(path: string): string {
  return (
    `${path} was deleted or replaced while it was open, so what is written would be lost: put it back, or ` +
    'restart the server with the file that shall be served'
  );
}

function expectLogBelongs(path: string): void {
  // Closing a file drops the locks that SQLite has on it in this process, so it is opened if need be.
  const log = statSync(`${path}-wal`, { throwIfNoEntry: false });
  if (!log || log.size === 0 || isWalOf(path)) return;
  throw new Refusal(
    `${path}-wal is the log of another file than ${path}, or of another time: together they would be a mix ` +
      'of both. If the file was restored from a backup, delete the log; else restore both as they were together',
  );
}

/** SQLite gives its log the mode of the file. An existing file keeps the mode that it has. */
function createFile(path: string): void {
  createFolder(dirname(resolve(path)));
  try {
    // Only a file that is not there is opened: closing one drops the locks SQLite has on it.
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

export function syncFolder(path: string): void {
  const folder = openSync(path, 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

function open(path: string): Connection {
  // Resolved, no path is one of those that mean a database in memory.
  const connection = new Connection(resolve(path), { timeout: LOCK_TIMEOUT_MS });
  const pragma = (sql: string) => connection.pragma(sql, { simple: true });
  try {
    // So that freed pages can be given back to the disk. Only a file without any page can be told so, and the
    // first transaction makes one.
    if (statSync(path).size === 0) pragma('auto_vacuum = INCREMENTAL');
    // Before the first access to a file that has pages; from that on no other process, nor another thread of this one, can
    // read or write the file.
    pragma('locking_mode = EXCLUSIVE');
    connection.exec('BEGIN EXCLUSIVE; COMMIT');
    const applicationId = pragma('application_id');
    const isOurs = applicationId === APPLICATION_ID;
    const isNew = (applicationId === 0 || isOurs) && isEmpty(connection);
    if (!isNew) checkFormat(path, applicationId, formatIn(pragma('user_version') as number));
    else beginFile(connection);
    if (pragma('journal_mode = WAL') !== 'wal') throw new Refusal(`${path} cannot have a log`);
    pragma('synchronous = FULL');
    pragma('wal_autocheckpoint = 0');
    pragma(`journal_size_limit = ${WAL_BYTES_KEPT}`);
    // Only what does not fit into memory would go to files in /tmp, which may be read-only.
    pragma('temp_store = MEMORY');
    if (isNew) {
      connection.exec(`
        BEGIN;
        ${SCHEMA}
        COMMIT`);
    } else improveIndex(connection);
    connection.exec(INLINE_MODELS);
    connection.exec(`BEGIN; ${SECRET} COMMIT`);
    // Read back only after a statement: the first one may replace it by a default of the build.
    connection.exec('SELECT count(*) FROM names');
    if (pragma('synchronous') !== 2) throw new Refusal('SQLite does not keep synchronous = FULL');
    return connection;
  } catch (error) {
    connection.close();
    throw refusalOf(path, error);
  }
}

/** A file of an earlier version has an index without the ids; servers of that version can use this one. */
function improveIndex(connection: Connection): void {
  try {
    connection.exec(`BEGIN; ${LIVE_RECORDS}; DROP INDEX IF EXISTS live_records; COMMIT`);
  } catch (error) {
    // On a full disk the sessions of a model are listed more slowly.
    if (sqliteCode(error) !== 'SQLITE_FULL') throw error;
    if (connection.inTransaction) connection.exec('ROLLBACK');
  }
}

/** What has to stand in the file before it has a log. */
function beginFile(connection: Connection): void {
  const mark = firstMark(randomInt(2 ** 32) / 2 ** 32);
  connection.exec(`
    PRAGMA application_id = ${APPLICATION_ID};
    PRAGMA user_version = ${userVersionOf(FORMAT, mark)};`);
}

function isEmpty(connection: Connection): boolean {
  return connection.prepare('SELECT count(*) FROM sqlite_schema').pluck().get() === 0;
}

function checkFormat(path: string, applicationId: unknown, format: unknown): void {
  if (applicationId !== APPLICATION_ID) {
    throw new Refusal(`${path} is not a session store: name another file in STORE_URL`);
  }
  if (format !== FORMAT) {
    throw new Refusal(
      `${path} has format ${String(format)} and this server reads format ${FORMAT}: ` +
        'run the version of the server that wrote it',
    );
  }
}

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
