// When no backup can be made: what POST /backup answers, and that nothing partial is left.
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { Backups } from '../../src/backup/backups.ts';
import { openSqliteStore } from '../../src/store/sqlite/sqlite.ts';
import { makeKeys } from '../helpers/access.ts';
import { buildApp } from '../helpers/app.ts';
import { closeAtEnd } from '../helpers/cleanup.ts';
import { carryover } from '../helpers/command-line.ts';
import { describeWith } from '../helpers/needs.ts';
import { freePort } from '../helpers/process.ts';
import { fillDisk, useSmallDisk } from '../helpers/small-disk.ts';

const folder = mkdtempSync(join(tmpdir(), 'carryover-backups-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let count = 0;

/** A store and a folder for its backups, without a service. */
async function openStore(name = `${++count}`) {
  const path = join(folder, `${name}.sqlite`);
  const backupDir = join(folder, `${name}-backups`);
  mkdirSync(backupDir, { recursive: true });
  const store = await openSqliteStore(path, { timeoutMs: 10_000, queueMax: 64 });
  closeAtEnd(() => store.close());
  const backupsIn = (target: string) => new Backups({ folder: target, store, onMade: () => {}, onFailed: () => {} });
  return { path, backupDir, store, backups: backupsIn(backupDir), backupsIn };
}

const codeOf = ({ status, body }: Awaited<ReturnType<Backups['answer']>>) => [status, 'code' in body ? body.code : body];

test('an empty store has a backup that a service can be started with, but not beside the log of the original', async () => {
  const { backups, backupDir, store, path } = await openStore();
  const { body, status } = await backups.answer();
  expect([status, body]).toEqual([201, expect.objectContaining({ sessions: 0, models: 0 })]);
  const [name] = readdirSync(backupDir);
  expect(name).toMatch(/^carryover-\d{8}T\d{6}\.\d{3}Z\.sqlite$/);
  const file = join(backupDir, name!);
  await store.models.put({ id: 'sha256:00', file: new Uint8Array(9), createdAtMs: 0, isKept: true });
  copyFileSync(`${path}-wal`, `${file}-wal`);
  const options = { timeoutMs: 10_000, queueMax: 64 };
  await expect(openSqliteStore(file, options)).rejects.toThrow('write-ahead log of another file');
  rmSync(`${file}-wal`);
  const restored = await openSqliteStore(file, options);
  expect(await restored.count()).toBe(0);
  await restored.close();
});

test('a folder that does not exist, or is a file: what was expected is said', async () => {
  const { backupsIn, path } = await openStore();
  for (const target of [join(folder, 'absent'), path]) {
    const { status, body } = await backupsIn(target).answer();
    expect([status, body]).toEqual([500, { code: 'backup_folder_unusable', detail: expect.stringContaining(target) }]);
    expect(existsSync(join(folder, 'absent'))).toBe(false);
  }
});

test('a second backup at the same time is refused, and the first is made', async () => {
  const { backups, backupDir } = await openStore();
  const [first, second] = await Promise.all([backups.answer(), backups.answer()]);
  expect([first.status, codeOf(second)]).toEqual([201, [409, 'backup_running']]);
  expect(readdirSync(backupDir)).toHaveLength(1);
});

test.each(['copied', 'checked'])('a service that shuts down while a backup is %s leaves no file', async (stage) => {
  const { backups, backupDir, store } = await openStore();
  const copied = Promise.withResolvers<void>();
  const copyTo = async (path: string) => {
    await store.copyTo!(path);
    copied.resolve();
  };
  const own = stage === 'copied' ? backups : new Backups({ folder: backupDir, store: { copyTo }, onMade: () => {}, onFailed: () => {} });
  const answer = own.answer();
  if (stage === 'checked') await copied.promise;
  own.stop();
  await store.close();
  await own.ended();
  expect(codeOf(await answer)).toEqual([503, 'shutting_down']);
  expect(codeOf(await own.answer())).toEqual([503, 'shutting_down']);
  expect(readdirSync(backupDir)).toEqual([]);
});

test('a record or a model that the service would not serve is found, and the copy not kept', async () => {
  const { backups, backupDir, store } = await openStore();
  await store.models.put({ id: 'sha256:00', file: new Uint8Array(9), createdAtMs: 0, isKept: true });
  const ofModel = await backups.answer();
  expect([codeOf(ofModel), JSON.stringify(ofModel.body)]).toEqual([
    [500, 'backup_damaged'],
    expect.stringContaining('model sha256:00 is damaged'),
  ]);
  await store.create('s', { head: new Uint8Array(20), slots: new Map() }, 0, 'sha256:00');
  const ofSession = await backups.answer();
  expect(JSON.stringify(ofSession.body)).toContain('session s has a wrong checksum');
  expect(readdirSync(backupDir)).toEqual([]);
});

describe('over HTTP', () => {
  test('backups are off without BACKUP_DIR, and not for pages in a browser', async () => {
    const app = await buildApp({ METRICS_PORT: '9464' });
    const port = await freePort();
    await app.metrics!.listen('127.0.0.1', port);
    const url = `http://127.0.0.1:${port}/backup`;
    const off = await fetch(url, { method: 'POST' });
    expect([off.status, await off.json()]).toEqual([404, { code: 'backups_off', detail: expect.stringContaining('BACKUP_DIR') }]);
    expect((await fetch(url, { method: 'POST', headers: { origin: 'https://example.org' } })).status).toBe(403);
    // The command says the same, with an exit code.
    const ran = await carryover(['backup', '--json'], { env: { METRICS_PORT: String(port) }, fetch });
    expect([ran.exitCode, ran.stdout, ran.stderr]).toEqual([69, '', expect.stringContaining('"code":"backups_off"')]);
    const got = await fetch(url);
    expect([got.status, got.headers.get('allow')]).toEqual([405, 'POST']);
  });
});

describeWith('mount', 'a full disk', () => {
  const disk = useSmallDisk();

  test('there is no space for the copy: that is said, and nothing is left', async () => {
    const { backupsIn } = await openStore();
    const filler = fillDisk(disk);
    expect(codeOf(await backupsIn(disk).answer())).toEqual([507, 'backup_disk_full']);
    expect(readdirSync(disk)).toEqual(['everything-else']);
    rmSync(filler);
    expect((await backupsIn(disk).answer()).status).toBe(201);
  });
});

test('where there are keys, only one with the scope admin has a backup made', async () => {
  const keys = makeKeys();
  const [admin, other] = [keys.add('a', ['admin']), keys.add('a')];
  const app = await buildApp({ METRICS_PORT: '9464', API_KEYS_FILE: keys.path });
  const port = await freePort();
  await app.metrics!.listen('127.0.0.1', port);
  const codeWith = async (headers: Record<string, string>) => {
    const response = await fetch(`http://127.0.0.1:${port}/backup`, { method: 'POST', headers });
    return ((await response.json()) as { code: string }).code;
  };
  expect(await codeWith({})).toBe('unauthenticated');
  expect(await codeWith({ 'x-api-key': other })).toBe('forbidden');
  expect(await codeWith({ 'x-api-key': admin }), 'admitted').toBe('backups_off');
});
