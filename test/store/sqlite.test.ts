// The default store: the contract, how it opens its file, its groups, and the faults of its thread.
// What it does when the disk or the power fails: sqlite-disk.test.ts, sqlite-power-loss.test.ts.
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { CarryoverError } from '../../src/errors.ts';
import { type SqliteOptions, openSqliteStore } from '../../src/store/sqlite/sqlite.ts';
import { packRequests, unpackRequests } from '../../src/store/sqlite/messages.ts';
import type { SessionStore } from '../../src/store/store.ts';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';
import { until } from '../helpers/process.ts';
import { storeContract } from './contract.ts';
import { kill, marksThat, startLoad } from './load-process.ts';

interface Connection {
  pragma(sql: string, options?: { simple: true }): unknown;
  exec(sql: string): void;
  prepare(sql: string): { all(): unknown[] };
  close(): void;
}
const Connection = createRequire(import.meta.url)('better-sqlite3') as new (
  path: string,
) => Connection;

const folder = mkdtempSync(join(tmpdir(), 'carryover-sqlite-'));
afterAll(() => rmSync(folder, { recursive: true }));
let files = 0;
const newPath = () => join(folder, `${++files}/carryover.sqlite`);
const lastPath = () => join(folder, `${files}/carryover.sqlite`);

const open = (path = newPath(), options: Partial<SqliteOptions> = {}) =>
  openSqliteStore(path, { timeoutMs: 5_000, queueMax: 4_000, ...options });
const fixture = (name: string) => new URL(`../fixtures/store/${name}.ts`, import.meta.url);
const withFaults = fixture('with-faults');

const MODEL_ID = 'sha256:model';
const putModel = (store: SessionStore) =>
  store.models.put({ id: MODEL_ID, file: Buffer.from('weights'), createdAtMs: 0, isKept: true });
const parts = (head: string) => ({ head: Buffer.from(head), slots: new Map<number, Uint8Array>() });
const create = (store: SessionStore, id: string) => store.create(id, parts(id), 1e12, MODEL_ID);
const headOf = async (store: SessionStore, id: string) =>
  Buffer.from((await store.read(id))?.head ?? '').toString();

/** "ok", or what the error says. */
const outcomeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    (value) => (value === false || value === undefined ? 'conflict' : 'ok'),
    ({ code, applied }: CarryoverError) => `${code} ${applied}`,
  );

storeContract('sqlite', { open: () => open(), reopen: () => open(lastPath()) });

