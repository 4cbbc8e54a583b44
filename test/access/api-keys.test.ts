import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { KeyCheck, idOfKey, newKey } from '../../src/access/api-key.ts';
import { ApiKeys } from '../../src/access/api-keys.ts';
import { type KeyEntry, readKeysFile } from '../../src/access/keys-file.ts';
import { eventually } from '../helpers/raw-client.ts';
import { fc } from '../helpers/seed.ts';

let folder: string;
let path: string;
const open: ApiKeys[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'keys-'));
  path = join(folder, 'keys.json');
});
afterEach(async () => {
  for (const keys of open.splice(0)) await keys.close();
  rmSync(folder, { recursive: true });
});

function entryOf({ id, hash }: { id: string; hash: string }, more: Partial<KeyEntry> = {}): KeyEntry {
  return { id, hash, tenant: 'a', scopes: ['compute'], ...more };
}

function write(keys: readonly KeyEntry[], tenants = {}): void {
  writeFileSync(path, JSON.stringify({ keys, tenants }));
}

function openKeys() {
  const events: unknown[] = [];
  const keys = new ApiKeys(path, { onRead: (count) => events.push(count), onFailed: (error) => events.push(String(error)) });
  open.push(keys);
  return { keys, events };
}

describe('a key', () => {
  test('has 256 random bits, and its id', () => {
    const keys = Array.from({ length: 1_000 }, newKey);
    expect(new Set(keys.map(({ key }) => key)).size).toBe(1_000);
    for (const { key, id, hash } of keys) {
      expect(idOfKey(key)).toBe(id);
      expect(new KeyCheck(hash).isRight(key)).toBe(true);
      expect(hash).not.toContain(key.slice(-20));
    }
  });

  test.each([
    ['before it was used', false],
    ['when it was, and is remembered', true],
  ])('no other text is right, %s', (_, isUsed) => {
    const { key, hash } = newKey();
    const check = new KeyCheck(hash);
    if (isUsed) expect([check.isRight(key), check.isRight(key)]).toEqual([true, true]);
    const other = fc.oneof(
      fc.string(),
      fc.nat(key.length - 1).map((length) => key.slice(0, length)),
      fc.nat(key.length - 1).map((at) => `${key.slice(0, at)}${key[at] === 'A' ? 'B' : 'A'}${key.slice(at + 1)}`),
      fc.constant(`${key} `),
      fc.constant(key.toUpperCase()),
    );
    expect(fc.check(fc.property(other, (text) => text === key || !check.isRight(text)))).toMatchObject({ failed: false });
  });
});

describe('the file of the keys', () => {
  test('says whose each key is', () => {
    const [a, b] = [newKey(), newKey()];
    write([entryOf(a), entryOf(b, { tenant: 'b', scopes: ['admin'] })]);
    const { keys } = openKeys();
    expect(keys.find(a.key)).toMatchObject({ tenant: 'a', name: `key:${a.id}` });
    expect(keys.find(b.key)!.tenant).toBe('b');
    expect(keys.find(newKey().key)).toBeUndefined();
    expect(keys.find(`carryover_${a.id}_${b.key.slice(-43)}`), 'the id of one and the secret of another').toBeUndefined();
  });

  test('a key that has expired is refused', () => {
    const [past, future] = [newKey(), newKey()];
    write([entryOf(past, { expires_at: '2020-01-01T00:00:00Z' }), entryOf(future, { expires_at: '2999-01-01T00:00:00Z' })]);
    const { keys } = openKeys();
    expect(keys.find(past.key)).toBeUndefined();
    expect(keys.find(future.key)!.isCurrent()).toBe(true);
  });

  test('is read again when it changes, also when it is replaced; what was allowed before is checked again', async () => {
    const [a, b, c] = [newKey(), newKey(), newKey()];
    write([entryOf(a), entryOf(b)]);
    const { keys, events } = openKeys();
    const [before, demoted] = [keys.find(a.key)!, keys.find(b.key)!];
    expect(before.isCurrent()).toBe(true);
    writeFileSync(`${path}.new`, JSON.stringify({ keys: [entryOf(b, { scopes: ['models'] }), entryOf(c)], tenants: { a: { sessions: 3 } } }));
    renameSync(`${path}.new`, path);
    await eventually(() => events.length > 0);
    expect(keys.find(a.key)).toBeUndefined();
    expect(before.isCurrent()).toBe(false);
    expect(demoted.isCurrent()).toBe(false);
    expect(keys.find(c.key)!.tenant).toBe('a');
    expect(keys.limitsOf('a')).toEqual({ sessions: 3 });
    expect(keys.limitsOf('b')).toBeUndefined();
  });

  test('a change that cannot be read takes no key away, and is reported without the contents', async () => {
    const a = newKey();
    write([entryOf(a)]);
    const { keys, events } = openKeys();
    writeFileSync(path, `{"keys":[{"secret":"${a.key}"`);
    await eventually(() => events.length > 0);
    expect(events[0]).toMatch(/is not JSON/);
    expect(String(events)).not.toContain(a.key);
    expect(keys.find(a.key)).toBeDefined();
  });

  const good = entryOf(newKey());
  test.each([
    ['[]', /the file must be object/],
    ['{"keys":{}}', /\/keys/],
    [JSON.stringify({ keys: [{ ...good, hash: 'secret' }] }), /\/keys\/0\/hash/],
    [JSON.stringify({ keys: [{ ...good, key: 'x' }] }), /is no field/],
    [JSON.stringify({ keys: [{ ...good, scopes: ['all'] }] }), /\/keys\/0\/scopes\/0/],
    [JSON.stringify({ keys: [{ ...good, scopes: [] }] }), /\/keys\/0\/scopes/],
    [JSON.stringify({ keys: [{ ...good, tenant: 'a/b' }] }), /\/keys\/0\/tenant/],
    [JSON.stringify({ keys: [good, good] }), /two keys with the id/],
    [JSON.stringify({ keys: [{ ...good, expires_at: 'soon' }] }), /expires_at that is no time/],
    [JSON.stringify({ keys: [good], tenants: { a: { sessions: -1 } } }), /\/tenants\/a\/sessions/],
    [JSON.stringify({ keys: [good], tenants: { a: { calls: 1 } } }), /is no field/],
  ])('%s is refused with its place', (text, message) => {
    writeFileSync(path, text);
    expect(() => readKeysFile(path)).toThrow(message);
  });

  test('many keys are read in a moment', () => {
    const keys = Array.from({ length: 40_000 }, (_, k) => ({ ...good, id: k.toString(16).padStart(16, '0') }));
    write(keys);
    const { user: before } = process.cpuUsage();
    expect(readKeysFile(path).keys).toHaveLength(40_000);
    // Every pair of ids compared would be 15 s.
    expect((process.cpuUsage().user - before) / 1e6).toBeLessThan(3);
  });

  test('a file that is missing is named, with what makes it', () => {
    expect(() => readKeysFile(path)).toThrow(/keys\.json cannot be read: .*carryover key new/);
  });

  test('a change right after the start is seen', async () => {
    const [a, b] = [newKey(), newKey()];
    write([entryOf(a)]);
    const { keys } = openKeys();
    write([entryOf(b)]);
    await eventually(() => keys.find(a.key) === undefined);
    expect(keys.find(b.key)).toBeDefined();
  });

  test('only hashes of keys are good: a hash is no key', () => {
    const a = newKey();
    write([entryOf(a)]);
    expect(openKeys().keys.find(a.hash)).toBeUndefined();
  });
});
