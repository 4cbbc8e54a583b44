// Files of earlier formats: each is migrated as a whole or not at all, after a copy of it was made.
import { chmodSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterEach, describe, expect, test } from 'vitest';
import { FORMAT } from '../../../src/store/sqlite/schema.ts';
import { formatOf } from '../../../src/store/sqlite/wal-match.ts';
import { sample } from '../../helpers/long.ts';
import { describeWith } from '../../helpers/needs.ts';
import { startProcess } from '../../helpers/process.ts';
import { fillDisk, useSmallDisk } from '../../helpers/small-disk.ts';
import { headOf, newPath, open, threadFixture } from './helpers.ts';

const Connection = createRequire(import.meta.url)('better-sqlite3') as new (path: string) => {
  pragma(sql: string, options: { simple: true }): unknown;
  prepare(sql: string): { all(): unknown[] };
  close(): void;
};

const LOAD = join(import.meta.dirname, '../../fixtures/store/load.ts');
const EARLIER = ['before-nonces', 'before-layers'];

/** The file that a server of an earlier version has left when it was killed, with its WAL. */
function putEarlier(path: string, version = 'before-nonces'): void {
  mkdirSync(dirname(path), { recursive: true });
  for (const end of ['', '-wal']) {
    const packed = new URL(`../../fixtures/store/${version}/carryover.sqlite${end}.gz`, import.meta.url);
    writeFileSync(path + end, gunzipSync(readFileSync(packed)), { mode: 0o600 });
  }
}

/** Format, tables and records of a file that no server has open. */
function contentOf(path: string) {
  const connection = new Connection(path);
  const content = {
    format: formatOf(connection.pragma('user_version', { simple: true }) as number),
    schema: connection.prepare('SELECT name, sql FROM sqlite_schema ORDER BY name').all() as { name: string }[],
    records: connection.prepare('SELECT * FROM records ORDER BY key').all(),
    slots: connection.prepare('SELECT * FROM slots ORDER BY key').all(),
    models: connection.prepare('SELECT * FROM models ORDER BY key').all(),
    damage: connection.pragma('integrity_check', { simple: true }),
  };
  connection.close();
  return content;
}

const tablesOf = ({ schema }: ReturnType<typeof contentOf>) => schema.map(({ name }) => name);
const idsOf = ({ records }: ReturnType<typeof contentOf>) => records.map((row) => (row as { id: string }).id);
const filesBeside = (path: string) => readdirSync(dirname(path)).toSorted();

describe('a file of an earlier format', () => {
  test.each(sample(EARLIER, 1))('%s gets the tables of a new file, and keeps all that it has', async (version) => {
    const [path, fresh] = [newPath(), newPath()];
    putEarlier(path, version);
    const before = contentOf(path);
    // Looking at it has copied its WAL, which an upgrade must do by itself.
    putEarlier(path, version);
    chmodSync(path, 0o640);
    const store = await open(path);
    expect(store.description).toContain(`it had format 1 and was migrated, ${path}.before-${FORMAT} is the file`);
    const ids = idsOf(before);
    for (const id of ids) expect(await store.read(id)).toBeDefined();
    await store.close();
    await (await open(fresh)).close();
    const after = contentOf(path);
    expect(after).toEqual({ ...before, format: FORMAT, schema: after.schema });
    expect(tablesOf(after)).toEqual(tablesOf(contentOf(fresh)));
    expect(contentOf(`${path}.before-${FORMAT}`)).toEqual(before);
    expect(statSync(`${path}.before-${FORMAT}`).mode & 0o777).toBe(0o640);
    // Only once.
    const again = await open(path);
    expect(again.description).not.toContain('migrated');
    await again.close();
  });

  test('the copy is a store: the earlier server, or this one, goes on with it', async () => {
    const path = newPath();
    putEarlier(path);
    await (await open(path)).close();
    const copy = `${path}.before-${FORMAT}`;
    const [id] = idsOf(contentOf(copy));
    const store = await open(copy);
    expect(await headOf(store, id!)).not.toBe('');
    await store.close();
  });
});

describe('a server that is killed while it migrates', () => {
  const killedAt = async (path: string, point: string) => {
    const entry = threadFixture('killed-migration').href;
    const args = [LOAD, JSON.stringify({ path, entry, sessions: 0, changes: 0 })];
    const server = startProcess(process.execPath, args, { env: { ...process.env, KILL_AT: point } });
    await new Promise((resolve) => server.process.once('close', resolve));
    expect(server.process.signalCode, server.output()).toBe('SIGKILL');
  };

  test.each(sample(['before the transaction', 'before the commit'], 1))('leaves the file as it was: %s', async (point) => {
    const path = newPath();
    putEarlier(path);
    const before = contentOf(path);
    putEarlier(path);
    writeFileSync(`${path}.before-${FORMAT}.part-0`, 'left by one that was killed while it copied');
    await killedAt(path, point);
    expect(contentOf(path)).toEqual(before);
    const store = await open(path);
    for (const id of idsOf(before)) expect(await store.read(id)).toBeDefined();
    await store.close();
    expect(contentOf(path)).toMatchObject({ format: FORMAT, damage: 'ok', records: before.records });
    expect(filesBeside(path).filter((name) => name.includes('.part'))).toEqual([]);
  });

  test('control: without the transaction the file is neither as it was nor as it will be', async () => {
    const path = newPath();
    putEarlier(path);
    const before = contentOf(path);
    putEarlier(path);
    await killedAt(path, 'without a transaction');
    const after = contentOf(path);
    expect(after.format).toBe(1);
    expect(tablesOf(after)).not.toEqual(tablesOf(before));
  });
});

describeWith('mount', 'a disk without space for the copy', () => {
  const smallDisk = useSmallDisk();
  const path = join(smallDisk, 'carryover.sqlite');
  afterEach(() => {
    for (const name of readdirSync(smallDisk)) rmSync(join(smallDisk, name));
  });

  test('the start is refused with what is needed, and the file is as it was', async () => {
    putEarlier(path);
    const before = contentOf(path);
    const filler = fillDisk(smallDisk);
    await expect(open(path)).rejects.toThrow(
      /has format 1 and is to be changed to format 2, of which a copy is made before: have \d+ MiB free on its disk\. Nothing was changed$/,
    );
    rmSync(filler);
    expect(contentOf(path)).toEqual(before);
    const store = await open(path);
    await store.close();
    expect(contentOf(path).format).toBe(FORMAT);
  });
});
