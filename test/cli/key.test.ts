import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { execFile } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ApiKeys } from '../../src/access/api-keys.ts';
import { makeKeys } from '../helpers/access.ts';
import { buildApp } from '../helpers/app.ts';
import { carryover } from '../helpers/command-line.ts';

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'carryover-key-'));
  file = join(folder, 'keys.json');
});
afterEach(() => rmSync(folder, { recursive: true }));

const make = (...more: string[]) =>
  carryover(['key', 'new', '--tenant', 'a', '--scopes', 'compute,sessions', '--file', file, ...more]);

/** Whose a key is by the file. */
async function find(key: string) {
  const keys = new ApiKeys(file, { onRead: () => undefined, onFailed: () => undefined });
  await keys.close();
  return keys.find(key);
}

describe('key new', () => {
  test('prints the key once, and stores its hash in a file that only its owner reads', async () => {
    const { exitCode, stdout, stderr } = await make();
    expect(exitCode).toBe(0);
    const key = stdout.trim();
    expect(stderr).toMatch(/not shown again/);
    expect(await find(key)).toMatchObject({ tenant: 'a', scopes: new Set(['compute', 'sessions']) });
    const text = readFileSync(file, 'utf8');
    expect(text).not.toContain(key.slice(-43));
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  test('adds to the file, whatever else it has', async () => {
    const first = (await make()).stdout.trim();
    const before = JSON.parse(readFileSync(file, 'utf8'));
    writeFileSync(file, JSON.stringify({ ...before, tenants: { a: { sessions: 5 } } }));
    const second = (await make('--json', '--expires', '2999-01-01', '--requests-per-s', '10', '--note', 'CI')).json();
    expect(second).toMatchObject({ key: expect.stringMatching(/^carryover_/), tenant: 'a', scopes: ['compute', 'sessions'], file });
    expect(await find(first)).toBeDefined();
    expect((await find(second.key))!.rates).toMatchObject({ requests_per_s: 10 });
    const after = JSON.parse(readFileSync(file, 'utf8'));
    expect(after.tenants).toEqual({ a: { sessions: 5 } });
    expect(after.keys[1]).toMatchObject({ note: 'CI', expires_at: '2999-01-01T00:00:00.000Z' });
  });

  test.each([
    [['--scopes', 'all'], 64, /compute, sessions, models, admin/],
    [['--tenant', 'a/b'], 64, /letters, digits/],
    [['--expires', 'soon'], 64, /2030-01-31/],
    [['--expires', '2020-01-31'], 64, /still to come/],
    [['--note', 'x'.repeat(257)], 64, /at most 256/],
    [['--requests-per-s', '0'], 64, /number/],
    [['--file', '/none/keys.json'], 73, /cannot be written/],
  ])('%s is refused with %d', async (more, code, message) => {
    const { exitCode, stderr } = await make(...more);
    expect(exitCode).toBe(code);
    expect(stderr).toMatch(message);
    expect(existsSync(file)).toBe(false);
  });

  test('a file of something else is not overwritten', async () => {
    writeFileSync(file, '{"name":"package"}');
    const { exitCode, stderr } = await make();
    expect(exitCode).toBe(65);
    expect(stderr).toMatch(/keys\.json: /);
    expect(readFileSync(file, 'utf8')).toBe('{"name":"package"}');
  });
});

describe('the file', () => {
  test('loses no key when several processes change it at the same time', async () => {
    const old = (await make('--json')).json();
    const run = async (...words: string[]) => {
      const command = join(import.meta.dirname, '../../src/cli/carryover.mjs');
      return (await promisify(execFile)(process.execPath, [command, 'key', ...words, '--file', file])).stdout.trim();
    };
    const add = () => run('new', '--tenant', 'a', '--scopes', 'compute');
    const [, ...added] = await Promise.all([run('revoke', old.id), ...Array.from({ length: 3 }, add)]);
    for (const key of added) expect(await find(key)).toBeDefined();
    expect(await find(old.key)).toBeUndefined();
    expect(readdirSync(folder), 'no lock is left').toEqual(['keys.json']);
  });

  test('that another command changes is waited for, and the lock of one that was killed is named', async () => {
    writeFileSync(`${file}.lock`, '');
    const waiting = make();
    setTimeout(() => rmSync(`${file}.lock`), 100);
    expect((await waiting).exitCode).toBe(0);
    writeFileSync(`${file}.lock`, '');
    const { exitCode, stderr } = await make();
    expect(exitCode).toBe(73);
    expect(stderr).toContain('keys.json.lock');
    rmSync(`${file}.lock`);
  });

  test('is replaced behind a symbolic link, which stays, with its rights', async () => {
    await make();
    chmodSync(file, 0o640);
    const link = join(folder, 'link.json');
    symlinkSync(file, link);
    const { stdout } = await make('--file', link);
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    expect(await find(stdout.trim())).toBeDefined();
    expect(statSync(file).mode & 0o777).toBe(0o640);
  });
});

test('key list shows no hash, and key revoke takes one out', async () => {
  const [first, second] = [(await make('--json')).json(), (await make('--json')).json()];
  const listed = await carryover(['key', 'list', '--file', file]);
  expect(listed.stdout).toContain(first.id);
  expect(listed.stdout).not.toContain('sha256');
  expect((await carryover(['key', 'list', '--file', file, '--json'])).json()).toHaveLength(2);
  expect((await carryover(['key', 'revoke', first.id, '--file', file])).exitCode).toBe(0);
  expect(await find(first.key)).toBeUndefined();
  expect(await find(second.key)).toBeDefined();
  const again = await carryover(['key', 'revoke', first.id, '--file', file]);
  expect(again.exitCode).toBe(66);
  expect(again.stderr).toContain('key list');
  expect((await carryover(['key', 'list', '--file', join(folder, 'none.json')])).exitCode).toBe(66);
});

test('API_KEYS_FILE is the file where none is named', async () => {
  const { exitCode } = await carryover(['key', 'new', '--tenant', 'a', '--scopes', 'admin'], { env: { API_KEYS_FILE: file } });
  expect(exitCode).toBe(0);
  expect(existsSync(file)).toBe(true);
});

test('commands send the key in CARRYOVER_API_KEY, and say what is missing without it', async () => {
  const keys = makeKeys();
  const key = keys.add('a');
  const app = await buildApp({ API_KEYS_FILE: keys.path });
  const listed = await carryover(['models'], { app, env: { CARRYOVER_API_KEY: key } });
  expect(listed.exitCode).toBe(0);
  expect(listed.stdout).toContain('sunspots');
  const refused = await carryover(['models'], { app });
  expect(refused.exitCode).toBe(77);
  expect(refused.stderr).toMatch(/CARRYOVER_API_KEY|x-api-key/);
});

describe('a file that cannot be read', () => {
  test.each([
    ['list', []],
    ['revoke', ['0123456789abcdef']],
    ['new', ['--tenant', 'a', '--scopes', 'compute']],
  ])('key %s says of a folder that it is one, and ends as for a file that is not there', async (command, words) => {
    const { exitCode, stdout, stderr } = await carryover(['key', command, ...words, '--file', folder]);
    expect({ exitCode, stdout, stderr }).toEqual({ exitCode: 66, stdout: '', stderr: `carryover: ${folder} is a folder, expected a file of keys.\n` });
    expect(existsSync(`${folder}.lock`)).toBe(false);
  });

  test('a file that is not there is made by key new, which the message says', async () => {
    const { exitCode, stderr } = await carryover(['key', 'list', '--file', file]);
    expect([exitCode, stderr]).toEqual([66, expect.stringMatching(/cannot be read: ENOENT.*`carryover key new` makes it\.\n$/)]);
  });
});
