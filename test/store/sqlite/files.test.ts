// Database files that were deleted, replaced, restored beside a foreign WAL, or have reached their limit.
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { openSqliteStore } from '../../../src/store/sqlite/sqlite.ts';
import type { SessionStore } from '../../../src/store/store.ts';
import { sample } from '../../helpers/long.ts';

const Connection = createRequire(import.meta.url)('better-sqlite3') as new (path: string) => {
  prepare(sql: string): { pluck(): { all(): unknown[] } };
  close(): void;
};

const folder = mkdtempSync(join(tmpdir(), 'carryover-files-'));
afterAll(() => rmSync(folder, { recursive: true }));

const MODEL = { id: 'sha256:m', file: Buffer.from('weights'), createdAtMs: 0, isKept: true };
let count = 0;
const newPath = () => join(folder, `${count++}.sqlite`);

async function open(path: string, bytesMax = 2 ** 30): Promise<SessionStore> {
  const store = await openSqliteStore(path, { timeoutMs: 5_000, queueMax: 1_000, bytesMax });
  await store.models.put(MODEL);
  return store;
}

const parts = (text: string, bytes = text.length) => ({
  head: Buffer.alloc(bytes, text),
  slots: new Map(),
});

const add = (store: SessionStore, id: string, bytes?: number) =>
  store.create(id, parts(id, bytes), 1, MODEL.id);

const idsIn = async (store: SessionStore) => (await store.list(undefined, 1_000)).map(({ id }) => id);

const errorOf = (call: Promise<unknown>) =>
  call.then(
    () => undefined,
    (error: unknown) => error,
  );

const messageOf = (error: unknown) => (error as Error).message;

describe('a file that is deleted or replaced under the running process', () => {
  const ACTIONS: Record<string, (path: string) => void> = {
    deleted: unlinkSync,
    replaced: (path) => {
      copyFileSync(path, `${path}-copy`);
      renameSync(`${path}-copy`, path);
    },
    'without its WAL': (path) => unlinkSync(`${path}-wal`),
  };

  test.each(sample(Object.keys(ACTIONS), 1))('%s: no change is acknowledged', async (action) => {
    const path = newPath();
    const store = await open(path);
    await add(store, 'before');
    ACTIONS[action]!(path);
    // The change was written to a file that may not exist any more.
    expect(await errorOf(add(store, 'a'))).toMatchObject({
      code: 'store_unavailable',
      applied: 'unknown',
    });
    expect(await errorOf(add(store, 'b'))).toMatchObject({ code: 'store_unavailable', applied: 'no' });
    expect(await errorOf(store.read('before'))).toMatchObject({ code: 'store_unavailable' });
    expect(store.problems().join()).toContain('deleted or replaced');
    // No other file is created or used in its place.
    expect(existsSync(path)).toBe(action !== 'deleted');
    await store.close();
  });

  test('the removal is noticed without a call, and so is that the file was put back', async () => {
    const path = newPath();
    const store = await open(path);
    await add(store, 'before');
    renameSync(path, `${path}-away`);
    await expect.poll(() => store.problems().length, { timeout: 20_000 }).toBe(1);
    renameSync(`${path}-away`, path);
    await expect.poll(() => store.problems().length, { timeout: 20_000 }).toBe(0);
    expect(await add(store, 'after')).toBeDefined();
    expect(await idsIn(store)).toEqual(['after', 'before']);
    await store.close();
  });
});

/** Copies the files while the store is open: what a machine that stops leaves. */
function copyBoth(from: string, to: string): void {
  copyFileSync(from, to);
  copyFileSync(`${from}-wal`, `${to}-wal`);
}

/** Opens a store, writes a session and closes it, `times` times. */
async function written(path: string, times: number, prefix = ''): Promise<void> {
  for (let k = 0; k < times; k++) {
    const store = await open(path);
    await add(store, `${prefix}${k}`);
    await store.close();
  }
}

