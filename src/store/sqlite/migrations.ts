// Brings the file of an earlier format to the present one: all steps in one transaction, after the file as it was has
// been copied to `<file>.before-<format>`. If any of it fails, or the process is killed, the file is as it was.
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { oneLine } from './failures.ts';
import type { Opened } from './messages.ts';
import { type Connection, Refusal, syncFolder } from './open.ts';
import { FREE_BYTES_NEEDED, freeBytes, isFull } from './reserve.ts';
import { FORMAT, INLINE_MODELS, LIVE_RECORDS_INDEX, SECRET } from './schema.ts';
import { formatOf, generationOf, nextGeneration, userVersionOf } from './wal-match.ts';

interface Migration {
  /** Which format the step leads to, from the one before. */
  readonly format: number;
  readonly sql: string;
}

/** In their order. A step stays as it is for ever: there are files that need it. */
const MIGRATIONS: readonly Migration[] = [
  // Files of format 1 may lack the tables of what came later, and have an index without the ids.
  { format: 2, sql: `${LIVE_RECORDS_INDEX}; DROP INDEX IF EXISTS live_records; ${INLINE_MODELS} ${SECRET}` },
];

/** Copies a file to a new one, as it is, with its mode, and syncs the copy. */
const COPY = `
  const { closeSync, constants, copyFileSync, fsyncSync, openSync } = require('node:fs');
  const [from, to] = process.argv.slice(1);
  copyFileSync(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
  const file = openSync(to, 'r+');
  fsyncSync(file);
  closeSync(file);`;

/**
 * Migrates an open file, unless it has the present format.
 *
 * @param connection that has the file for itself, outside a transaction, with the settings of open.ts
 * @returns from which format it was migrated, and the copy; undefined if it was not
 * @throws Refusal if the disk has no space for it · an error of SQLite or of the system; the file is unchanged then
 */
export function migrate(connection: Connection, path: string): Opened['migrated'] {
  const version = connection.pragma('user_version', { simple: true }) as number;
  const from = formatOf(version);
  if (from === FORMAT) return undefined;
  try {
    const copy = copyFile(connection, path, from);
    connection.exec('BEGIN IMMEDIATE');
    for (const { format, sql } of MIGRATIONS) if (format > from) connection.exec(sql);
    // The transaction begins a WAL, so it has the next generation (wal-match.ts).
    connection.pragma(`user_version = ${userVersionOf(FORMAT, nextGeneration(generationOf(version)))}`, { simple: true });
    connection.exec('COMMIT');
    return { from, copy };
  } catch (error) {
    if (connection.inTransaction) connection.exec('ROLLBACK');
    throw isFull(error) ? noSpace(path, from, FREE_BYTES_NEEDED) : error;
  }
}

/** @returns the path of the copy, which is complete and on the disk */
function copyFile(connection: Connection, path: string, from: number): string {
  // The WAL is copied into the file, which then has everything. Nobody else can write either.
  connection.pragma('wal_checkpoint(TRUNCATE)', { simple: true });
  const file = resolve(path);
  const { size } = statSync(file);
  if (freeBytes(dirname(file)) < size + FREE_BYTES_NEEDED) throw noSpace(path, from, size + FREE_BYTES_NEEDED);
  const copy = `${file}.before-${FORMAT}`;
  removeUnfinished(copy);
  const unfinished = `${copy}.part-${randomBytes(4).toString('hex')}`;
  // By another process: closing the file in this one would release the locks that SQLite holds on it.
  const { status, stderr, error } = spawnSync(process.execPath, ['-e', COPY, '--', file, unfinished]);
  if (status !== 0) {
    rmSync(unfinished, { force: true });
    throw new Error(`it could not be copied before it is changed: ${oneLine(error ?? String(stderr).slice(-500))}`);
  }
  renameSync(unfinished, copy);
  syncFolder(dirname(file));
  return copy;
}

/** What a service that was killed has left. */
function removeUnfinished(copy: string): void {
  const folder = dirname(copy);
  const prefix = `${basename(copy)}.part-`;
  for (const name of readdirSync(folder)) if (name.startsWith(prefix)) rmSync(join(folder, name), { force: true });
}

function noSpace(path: string, from: number, bytes: number): Refusal {
  return new Refusal(
    `${path} has format ${from} and is to be changed to format ${FORMAT}, of which a copy is made before: have ` +
      `${Math.ceil(bytes / 2 ** 20)} MiB free on its disk. Nothing was changed`,
  );
}
