// A backup that is made while sessions are stepped and set: a service that is started with it has every session at a
// version that was committed meanwhile, and the service that made it has lost nothing.
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { buildApp } from '../helpers/app.ts';
import { carryover } from '../helpers/command-line.ts';
import { freePort, startQuickly } from '../helpers/process.ts';
import { type Fetch, SessionLoad, type Versions } from './session-load.ts';

const SESSIONS = 6;
const CHANGES_BEFORE = 12;
/** Of a model whose weights have 1 MiB, so that the backup has several steps. */
const H = 512;

const folder = mkdtempSync(join(tmpdir(), 'carryover-backup-'));
const backupDir = join(folder, 'backups');
mkdirSync(backupDir);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('a backup under load has whole commits of its time, and costs the original nothing', async () => {
  const store = join(folder, 'store.sqlite');
  const metricsPort = await freePort();
  const env = { STORE_URL: `sqlite:${store}`, BACKUP_DIR: backupDir, METRICS_PORT: String(metricsPort) };
  const server = await startQuickly(env);
  const overHttp: Fetch = (path, init) => fetch(server.url + path, init);
  const weights = { W_x: [Array(H).fill(0)], W_h: Array(H).fill(Array(H).fill(0)) };
  const body = JSON.stringify({ name: 'large', weights });
  await overHttp('/v1/models', { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  const load = new SessionLoad();
  await load.create(overHttp, SESSIONS);
  const created = load.acknowledged();
  load.start(overHttp);
  await load.beyond(new Map([...created.keys()].map((id) => [id, CHANGES_BEFORE])));

  const plain = join(folder, 'plain.sqlite');
  const least = await copyWithoutLog(load, store, plain);
  const ran = await carryover(['backup', '--json', '--url', `http://127.0.0.1:${metricsPort}`], { fetch });
  const most = load.sent();
  expect(ran).toMatchObject({ exitCode: 0, stderr: '' });
  const report = ran.json() as { readonly file: string };
  const bytes = readFileSync(report.file);
  expect(report).toMatchObject({
    bytes: bytes.length,
    sessions: SESSIONS,
    models: 2,
    ms: expect.any(Number),
    digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}`,
  });
  expect(bytes.length).toBeGreaterThan(1024 * 1024);
  expect([readdirSync(backupDir).length, statSync(report.file).mode & 0o777]).toEqual([1, 0o600]);

  // Until every call has been answered that may be in the backup.
  await load.beyond(most);
  server.process.kill('SIGKILL');
  await once(server.process, 'exit');
  await load.stop();

  const restored = await serviceFrom(report.file);
  expect(await load.findFaults(restored, least, most)).toEqual([]);
  const original = await serviceFrom(store);
  expect(await load.findFaults(original, load.acknowledged(), load.sent())).toEqual([]);
  // Control: the file without its log, copied when the backup was begun.
  const control = await serviceFrom(plain);
  expect(await load.findFaults(control, least, most)).not.toEqual([]);
});

/**
 * Copies a store file alone, between two checkpoints: what was answered since the first one is in the log.
 *
 * @returns the versions that were acknowledged when the copy was begun
 */
async function copyWithoutLog(load: SessionLoad, store: string, copy: string): Promise<Versions> {
  for (;;) {
    const { mtimeMs } = statSync(store);
    await load.beyond(load.acknowledged());
    const acknowledged = load.acknowledged();
    copyFileSync(store, copy);
    // Only a checkpoint writes the file.
    if (statSync(store).mtimeMs === mtimeMs) return acknowledged;
  }
}

/** A service of this process that is started with a file. */
async function serviceFrom(file: string): Promise<Fetch> {
  const { http } = await buildApp({ STORE_URL: `sqlite:${file}` });
  return async (path, { method = 'GET', headers, body } = {}) => {
    const answer = await http.inject({
      method: method as 'GET',
      url: path,
      headers: headers as Record<string, string>,
      ...(body && { payload: body as string }),
    });
    const replayed = String(answer.headers['idempotency-replayed'] ?? '');
    return new Response(answer.body, { status: answer.statusCode, headers: { 'idempotency-replayed': replayed } });
  };
}