describe('a WAL beside a file', () => {
  test('a WAL of the same time is replayed', async () => {
    const [path, copy] = [newPath(), newPath()];
    await written(path, 3);
    const store = await open(path);
    await add(store, 'last');
    copyBoth(path, copy);
    await store.close();
    const again = await open(copy);
    expect(await idsIn(again)).toEqual(['0', '1', '2', 'last']);
    await again.close();
  });

  test('a WAL that begins where the file ends is replayed', async () => {
    const [path, copy] = [newPath(), newPath()];
    await written(path, 3);
    copyFileSync(path, copy);
    const store = await open(path);
    await add(store, 'last');
    copyFileSync(`${path}-wal`, `${copy}-wal`);
    await store.close();
    const again = await open(copy);
    expect(await idsIn(again)).toEqual(['0', '1', '2', 'last']);
    await again.close();
  });

  test('a WAL older or newer than a restored file is refused; without it the file is served', async () => {
    const [path, backup, crashed] = [newPath(), newPath(), newPath()];
    await written(path, 2);
    copyFileSync(path, backup);
    await written(path, 2, 'later-');
    const store = await open(path);
    await add(store, 'last');
    copyBoth(path, crashed);
    await store.close();
    copyFileSync(backup, crashed);
    const refusal = await errorOf(open(crashed));
    expect(messageOf(refusal)).toContain(`${crashed}-wal is the write-ahead log of another file`);
    copyFileSync(path, crashed);
    unlinkSync(`${crashed}-wal`);
    const whole = await open(crashed);
    expect(await idsIn(whole)).toEqual(['0', '1', 'last', 'later-0', 'later-1']);
    await whole.close();
  });

  /** A file with the session '0', beside which is the WAL of another store. */
  async function withForeignWal(): Promise<string> {
    const [path, other] = [newPath(), newPath()];
    await written(path, 1);
    const store = await open(other);
    await add(store, 'other');
    copyFileSync(`${other}-wal`, `${path}-wal`);
    await store.close();
    return path;
  }

  test('a WAL of another store is refused', async () => {
    const path = await withForeignWal();
    expect(messageOf(await errorOf(open(path)))).toContain('the write-ahead log of another file');
  });

  test('control: SQLite itself replays every WAL', async () => {
    const mixed = new Connection(await withForeignWal());
    const ids = mixed.prepare('SELECT id FROM records').pluck().all();
    mixed.close();
    expect(ids).not.toEqual(['0']);
  });

  test('a WAL that is empty or without a commit is ignored', async () => {
    const path = newPath();
    await written(path, 1);
    for (const bytes of [0, 10, 32, 5_000]) {
      writeFileSync(`${path}-wal`, Buffer.alloc(bytes, 7));
      const store = await open(path);
      expect(await idsIn(store)).toEqual(['0']);
      await store.close();
    }
  });
});

describe('a limit in bytes', () => {
  const BYTES_MAX = 4 * 2 ** 20;
  const HEAD_BYTES = 20_000;

  test('writes that do not fit are refused; deletions free space, and the file shrinks', async () => {
    const path = newPath();
    const store = await open(path, BYTES_MAX);
    const ids: string[] = [];
    let refusal: unknown;
    for (let k = 0; !refusal; k++) {
      const id = `s${String(k).padStart(4, '0')}`;
      refusal = await errorOf(add(store, id, HEAD_BYTES));
      if (!refusal) ids.push(id);
    }
    expect(refusal).toMatchObject({ code: 'store_full', applied: 'no' });
    expect(messageOf(refusal)).toContain('STORE_BYTES_MAX');
    expect(ids.length).toBeGreaterThan(100);
    // Everything else is served, so the store is usable.
    expect(store.problems()).toEqual([]);
    expect(await idsIn(store)).toEqual(ids);
    expect(statSync(path).size).toBeLessThanOrEqual(BYTES_MAX);

    const [first] = await Promise.all(
      ids.map(async (id) => {
        const { revision } = (await store.read(id))!;
        return store.writeTombstone(id, revision, Buffer.from('gone'), 5);
      }),
    );
    expect(first).toBe(true);
    expect(await add(store, 'new', HEAD_BYTES)).toBeDefined();
    await Promise.all(ids.map((id) => store.forget(id)));
    expect(await store.count()).toBe(1);
    await expect.poll(() => statSync(path).size, { timeout: 20_000 }).toBeLessThan(BYTES_MAX * 0.75);
    await store.close();
  });
});