describe('opening', () => {
  test('makes the folder and a file that only its owner can read', async () => {
    const path = newPath();
    const store = await open(path);
    await putModel(store);
    for (const file of [path, `${path}-wal`]) expect(statSync(file).mode & 0o777).toBe(0o600);
    await store.close();
    chmodSync(path, 0o640);
    await (await open(path)).close();
    expect(statSync(path).mode & 0o777).toBe(0o640);
  });

  test('takes every path for a file, and makes all its folders', async () => {
    const cwd = process.cwd();
    process.chdir(folder);
    const store = await open(`${++files}/a/:memory:`);
    await putModel(store);
    await store.close();
    const again = await open(join(folder, `${files}/a/:memory:`));
    expect(await again.models.ids()).toEqual([MODEL_ID]);
    await again.close();
    const inFolder = await open(':memory:');
    await putModel(inFolder);
    await inFolder.close();
    process.chdir(cwd);
    expect(statSync(join(folder, ':memory:')).size).toBeGreaterThan(0);
  });

  test('is refused while another thread has the file, and works once that has closed', async () => {
    const store = await open();
    await expect(open(lastPath())).rejects.toThrow(
      `${lastPath()} is in use by another server: stop that one, or name another file in STORE_URL`,
    );
    // The refused one must not have taken the lock away: POSIX locks go with any close.
    await expect(open(lastPath())).rejects.toThrow('in use');
    await putModel(store);
    await store.close();
    await (await open(lastPath())).close();
  });

  test('is refused while another process has the file, until that is killed', async () => {
    const path = newPath();
    const other = startLoad({ path, sessions: 1, changes: 1 });
    await until(other, () => /^done$/m.exec(other.output()));
    await expect(open(path)).rejects.toThrow('in use by another server');
    await kill(other);
    await (await open(path)).close();
  });

  test('is refused for a file of another program, which stays as it is', async () => {
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

  test('gives the file of an earlier version the index by which a model lists its sessions', async () => {
    const path = newPath();
    const store = await open(path);
    await putModel(store);
    for (const id of ['b', 'a']) await create(store, id);
    await store.close();
    const earlier = new Connection(path);
    earlier.exec(`DROP INDEX live_records_by_id;
      CREATE INDEX live_records ON records (model) WHERE model IS NOT NULL`);
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

  test('is refused for a later format', async () => {
    await (await open()).close();
    const connection = new Connection(lastPath());
    connection.pragma('user_version = 2');
    connection.close();
    await expect(open(lastPath())).rejects.toThrow(
      `${lastPath()} has format 2 and this server reads format 1: run the version`,
    );
  });

  test('is refused where no folder can be made', async () => {
    const path = newPath();
    writeFileSync(join(path, '..'), 'a file');
    await expect(open(path)).rejects.toThrow(/EEXIST|ENOTDIR/);
  });

  test('is refused if SQLite forgets that every commit is to be synced', async () => {
    const entry = fixture('forgetting-sync');
    await expect(open(newPath(), { entry })).rejects.toThrow('does not keep synchronous = FULL');
  });
});

describe('groups', () => {
  test('many calls share few commits, conflicts among them are answers', async () => {
    const commits = fixture('counting-commits');
    const store = await open(newPath(), { entry: commits });
    await putModel(store);
    await Promise.all(Array.from({ length: 50 }, (_, k) => create(store, `s${k}`)));
    const before = (await store.models.get('commits'))!.createdAtMs;
    const outcomes = await Promise.all(
      Array.from({ length: 500 }, (_, i) =>
        // Each session: ten changes in order; those of every fifth come too early.
        store.change(`s${i % 50}`, `${Math.floor(i / 50) + (i % 5 === 0 ? 1 : 0)}`, parts(`${i}`)),
      ),
    );
    const commitsCount = (await store.models.get('commits'))!.createdAtMs - before;
    expect(commitsCount).toBeLessThanOrEqual(5);
    outcomes.forEach((done, i) => expect(done !== undefined, `${i}`).toBe(i % 5 !== 0));
    expect(await headOf(store, 's1')).toBe('451');
    expect(await headOf(store, 's0')).toBe('s0');
    await store.close();
  });

  test('calls are answered in order, with what the calls before have done', async () => {
    const store = await open();
    await putModel(store);
    const answers = await Promise.all([
      create(store, 'a'),
      headOf(store, 'a'),
      store.change('a', '0', parts('first')),
      headOf(store, 'a'),
      store.count(),
      store.writeTombstone('a', '1', Buffer.from('gone'), 0),
      store.count(),
      store.due(0, 10),
    ]);
    expect(answers).toEqual(['0', 'a', '1', 'first', 1, true, 0, ['a']]);
    await store.close();
  });

  test('closing finishes what was begun and refuses the rest', async () => {
    const store = await open();
    await putModel(store);
    const creations = Array.from({ length: 600 }, (_, k) => create(store, `s${k}`));
    const closed = store.close();
    expect(await outcomeOf(create(store, 'late'))).toBe('store_unavailable no');
    expect(await Promise.all(creations)).not.toContain(undefined);
    await closed;
    await store.close();
    const again = await open(lastPath());
    expect(await again.count()).toBe(600);
    expect(await again.read('late')).toBeUndefined();
    await again.close();
  });

  test('a full queue refuses at once, and takes calls again when it is shorter', async () => {
    const store = await open(newPath(), { queueMax: 10 });
    await putModel(store);
    const outcomes = await Promise.all(
      Array.from({ length: 30 }, (_, k) => outcomeOf(create(store, `s${k}`))),
    );
    expect(outcomes.filter((one) => one === 'ok')).toHaveLength(10);
    expect(outcomes.filter((one) => one === 'store_unavailable no')).toHaveLength(20);
    expect(await store.count()).toBe(10);
    await store.close();
  });

  test('the log stays short while much is written', async () => {
    const store = await open();
    await putModel(store);
    await create(store, 'a');
    const slot = Buffer.alloc(500_000);
    for (let revision = 0; revision < 150; revision++) {
      await store.change('a', `${revision}`, { head: slot, slots: new Map([[revision % 2, slot]]) });
    }
    // 150 MB were written; the log is begun anew after 4 MB, and cut to 8 MB.
    expect(statSync(`${lastPath()}-wal`).size).toBeLessThanOrEqual(8 * 2 ** 20);
    expect(statSync(lastPath()).size).toBeLessThan(4 * 2 ** 20);
    await store.close();
  });
});

describe('what crosses the threads', () => {
  test('comes out as it went in', () => {
    const random = pseudoRandom(3);
    const pick = (max: number) => Math.floor(((random() + 1) / 2) * max);
    for (let run = 0; run < 200; run++) {
      const requests = Array.from({ length: pick(6) }, (_, i) => ({
        call: ['change', `s${i}`, i] as const,
        parts: Array.from(
          { length: pick(4) },
          (_, slot) => [slot - 1, Buffer.alloc(pick(50), `${i}${slot}`)] as const,
        ),
      }));
      const plain = (all: ReturnType<typeof unpackRequests>) =>
        all.map(({ call, parts }) => [
          call,
          parts.map(([number, data]) => [number, Buffer.from(data).toString()]),
        ]);
      const sent = packRequests(requests).map((message) => structuredClone(message));
      expect(plain(sent.flatMap(unpackRequests))).toEqual(plain(requests));
    }
  });

  test('hands a large file over without copying it, in its order', () => {
    const file = Buffer.allocUnsafeSlow(1024 * 1024).fill('x');
    const put = { call: ['putModel', 'id', 0, true] as const, parts: [[-1, file] as const] };
    const read = { call: ['read', 's'] as const, parts: [] };
    const messages = packRequests([read, put, read]);
    expect(messages.map(({ calls }) => calls.map(([name]) => name))).toEqual([
      ['read'],
      ['putModel'],
      ['read'],
    ]);
    expect(messages[1]!.bytes).toBe(file);
    expect(Buffer.from(unpackRequests(messages[1]!)[0]!.parts[0]![1]).equals(file)).toBe(true);
  });

  test('are the bytes named, and not the buffer that they are a part of', async () => {
    const store = await open();
    await putModel(store);
    const all = Buffer.from('before|head|between|slot|after');
    const slots = new Map([[5, all.subarray(20, 24)]]);
    await store.create('a', { head: all.subarray(7, 11), slots }, 0, MODEL_ID);
    const { head, slots: stored } = (await store.read('a'))!;
    expect(Buffer.from(head).toString()).toBe('head');
    expect(Buffer.from(stored.get(5)!).toString()).toBe('slot');
    await store.close();
  });
});

describe('faults', () => {
  let store: SessionStore;
  const lost: unknown[] = [];
  beforeEach(async () => {
    lost.length = 0;
    const onLost = (reason: unknown) => lost.push(reason);
    store = await open(newPath(), { entry: withFaults, timeoutMs: 700, onLost });
    await putModel(store);
    await create(store, 'a');
    await create(store, 'b');
  });
  afterEach(() => store.close());

  /** One call that asks for a fault, between others of the same group. */
  const around = (head: string) =>
    Promise.all([
      outcomeOf(store.change('a', '0', parts('before'))),
      outcomeOf(store.change('a', '1', parts(head))),
      outcomeOf(store.change('b', '7', parts('conflict'))),
      outcomeOf(store.read('b')),
      outcomeOf(store.change('b', '0', parts('after'))),
    ]);

  const untilFine = async () => {
    const start = performance.now();
    while (store.problems().length > 0) await sleep(5);
    return performance.now() - start;
  };

  test.each([
    ['statement fails: SQLITE_FULL', 'store_full no'],
    ['statement fails: SQLITE_IOERR_READ', 'store_unavailable no'],
    ['statement fails: SQLITE_CORRUPT', 'store_unavailable no'],
    ['throw here', 'internal no'],
  ])('"%s" hits one call: %s', async (head, outcome) => {
    expect(await around(head)).toEqual(['ok', outcome, 'conflict', 'ok', 'ok']);
    expect(await headOf(store, 'a')).toBe('before');
    expect(await headOf(store, 'b')).toBe('after');
    expect(await outcomeOf(store.change('a', '1', parts('next')))).toBe('ok');
    expect(store.problems()).toEqual([]);
    expect(await store.count()).toBe(2);
  });

  test.each([
    ['commit fails: SQLITE_FULL', 'store_full no'],
    ['commit fails: SQLITE_IOERR_FSYNC', 'store_unavailable no'],
  ])('"%s": the file is opened anew and shows that nothing came to pass', async (head, outcome) => {
    expect(await around(head)).toEqual([outcome, outcome, outcome, 'ok', outcome]);
    expect(await headOf(store, 'a')).toBe('a');
    expect(await headOf(store, 'b')).toBe('b');
    expect(await outcomeOf(store.change('a', '0', parts('next')))).toBe('ok');
    expect(store.problems()).toEqual([]);
  });

  test('a COMMIT that fails and is done nevertheless is unknown to writers', async () => {
    const unknown = 'store_unavailable unknown';
    expect(await around('commit is done but fails: SQLITE_IOERR_FSYNC')).toEqual([
      unknown,
      unknown,
      unknown,
      'ok',
      unknown,
    ]);
    expect(await headOf(store, 'b')).toBe('after');
    expect(await outcomeOf(store.change('b', '1', parts('next')))).toBe('ok');
    expect(await store.count()).toBe(2);
  });

  test('without a change that could tell, a failed COMMIT is unknown', async () => {
    await store.writeTombstone('b', '0', Buffer.from('gone'), 0);
    const outcomes = await Promise.all([
      outcomeOf(store.writeTombstone('a', '0', Buffer.from('commit fails: SQLITE_IOERR_FSYNC'), 0)),
      outcomeOf(store.forget('b')),
    ]);
    expect(outcomes).toEqual(Array(2).fill('store_unavailable unknown'));
  });

  test('a problem ends by itself, without a call', async () => {
    await outcomeOf(store.change('a', '0', parts('commit fails: SQLITE_FULL')));
    expect(store.problems()).toEqual(['the disk of the session store is full']);
    expect(await untilFine()).toBeLessThan(2_000);
  });

  test('the death of the thread is unknown to writers; it is replaced', async () => {
    const read = outcomeOf(store.read('b'));
    const unknown = 'store_unavailable unknown';
    const [before, dead, conflict, , after] = await around('exit here');
    expect([before, dead, conflict, after]).toEqual(Array(4).fill(unknown));
    expect(await read).toBe('store_unavailable no');
    expect(await outcomeOf(store.change('a', '0', parts('x')))).toBe('store_unavailable no');
    expect(await untilFine()).toBeLessThan(2_000);
    expect(lost).toHaveLength(1);
    expect(await headOf(store, 'a')).toBe('a');
    expect(await outcomeOf(store.change('a', '0', parts('next')))).toBe('ok');
  });

  test('calls not handed over yet when the thread dies are surely not applied', async () => {
    const dying = outcomeOf(store.change('a', '0', parts('exit here')));
    while (lost.length === 0) {
      const late = store.change('b', '0', parts('late'));
      if ((await outcomeOf(late)) === 'store_unavailable no') break;
    }
    expect(await dying).toBe('store_unavailable unknown');
  });

  test('a hanging thread: calls end at their deadline, later ones are served', async () => {
    const start = performance.now();
    const outcomes = await Promise.all([
      outcomeOf(store.change('a', '0', parts('hang here'))),
      outcomeOf(store.read('a')),
    ]);
    expect(performance.now() - start).toBeLessThan(1_400);
    expect(outcomes).toEqual(['store_unavailable unknown', 'store_unavailable no']);
    expect(store.problems()).toEqual(['the session store does not answer in time']);
    expect(await untilFine()).toBeLessThan(2_000);
    expect(await headOf(store, 'a')).toBe('hang here');
    expect(await outcomeOf(store.change('a', '1', parts('next')))).toBe('ok');
  });

  test('closing while the thread is being replaced frees the file', async () => {
    await outcomeOf(store.change('a', '0', parts('exit here')));
    await store.close();
    const again = await open(lastPath());
    expect(await headOf(again, 'a')).toBe('a');
    await again.close();
  });
});

test('flipped bits and a file cut off are an error or other bytes, never a crash', async () => {
  const original = newPath();
  const store = await open(original);
  await putModel(store);
  const slots = new Map([[0, Buffer.alloc(900, 1)]]);
  for (let k = 0; k < 40; k++) {
    await store.create(`s${k}`, { head: Buffer.alloc(400, k), slots }, k, MODEL_ID);
  }
  await store.close();
  const random = pseudoRandom(11);
  const pick = (max: number) => Math.floor(((random() + 1) / 2) * max);
  const codes = new Map<string, number>();
  const tally = (code: string) => codes.set(code, (codes.get(code) ?? 0) + 1);
  for (let run = 0; run < 30; run++) {
    const path = newPath();
    mkdirSync(join(path, '..'));
    copyFileSync(original, path);
    const bytes = readFileSync(path);
    // The head of a page holds its structure: damage there is found by SQLite.
    const page = pick(bytes.length / 4096) * 4096;
    for (let k = 0; k < 8; k++) bytes[page + pick(64)]! ^= 1 << pick(8);
    // Every fifth one is cut off instead.
    writeFileSync(path, run % 5 === 0 ? bytes.subarray(0, 1 + pick(bytes.length)) : bytes);
    const damaged = await open(path).catch((error: Error) => {
      expect(error.message).not.toContain('\n');
      tally('refused');
    });
    if (!damaged) continue;
    const calls = Array.from({ length: 40 }, (_, k) => damaged.read(`s${k}`) as Promise<unknown>);
    calls.push(damaged.list(undefined, 100), damaged.due(1e12, 100), create(damaged, 'new'));
    calls.push(damaged.change('s1', '0', parts('next')), damaged.count());
    calls.push(damaged.models.ids(), damaged.models.names());
    for (const call of calls) tally(await outcomeOf(call));
    await damaged.close();
  }
  const allowed = [
    'refused',
    'ok',
    'conflict',
    'store_unavailable no',
    'store_unavailable unknown',
    'model_not_found no',
  ];
  expect([...codes.keys()].filter((code) => !allowed.includes(code))).toEqual([]);
  expect(codes.get('store_unavailable no')).toBeGreaterThan(10);
});

describe('kill -9 in mid-load', () => {
  /** Kills a load when so many changes were acknowledged. */
  async function killedAfter(changes: number, entry?: string) {
    const path = newPath();
    const fault = entry === undefined ? {} : { entry: fixture(entry).href };
    const load = startLoad({ path, sessions: 32, changes: 5_000, ...fault });
    await until(load, () => marksThat('ack', load).length > changes || undefined);
    await kill(load);
    const store = await open(path);
    const heads: string[] = [];
    for (let k = 0; k < 32; k++) heads.push(await headOf(store, `session-${k}`));
    await store.close();
    const lost = marksThat('ack', load).filter(
      (mark) => !heads[Number(/\d+/.exec(mark))]!.includes(mark),
    );
    return { lost, heads };
  }

  test.each([300, 600, 900, 1_200, 1_500])(
    'loses nothing that was acknowledged and doubles nothing (after %i)',
    async (changes) => {
      const { lost, heads } = await killedAfter(changes);
      expect(lost).toEqual([]);
      for (const head of heads) {
        const numbers = [...head.matchAll(/\.(\d+);/g)].map(([, n]) => Number(n)).toReversed();
        expect(numbers).toEqual(numbers.map((_, n) => n));
      }
    },
  );

  test('control: what is acknowledged before its COMMIT is lost', async () => {
    const { lost } = await killedAfter(2_000, 'late-commit');
    expect(lost.length).toBeGreaterThan(0);
  });
});
