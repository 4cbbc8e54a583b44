// Opening a SQLite store: how its file is created, and which files are refused.
import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { until } from '../../helpers/process.ts';
import { MODEL_ID, create, folder, lastPath, newPath, open, putModel, threadFixture } from './helpers.ts';
import { kill, startLoad } from './load-process.ts';

interface Connection {
  pragma(sql: string, options?: { simple: true }): unknown;
  exec(sql: string): void;
  prepare(sql: string): { all(): unknown[] };
  close(): void;
}
const Connection = createRequire(import.meta.url)('better-sqlite3') as new (
  path: string,
) => Connection;

describe('opening', () => {
  test('opening creates the folder and a file that only its owner can read', async () => {
    const path = newPath();
    const store = await open(path);
    await putModel(store);
    for (const file of [path, `${path}-wal`]) expect(statSync(file).mode & 0o777).toBe(0o600);
    await store.close();
    chmodSync(path, 0o640);
    await (await open(path)).close();
    expect(statSync(path).mode & 0o777).toBe(0o640);
  });

  test('every path is that of a file, and all its folders are created', async () => {
    const cwd = process.cwd();
    process.chdir(folder);
    const store = await open('own/a/:memory:');
    await putModel(store);
    await store.close();
    const again = await open(join(folder, 'own/a/:memory:'));
    expect(await again.models.ids()).toEqual([MODEL_ID]);
    await again.close();
    const inFolder = await open(':memory:');
    await putModel(inFolder);
    await inFolder.close();
    process.chdir(cwd);
    expect(statSync(join(folder, ':memory:')).size).toBeGreaterThan(0);
  });

  test('opening is refused while another thread has the file open, and works after that has closed it', async () => {
    const store = await open();
    await expect(open(lastPath())).rejects.toThrow(
      `${lastPath()} is in use by another server: stop that one, or name another file in STORE_URL`,
    );
    // The refused one must not have released the lock: closing a file releases all POSIX locks of the process.
    await expect(open(lastPath())).rejects.toThrow('in use');
    await putModel(store);
    await store.close();
    await (await open(lastPath())).close();
  });

  test('opening is refused while another process has the file open, until that is killed', async () => {
    const path = newPath();
    const other = startLoad({ path, sessions: 1, changes: 1 });
    await until(other, () => /^done$/m.exec(other.output()));
    await expect(open(path)).rejects.toThrow('in use by another server');
    await kill(other);
    await (await open(path)).close();
  });

  test('opening is refused for a file of another program, which stays as it is', async () => {
    const path = newPath();
    mkdirSync(join(path, '..'));
    const other = new Connection(path);
    other.exec('CREATE TABLE theirs (x)');
    other.close();
    const before = readFileSync(path);
    await expect(open(path)).rejects.toThrow(`${path} is not a session store`);
    writeFileSync(path, 'a text, and not a database'.repeat(100));
    await expect(open(path)).rejects.toThrow(`${path} is not a session store`);
    writeFileSync(path, before);
    await expect(open(path)).rejects.toThrow(`${path} is not a session store`);
    expect(readFileSync(path)).toEqual(before);
  });

  test('opening adds the index for the sessions of a model to the file of an earlier version', async () => {
    const path = newPath();
    const store = await open(path);
    await putModel(store);
    for (const id of ['b', 'a']) await create(store, id);
    await store.close();
    const earlier = new Connection(path);
    earlier.exec(`DROP INDEX live_records_by_id;
      CREATE INDEX live_records ON records (model) WHERE model IS NOT NULL;
      PRAGMA user_version = 1`);
    earlier.close();
    const opened = await open(path);
    expect((await opened.list(undefined, 9, MODEL_ID)).map(({ id }) => id)).toEqual(['a', 'b']);
    await opened.close();
    const after = new Connection(path);
    const plan = after.prepare(`EXPLAIN QUERY PLAN SELECT id FROM records
      WHERE model = 1 AND id > '' ORDER BY id LIMIT 1`);
    expect(plan.all()).toMatchObject([{ detail: expect.stringMatching(/live_records_by_id \(model=\? AND id>\?\)/) }]);
    expect(after.prepare("SELECT name FROM sqlite_schema WHERE name = 'live_records'").all()).toEqual([]);
    after.close();
  });

  test('opening is refused for a later format', async () => {
    await (await open()).close();
    const connection = new Connection(lastPath());
    connection.pragma('user_version = 3');
    connection.close();
    await expect(open(lastPath())).rejects.toThrow(
      `${lastPath()} has format 3 and this server reads formats 1 to 2: run the version of the server that wrote it`,
    );
  });

  test('opening is refused where no folder can be created', async () => {
    const path = newPath();
    writeFileSync(join(path, '..'), 'a file');
    await expect(open(path)).rejects.toThrow(/EEXIST|ENOTDIR/);
  });

  test('opening is refused if SQLite does not keep synchronous = FULL', async () => {
    const entry = threadFixture('forgetting-sync');
    await expect(open(newPath(), { entry })).rejects.toThrow('does not keep synchronous = FULL');
  });
});
