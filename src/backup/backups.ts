// Backups of the store while it is used: a copy, its check, and then its name. What has the name of a backup is whole,
// checked and on the disk; what is not has a name that ends in .part and is deleted.
import { access, constants, open, rename, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { CarryoverError } from '../errors.ts';
import type { SessionStore } from '../store/store.ts';
import { BackupError } from './backup-error.ts';
import { type Contents, checkCopy } from './check.ts';

export interface BackupReport extends Contents {
  readonly file: string;
  /** When the copy was begun, as in an HTTP API: 2026-11-29T12:00:00.000Z. It is not older. */
  readonly started_at: string;
  readonly ms: number;
  /** Of them for the copy; the rest is its check. */
  readonly copy_ms: number;
}

/** What `POST /backup` answers. */
export interface BackupAnswer {
  readonly status: number;
  readonly body: BackupReport | { readonly code: string; readonly detail: string };
}

export interface BackupsOptions {
  /** BACKUP_DIR; empty: no backups are made. */
  readonly folder: string;
  readonly store: Pick<SessionStore, 'copyTo'>;
  readonly onMade: (report: BackupReport) => void;
  readonly onFailed: (error: unknown) => void;
}

/** Beside a database SQLite has these while it writes. */
const SUFFIXES = ['', '-journal', '-wal'];

export class Backups {
  readonly #options: BackupsOptions;
  readonly #closing = new AbortController();
  /** Settles when the backup that is being made has ended and nothing partial is left of it; never rejects. */
  #current: Promise<unknown> | undefined;

  constructor(options: BackupsOptions) {
    this.#options = options;
  }

  /** Makes a backup, or says why not. Never rejects. */
  async answer(): Promise<BackupAnswer> {
    try {
      const report = await this.make();
      this.#options.onMade(report);
      return { status: 201, body: report };
    } catch (error) {
      if (!(error instanceof BackupError)) throw error;
      if (error.status >= 500) this.#options.onFailed(error);
      return { status: error.status, body: { code: error.code, detail: error.message } };
    }
  }

  /** @throws BackupError, and no file is left */
  async make(): Promise<BackupReport> {
    const { folder, store } = this.#options;
    if (folder === '' || !store.copyTo) {
      throw new BackupError('backups_off', 'No backups are made here: start the service with BACKUP_DIR, a folder for them.');
    }
    this.#throwIfClosing();
    if (this.#current) throw new BackupError('backup_running', 'A backup is being made: wait for its answer.');
    const made = this.#makeIn(resolve(folder), store.copyTo.bind(store));
    this.#current = made.catch(() => undefined);
    try {
      return await made;
    } finally {
      this.#current = undefined;
    }
  }

  /** No backup is made from now on, and one that is being made fails soon: its check at once, its copy with the store. */
  stop(): void {
    this.#closing.abort();
  }

  /** Resolves when nothing partial is left. To be called after the store was closed. */
  async ended(): Promise<void> {
    await this.#current;
  }

  async #makeIn(folder: string, copyTo: (path: string) => Promise<void>): Promise<BackupReport> {
    const startMs = performance.now();
    const startedAt = new Date().toISOString();
    const file = join(folder, `carryover-${startedAt.replaceAll(/[-:]/g, '')}.sqlite`);
    const part = `${file}.part`;
    await createPart(part);
    try {
      await copyTo(part);
      const copyMs = performance.now() - startMs;
      this.#throwIfClosing();
      const contents = await checkCopy(part, this.#closing.signal);
      await sync(part);
      this.#throwIfClosing();
      await rename(part, file);
      await sync(folder);
      const ms = Math.round(performance.now() - startMs);
      return { file, ...contents, started_at: startedAt, ms, copy_ms: Math.round(copyMs) };
    } catch (error) {
      await removePart(part);
      this.#throwIfClosing();
      throw backupErrorOf(error);
    }
  }

  #throwIfClosing(): void {
    if (!this.#closing.signal.aborted) return;
    throw new BackupError('shutting_down', 'The service shuts down, and no backup was made.');
  }
}

/** States of sessions are nobody else's to read: as the store, the file is only for its user. */
async function createPart(part: string): Promise<void> {
  const folder = join(part, '..');
  try {
    await access(folder, constants.W_OK);
    await (await open(part, 'wx', 0o600)).close();
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === 'ENOSPC' || code === 'EDQUOT') throw backupErrorOf(cause);
    const detail = `No file can be created in BACKUP_DIR, ${folder} (${message}): expected an existing folder that the service may write to.`;
    throw new BackupError('backup_folder_unusable', detail, { cause });
  }
}

async function removePart(part: string): Promise<void> {
  await Promise.all(SUFFIXES.map((suffix) => rm(part + suffix, { force: true })));
}

async function sync(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

function backupErrorOf(error: unknown): BackupError {
  if (error instanceof BackupError) return error;
  const { message, code } = error as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT' || (error instanceof CarryoverError && error.code === 'store_full')) {
    const detail = `BACKUP_DIR has no space for a copy of the store (${message}) Delete earlier backups, or choose a larger disk.`;
    return new BackupError('backup_disk_full', detail, { cause: error });
  }
  return new BackupError('backup_failed', `No backup was made: ${message}`, { cause: error });
}
