// carryover doctor: each line, when all is well and when it is not.
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readConfig } from '../../src/config.ts';
import { checkAddress, checkMetrics } from '../../src/cli/doctor/address.ts';
import { checkAuditLog, checkBackupFolder, checkStore } from '../../src/cli/doctor/storage.ts';
import { checkCores, checkMemory } from '../../src/cli/doctor/resources.ts';
import { checkNode } from '../../src/cli/doctor/runtime.ts';
import { coresAvailable } from '../../src/cores.ts';
import { freePort } from '../helpers/process.ts';
import { carryover } from '../helpers/command-line.ts';

const folder = mkdtempSync(join(tmpdir(), 'carryover-doctor-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Another program that listens on a port of this machine. */
const other = createServer((socket) => socket.destroy());
let port: string;
beforeAll(async () => {
  await once(other.listen(0, '127.0.0.1'), 'listening');
  port = String((other.address() as AddressInfo).port);
});
afterAll(() => void other.close());

interface Finding {
  readonly name: string;
  readonly status: string;
  readonly found: string;
  readonly advice?: string;
}

const SQLITE = `sqlite:${join(folder, 'data/carryover.sqlite')}`;

/** All lines by their names, on a free port and with a store that can be made, unless the settings say otherwise. */
async function doctor(env: Record<string, string> = {}) {
  const ran = await carryover(['doctor', '--json'], { env: { PORT: '0', STORE_URL: SQLITE, ...env } });
  const findings = Object.fromEntries((ran.json() as Finding[]).map((finding) => [finding.name, finding]));
  return { exitCode: ran.exitCode, findings };
}

test('each line is ok where a service can run', async () => {
  const { exitCode, findings } = await doctor();
  expect(exitCode).toBe(0);
  expect(Object.keys(findings)).toEqual([
    'Node.js',
    'kernels',
    'settings',
    'cores',
    'memory',
    'store',
    'backups',
    'models',
    'audit log',
    'keys',
    'certificate',
    'address',
    'metrics',
  ]);
  expect(findings['kernels']!.found).toMatch(/^(128|256)-bit vectors, the bits of the reference, self-test \d+ ms$/);
  expect(findings['settings']!.found).toBe('PORT, STORE_URL from the environment');
  expect(findings['store']).toMatchObject({
    status: 'ok',
    found: expect.stringMatching(/not there yet, [\d,]+ MiB free$/),
  });
  expect(findings['address']).toMatchObject({ status: 'ok', found: '127.0.0.1:0 is free' });
});

test('each line that is not ok has an advice, and the first that fails gives the exit code', async () => {
  const { exitCode, findings } = await doctor({ MODELS_DIR: join(folder, 'none'), PORT: port, STORE_URL: 'memory:' });
  expect(exitCode).toBe(78);
  for (const { status, advice } of Object.values(findings))
    expect([status, typeof advice]).toEqual([status, status === 'ok' ? 'undefined' : 'string']);
  expect(findings['models']).toMatchObject({ status: 'fail', found: expect.stringContaining('ENOENT') });
  expect(findings['address']).toMatchObject({
    status: 'fail',
    found: expect.stringContaining('in use, by something else'),
  });
  expect(findings['store']!.status).toBe('warn');
});

test('the keys are counted, and a file that cannot be read is a failure', async () => {
  const file = join(folder, 'keys.json');
  const key = { id: '0123456789abcdef', hash: `sha256:${'0'.repeat(64)}`, tenant: 'a', scopes: ['admin'], expires_at: '2020-01-01' };
  writeFileSync(file, JSON.stringify({ keys: [key] }));
  const { findings } = await doctor({ API_KEYS_FILE: file });
  expect(findings['keys']).toMatchObject({ status: 'warn', found: `1 of 1 tenants in ${file}, 1 expired` });
  const none = await doctor({ API_KEYS_FILE: join(folder, 'none.json') });
  expect(none.exitCode).toBe(78);
  expect(none.findings['keys']).toMatchObject({ status: 'fail', found: expect.stringContaining('none.json cannot be read') });
  const everybody = await doctor({ HOST: '0.0.0.0', ALLOW_ANONYMOUS: 'true' });
  expect(everybody.findings['keys']!.status).toBe('warn');
});

describe('the lines for people', () => {
  const argv = ['doctor'];
  const env = { PORT: 'x', N_MAX: '0' };

  test('invalid settings are listed with what is expected, and end with 78', async () => {
    const { exitCode, stdout } = await carryover(argv, { env });
    expect(exitCode).toBe(78);
    expect(stdout).not.toContain('\u001B');
    expect(stdout).toMatch(
      /^fail {2}settings {2}(?=.*PORT must be an integer, of the digits 0 to 9 only, got "x")(?=.*N_MAX must be >= 1, got "0").*\n {6}Correct them/m,
    );
  });

  test('colours are on a terminal only, and not with NO_COLOR', async () => {
    const escape = '\u001B[';
    expect((await carryover(argv, { env, isTTY: true })).stdout).toContain(escape);
    expect((await carryover(argv, { env: { ...env, NO_COLOR: '1' }, isTTY: true })).stdout).not.toContain(escape);
  });
});

describe('an address that is in use', () => {
  const check = (fetch: typeof globalThis.fetch = refused, HOST = '127.0.0.1') =>
    checkAddress({ HOST, TLS_CERT_FILE: '', PORT: HOST === '127.0.0.1' ? Number(port) : 0 }, { fetch, signal: new AbortController().signal });
  const refused = () => Promise.reject(new TypeError('fetch failed'));
  const answer = (status: number, body: unknown) => async () => Response.json(body, { status });

  test('by a service that is ready is ok', async () => {
    const { isServing, finding } = await check(answer(200, { status: 'ok', kernel: 'simd256', numerics: 2 }));
    expect({ isServing, ...finding }).toEqual({
      isServing: true,
      name: 'address',
      status: 'ok',
      found: `a service runs at 127.0.0.1:${port}, ready (simd256, numerics 2)`,
    });
  });

  test('by a service that is not ready is temporary', async () => {
    const { finding } = await check(answer(503, { status: 'unavailable', reasons: ['none of 1 workers is up'] }));
    expect(finding).toMatchObject({
      status: 'fail',
      exitCode: 75,
      found: expect.stringContaining('not ready: none of 1 workers is up'),
    });
  });

  test('by another program is refused', async () => {
    expect((await check(answer(200, ['another']))).finding).toMatchObject({ status: 'fail', exitCode: 69 });
    expect(await check()).toMatchObject({
      isServing: false,
      finding: { found: expect.stringContaining('in use, by something else') },
    });
  });

  test('an address of another machine cannot be used', async () => {
    expect((await check(refused, '192.0.2.1')).finding).toMatchObject({
      exitCode: 69,
      found: expect.stringContaining('cannot be used: '),
    });
  });

  test('an address beyond this machine is warned about', async () => {
    expect((await check(refused, '0.0.0.0')).finding).toMatchObject({
      status: 'warn',
      advice: expect.stringContaining('without authentication'),
    });
  });
});

describe('the port of the metrics', () => {
  const check = (settings: Record<string, string>, isServing = false) => checkMetrics(readConfig(settings), isServing);

  test('that is free, or in use while the service runs, is ok', async () => {
    expect((await check({})).found).toBe('none, as there is no METRICS_PORT');
    expect((await check({ METRICS_PORT: port }, true)).status).toBe('ok');
    expect((await check({ METRICS_PORT: String(await freePort()) })).found).toMatch(/ is free$/);
  });

  test('that another program uses, or of another machine, is refused', async () => {
    expect(await check({ METRICS_PORT: port })).toMatchObject({ status: 'fail', exitCode: 69 });
    expect(await check({ METRICS_PORT: port, METRICS_HOST: '192.0.2.1' }, true)).toMatchObject({
      status: 'fail',
      exitCode: 69,
    });
  });
});

describe('files and folders that the service writes', () => {
  const backups = { METRICS_PORT: '1', BACKUP_DIR: folder };

  test('an audit log that can be written is ok, and nothing is made of it', async () => {
    const file = join(folder, 'logs/audit.log');
    for (const AUDIT_LOG of ['-', file]) expect(checkAuditLog(readConfig({ AUDIT_LOG })).status).toBe('ok');
    expect(existsSync(join(folder, 'logs'))).toBe(false);
    expect(checkBackupFolder(readConfig(backups)).status).toBe('ok');
  });

  test.each([
    ['a folder', () => folder, /is a folder, expected a file/],
    ['below a file', () => join(import.meta.filename, 'audit.log'), /is a file, expected a folder/],
  ])('an audit log that is %s ends with 78, as the service does', async (_, path, found) => {
    const { exitCode, findings } = await doctor({ AUDIT_LOG: path() });
    expect(exitCode).toBe(78);
    expect(findings['audit log']).toMatchObject({ status: 'fail', found: expect.stringMatching(found), advice: expect.stringContaining('- for stdout') });
  });

  test.each([
    ['is not there', () => join(folder, 'none'), /ENOENT/],
    ['is a file', () => import.meta.filename, /is a file, expected a folder/],
  ])('a folder of backups that %s ends with 73, as a backup does', (_, path, found) => {
    const finding = checkBackupFolder(readConfig({ ...backups, BACKUP_DIR: path() }));
    expect(finding).toMatchObject({ status: 'fail', exitCode: 73, found: expect.stringMatching(found), advice: expect.stringContaining('Create') });
  });
});

describe('the store', () => {
  const check = (settings: Record<string, string>, isServing = false) => checkStore(readConfig(settings), isServing);

  test('in use by the service that runs is said to be', async () => {
    expect((await check({ STORE_URL: SQLITE }, true)).found).toContain('in use by the service');
  });

  test('below a file is refused', async () => {
    const file = join(folder, 'file');
    writeFileSync(file, '');
    expect(await check({ STORE_URL: `sqlite:${file}/carryover.sqlite` })).toMatchObject({ exitCode: 69, status: 'fail' });
  });

  test.each([
    ['a folder', () => folder, /it is a folder, expected a file/],
    ['a file that is no database', () => join(import.meta.dirname, '../../package.json'), /package\.json is not a SQLite database/],
  ])('that is %s is refused', async (_, path, found) => {
    const before = statSync(path()).mtimeMs;
    expect(await check({ STORE_URL: `sqlite:${path()}` })).toMatchObject({ status: 'fail', exitCode: 69, found: expect.stringMatching(found) });
    expect(statSync(path()).mtimeMs).toBe(before);
  });

  test('that is an empty file or a database is ok', async () => {
    const [empty, database] = [join(folder, 'empty'), join(folder, 'database')];
    writeFileSync(empty, '');
    writeFileSync(database, `SQLite format 3\0${'x'.repeat(84)}`);
    for (const path of [empty, database]) expect(await check({ STORE_URL: `sqlite:${path}` })).toMatchObject({ status: 'ok' });
  });

  test('on a Redis that is not there is refused', async () => {
    expect(await check({ STORE_URL: 'redis://127.0.0.1:1/0', STORE_TIMEOUT_MS: '2000' })).toMatchObject({
      exitCode: 69,
      status: 'fail',
    });
  });
});

test('more workers than cores, and less memory than the settings allow, are warned about', () => {
  expect(checkCores({ PROCESSES: '1', WORKERS: coresAvailable() }).status).toBe('ok');
  expect(checkCores({ PROCESSES: '2', WORKERS: coresAvailable() }).status).toBe('warn');
  expect(checkCores({ PROCESSES: '1', WORKERS: coresAvailable() + 1 })).toMatchObject({
    status: 'warn',
    advice: expect.stringContaining('leave WORKERS out'),
  });
  const settings = {
    MEMORY_BYTES_MAX: 2 ** 30,
    HOT_SESSIONS_BYTES_MAX: 2 ** 28,
    MEMORY_STORE_BYTES_MAX: 2 ** 30,
    STORE_URL: 'memory:',
    PROCESSES: '1',
  };
  expect(checkMemory(settings, 2.5 * 2 ** 30).status).toBe('ok');
  expect(checkMemory(settings, 2 ** 31)).toMatchObject({
    status: 'warn',
    found: '2,048 MiB may be used; the settings allow 2,454 MiB',
  });
  expect(checkMemory({ ...settings, STORE_URL: SQLITE }, 2 ** 31).status).toBe('ok');
  expect(checkMemory({ ...settings, STORE_URL: 'redis://localhost', PROCESSES: '2' }, 2 ** 31).status).toBe('warn');
});

test('a Node.js that is too old is refused, and one without WebSockets warned about', () => {
  expect(checkNode('22.22.0')).toMatchObject({
    status: 'fail',
    exitCode: 78,
    found: 'Carryover needs Node.js >= 24.3, this is 22.22.0.',
  });
  expect(checkNode('24.8.1').status).toBe('warn');
  expect([checkNode('24.9.0').status, checkNode('26.0.0').status]).toEqual(['ok', 'ok']);
});
