// The store of sessions and models, and the folder of model files. Nothing is written: a SQLite file belongs to the
// process that has it open, which may be a service that runs.
import { accessSync, closeSync, constants, existsSync, openSync, readSync, readdirSync, statSync, statfsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Config } from '../../config.ts';
import { openStore } from '../../store/open.ts';
import { EXIT } from '../exit-codes.ts';
import { type Finding, fail, ok, warn } from './finding.ts';

const MiB = 2 ** 20;
/** What a new store needs; see docker/README.md, A full disk. */
const FREE_BYTES_MIN = 7 * MiB;
const SQLITE = 'sqlite:';
/** The first bytes of every SQLite database. */
const SQLITE_SIGNATURE = 'SQLite format 3\0';

/** @param isServing whether a service runs at the address of these settings */
export async function checkStore(config: Config, isServing: boolean): Promise<Finding> {
  const { STORE_URL } = config;
  if (STORE_URL === 'memory:') {
    return warn(
      'store',
      'memory:',
      'Sessions and models are lost when the service ends: set STORE_URL to sqlite:FILE or redis://… to keep them.',
    );
  }
  return STORE_URL.startsWith(SQLITE) ? checkSqlite(STORE_URL.slice(SQLITE.length), isServing) : checkRedis(config);
}

function checkSqlite(path: string, isServing: boolean): Finding {
  const name = 'store';
  const file = resolve(path);
  const folder = existingParent(file);
  try {
    accessSync(folder, constants.W_OK);
    if (!statSync(folder).isDirectory()) throw new Error(`${folder} is no folder`);
    if (existsSync(file)) accessSync(file, constants.R_OK | constants.W_OK);
    if (existsSync(file) && statSync(file).isDirectory()) throw new Error('it is a folder, expected a file');
  } catch (error) {
    const advice = 'Give this user the right to write there, or set STORE_URL to another file.';
    return fail(name, `sqlite:${path} cannot be written: ${(error as Error).message}`, advice, EXIT.unavailable);
  }
  if (!isDatabase(file)) {
    return fail(name, `sqlite:${path} is not a SQLite database`, 'Set STORE_URL to a store, or to a file that is not there yet.', EXIT.unavailable);
  }
  const { bavail, bsize } = statfsSync(folder);
  const free = bavail * bsize;
  const size = existsSync(file) ? `${(statSync(file).size / MiB).toFixed(1)} MiB` : 'not there yet';
  const space = `${Math.floor(free / MiB).toLocaleString('en')} MiB free`;
  const found = `sqlite:${path}, ${size}, ${space}${isServing ? ', in use by the service' : ''}`;
  if (free < FREE_BYTES_MIN)
    return fail(name, found, 'Free space on that disk: steps and new sessions are refused.', EXIT.unavailable);
  return ok(name, found);
}

/** Whether the file begins like one, or is empty or absent, so that a database is made in it. */
function isDatabase(file: string): boolean {
  if (!existsSync(file) || statSync(file).size === 0) return true;
  const start = Buffer.alloc(SQLITE_SIGNATURE.length);
  const descriptor = openSync(file, 'r');
  try {
    readSync(descriptor, start);
  } finally {
    closeSync(descriptor);
  }
  return start.toString('latin1') === SQLITE_SIGNATURE;
}

/** The folder of a file, or the nearest one above it that exists. */
function existingParent(file: string): string {
  const folder = dirname(file);
  return existsSync(folder) || folder === file ? folder : existingParent(folder);
}

async function checkRedis(config: Config): Promise<Finding> {
  const name = 'store';
  try {
    const store = await openStore(config.STORE_URL, {
      timeoutMs: config.STORE_TIMEOUT_MS,
      queueMax: config.STORE_QUEUE_MAX,
      memoryBytesMax: config.MEMORY_STORE_BYTES_MAX,
      bytesMax: config.STORE_BYTES_MAX,
      redis: { prefix: config.REDIS_PREFIX, waitReplicas: config.REDIS_WAIT_REPLICAS, waitMs: config.REDIS_WAIT_MS },
      onLost: () => undefined,
    });
    const { description } = store;
    await store.close();
    return ok(name, description);
  } catch (error) {
    return fail(name, (error as Error).message, 'Start the server, or correct STORE_URL.', EXIT.unavailable);
  }
}

export function checkModelsFolder({ MODELS_DIR }: Pick<Config, 'MODELS_DIR'>): Finding {
  const name = 'models';
  if (MODELS_DIR === '') return ok(name, 'no MODELS_DIR; the built-in ones');
  try {
    return ok(name, `MODELS_DIR ${MODELS_DIR} has ${readdirSync(MODELS_DIR).length} files`);
  } catch (error) {
    return fail(
      name,
      `MODELS_DIR cannot be read: ${(error as Error).message}`,
      'Set it to a folder with model files, or leave it out.',
      EXIT.config,
    );
  }
}

/** The file of the audit log, which the service would make with its folders. */
export function checkAuditLog({ AUDIT_LOG }: Pick<Config, 'AUDIT_LOG'>): Finding {
  const name = 'audit log';
  if (AUDIT_LOG === '') return ok(name, 'none, as there is no AUDIT_LOG');
  if (AUDIT_LOG === '-') return ok(name, 'on stdout');
  const file = resolve(AUDIT_LOG);
  const reason = reasonNotWritable(existsSync(file) ? file : existingParent(file), existsSync(file) ? 'file' : 'folder');
  if (reason === undefined) return ok(name, `AUDIT_LOG ${AUDIT_LOG}`);
  const advice = 'Set AUDIT_LOG to a file that this user may write, or to - for stdout, or leave it out.';
  return fail(name, `AUDIT_LOG ${AUDIT_LOG} cannot be written: ${reason}`, advice, EXIT.config);
}

/** The folder of backups; the service starts without it, and refuses to make any. */
export function checkBackupFolder({ BACKUP_DIR }: Pick<Config, 'BACKUP_DIR'>): Finding {
  const name = 'backups';
  if (BACKUP_DIR === '') return ok(name, 'none, as there is no BACKUP_DIR');
  const reason = reasonNotWritable(resolve(BACKUP_DIR), 'folder');
  if (reason === undefined) return ok(name, `into BACKUP_DIR ${BACKUP_DIR}`);
  const advice = 'Create the folder, or set BACKUP_DIR to one that this user may write: every backup would be refused.';
  return fail(name, `BACKUP_DIR ${BACKUP_DIR} cannot be written: ${reason}`, advice, EXIT.cannotCreate);
}

/** Undefined if it is of this kind and may be written. */
function reasonNotWritable(path: string, kind: 'file' | 'folder'): string | undefined {
  try {
    const isFolder = statSync(path).isDirectory();
    if (isFolder !== (kind === 'folder')) return `${path} is a ${isFolder ? 'folder' : 'file'}, expected a ${kind}`;
    accessSync(path, isFolder ? constants.W_OK | constants.X_OK : constants.W_OK);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
