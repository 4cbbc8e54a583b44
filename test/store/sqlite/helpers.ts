// A SQLite store for the tests of this folder, in files of their own.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CarryoverError } from '../../../src/errors.ts';
import { type SqliteOptions, openSqliteStore } from '../../../src/store/sqlite/sqlite.ts';
import type { RecordParts, SessionStore } from '../../../src/store/store.ts';
import { closeAtEnd } from '../../helpers/cleanup.ts';

export const folder = mkdtempSync(join(tmpdir(), 'carryover-sqlite-'));
const removeFolder = () => rmSync(folder, { recursive: true, force: true });

let paths = 0;
/** A path in a folder of its own, which does not exist yet. */
export const newPath = () => {
  closeAtEnd(removeFolder);
  return join(folder, `${++paths}/carryover.sqlite`);
};
/** The path that newPath() returned last. */
export const lastPath = () => join(folder, `${paths}/carryover.sqlite`);

export const open = (path = newPath(), options: Partial<SqliteOptions> = {}) =>
  openSqliteStore(path, { timeoutMs: 5_000, queueMax: 4_000, ...options });

/** A module for the thread of the store, with a fault. */
export const threadFixture = (name: string) => new URL(`../../fixtures/store/${name}.ts`, import.meta.url);

export const MODEL_ID = 'sha256:model';

export const putModel = (store: SessionStore) =>
  store.models.put({ id: MODEL_ID, file: Buffer.from('weights'), createdAtMs: 0, isKept: true });

export const parts = (head: string): RecordParts => ({ head: Buffer.from(head), slots: new Map() });

/** Creates a session whose head is its id. */
export const create = (store: SessionStore, id: string) => store.create(id, parts(id), 1e12, MODEL_ID);

/** '' if there is no such session. */
export const headOf = async (store: SessionStore, id: string) =>
  Buffer.from((await store.read(id))?.head ?? '').toString();

/** `ok`, `conflict`, or code and `applied` of the error. */
export const outcomeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    (value) => (value === false || value === undefined ? 'conflict' : 'ok'),
    ({ code, applied }: CarryoverError) => `${code} ${applied}`,
  );
