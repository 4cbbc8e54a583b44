// The store of sessions and models, and the folder of model files. Nothing is written: a SQLite file belongs to the
// process that has it open, which may be a service that runs.
import { constants, accessSync, existsSync, readdirSync, statSync, statfsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Config } from '../../config.ts';
import { openStore } from '../../store/open.ts';
import { EXIT } from '../exit-codes.ts';
import { type Finding, fail, ok, warn } from './finding.ts';

const MiB = 2 ** 20;
/** What a new store needs; see docker/README.md, A full disk. */
const FREE_BYTES_MIN = 7 * MiB;
const SQLITE = 'sqlite:';

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
  } catch (error) {
    const advice = 'Give this user the right to write there, or set STORE_URL to another file.';
    return fail(name, `sqlite:${path} cannot be written: ${(error as Error).message}`, advice, EXIT.unavailable);
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
      EXIT.noInput,
    );
  }
}
