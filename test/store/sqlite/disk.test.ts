// A full or failing disk: every call is answered, and its `applied` is true.
import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, expect, test } from 'vitest';
import type { CarryoverError } from '../../../src/errors.ts';
import { openSqliteStore } from '../../../src/store/sqlite/sqlite.ts';
import type { SessionStore } from '../../../src/store/store.ts';
import { sample, sized, testLong } from '../../helpers/long.ts';
import { describeWith } from '../../helpers/needs.ts';
import { startProcess, until } from '../../helpers/process.ts';
import { fillDisk, useSmallDisk } from '../../helpers/small-disk.ts';
import { kill, marksThat, startLoad } from './load-process.ts';

const folder = mkdtempSync(join(tmpdir(), 'carryover-disk-'));
afterAll(() => rmSync(folder, { recursive: true }));

const options = { timeoutMs: 5_000, queueMax: 4_000 };
const SESSIONS = 4;
const CHANGES = 60;
const LARGE_BYTES = 13 * 2 ** 20;
/** The store tries to write again after 500 ms, when the rest of the load is over. */
const FULL_FOR_A_WHILE = 'pwrite64:error=ENOSPC:when=40..90';
const MODEL_ID = 'sha256:model';

describeWith('mount', 'a full disk', () => {
  const smallDisk = useSmallDisk();
  const path = join(smallDisk, 'carryover.sqlite');
  const reserve = `${path}-reserve`;
  afterEach(() => {
    for (const name of readdirSync(smallDisk)) rmSync(join(smallDisk, name));
  });

  test('changes are refused with applied `no`; reads succeed, and writes when there is space', async () => {
    const filler = join(smallDisk, 'filler');
    writeFileSync(filler, Buffer.alloc(12 * 2 ** 20));
    const store = await open();
    const { created, refused } = await fill(store);
    expect(refused).toMatchObject({ code: 'store_full', applied: 'no' });
    expect(store.problems()).toEqual(['the disk of the session store is full']);
    await expectExactly(store, created);

    // The disk stays full: the answers are the same, also to many calls at once.
    const more = await Promise.all(
      Array.from({ length: 20 }, (_, k) => errorOf(create(store, `more-${k}`))),
    );
    for (const error of more) expect(error).toMatchObject({ code: 'store_full', applied: 'no' });
    await expectExactly(store, created);
    await sleep(1_200);
    expect(store.problems()).toEqual(['the disk of the session store is full']);

    rmSync(filler);
    await untilUsable(store);
    expect(await create(store, 'after')).toBeDefined();
    await expectExactly(store, [...created, 'after']);
    await store.close();

    const again = await open();
    await expectExactly(again, [...created, 'after']);
    await again.close();
  });

  test('a large model of which the disk has no space for a copy can be deleted', async () => {
    const store = await open();
    // It is in the WAL, and the disk has no space to copy it into the file.
    const large = { id: 'large', file: Buffer.alloc(LARGE_BYTES, 'x'), createdAtMs: 0, isKept: true };
    await store.models.put(large);
    expect(await errorOf(create(store, 'a'))).toMatchObject({ code: 'store_full', applied: 'no' });
    expect((await store.models.get('large'))?.file).toHaveLength(LARGE_BYTES);
    expect(await store.models.remove('large')).toBe(true);
    await untilUsable(store);
    expect(await create(store, 'a')).toBeDefined();
    await store.close();
  });

  // What a crash, or an earlier version, may leave of the reserve on a disk that is full now.
  const USUAL = [
    ['whole', true, () => {}],
    ['missing', false, () => rmSync(reserve)],
    ['with holes', false, () => writeHoles(reserve)],
  ] as const;
  const RARE = [
    ['too large', true, () => appendFileSync(reserve, Buffer.alloc(2 ** 20))],
    ['truncated', false, () => truncateSync(reserve, 100_000)],
  ] as const;
  test.each(sized<readonly (readonly [string, boolean, () => void])[]>({ short: sample(USUAL, 1), long: [...USUAL, ...RARE] }))('the store starts with a reserve that is %s', async (_, isGood, damage) => {
    const store = await open();
    const ids = Array.from({ length: 60 }, (__, k) => `s${k}`);
    await Promise.all(ids.map((id) => create(store, id)));
    await store.close();
    damage();
    const filler = fillDisk(smallDisk);

    const again = await open();
    await expectExactly(again, ids);
    const isWritten = await Promise.all(ids.map((id) => outcomeOf(writeTombstone(again, id))));
    const left = ids.filter((__, k) => isWritten[k] !== true);
    if (isGood) expect(left).toEqual([]);
    await expectExactly(again, left);
    rmSync(filler);
    await untilUsable(again);
    for (const id of left) expect(await writeTombstone(again, id)).toBe(true);
    expect(await create(again, 'after')).toBeDefined();
    const { size, blocks } = statSync(reserve);
    expect(blocks * 512).toBeGreaterThanOrEqual(size);
    await again.close();
  });

  async function open(): Promise<SessionStore> {
    const store = await openSqliteStore(path, options);
    await store.models.put({ id: MODEL_ID, file: Buffer.from('weights'), createdAtMs: 0, isKept: true });
    return store;
  }
});

describeWith('strace', 'errors of system calls', () => {
  // The calls are counted from when the store is open.
  const ANY_TIME = [
    'fsync:error=EIO:when=3',
    'fsync:error=EIO:when=4..6',
    'fsync:error=EIO:when=5+7',
    'fsync:error=ENOSPC:when=3+9',
    'pwrite64:error=EIO:when=20',
    'pwrite64:error=EIO:when=30+37',
    'pwrite64:error=ENOSPC:when=22+41',
    'pwrite64:error=ENOSPC:when=40..41',
    'ftruncate:error=EIO:when=1+2',
    'unlink:error=EIO:when=1+2',
  ];
  // One of each kind: a write that fails, a disk that is full, and a read that fails. Below: an fsync that fails.
  const ONE_OF_EACH = ['pwrite64:error=EIO:when=21..35', FULL_FOR_A_WHILE, 'pread64:error=EIO:when=1+3'];
  test.each(sized({ short: sample(ONE_OF_EACH, 1), long: [...ONE_OF_EACH, ...ANY_TIME] }))('%s: `applied` is true', async (injection) => {
    const path = join(folder, injection.replaceAll(/\W/g, '-'), 'carryover.sqlite');
    const load = await runWith(injection, path);
    const store = await openSqliteStore(path, options);
    const heads = await headsOf(store);
    for (const mark of marksThat('ack', load)) expect(heads).toContain(mark);
    for (const mark of marksThat('no', load)) expect(heads).not.toContain(mark);
    expect(load.output()).not.toContain('conflict');
    const settled = ['ack', 'no', 'unknown'] as const;
    expect(settled.flatMap((word) => marksThat(word, load))).toHaveLength(SESSIONS * CHANGES);
    if (injection === FULL_FOR_A_WHILE) expect(marksThat('no', load).length).toBeGreaterThan(0);
    const acksMin = injection === FULL_FOR_A_WHILE ? 5 : 40;
    expect(marksThat('ack', load).length).toBeGreaterThan(acksMin);
    await store.close();
  });

  testLong('control: some changes are answered with "unknown" after an fsync that fails', async () => {
    const load = await runWith('fsync:error=EIO:when=3..9', join(folder, 'control-unknown', 'carryover.sqlite'));
    expect(marksThat('unknown', load).length).toBeGreaterThan(0);
  });

  test('control: if the error of a COMMIT is ignored, changes are acknowledged and lost', async () => {
    const path = join(folder, 'ignored', 'carryover.sqlite');
    const entry = new URL('../../fixtures/store/ignored-commit-error.ts', import.meta.url).href;
    const load = await runWith('pwrite64:error=EIO:when=21..35', path, entry);
    const store = await openSqliteStore(path, options);
    const heads = await headsOf(store);
    expect(marksThat('ack', load).filter((mark) => !heads.includes(mark))).not.toEqual([]);
    await store.close();
  });
});

async function runWith(injection: string, path: string, entry?: string) {
  const load = startLoad({
    path,
    sessions: SESSIONS,
    changes: CHANGES,
    waitsForTracer: true,
    ...(entry === undefined ? {} : { entry }),
  });
  const [, pid] = await until(load, () => /^pid (\d+)$/m.exec(load.output()));
  const args = ['-f', '-qq', '-o', '/dev/null', '-e', `inject=${injection}`, '-p', pid!];
  const tracer = startProcess('strace', args, {});
  await until(load, () => /^done$/m.exec(load.output()));
  await kill(load);
  await tracer.stop();
  return load;
}

/** Creates sessions until one is refused, and refused again after a checkpoint had time to free the WAL. */
async function fill(store: SessionStore): Promise<{ created: string[]; refused: unknown }> {
  const created: string[] = [];
  for (let k = 0, refusedAt = -1; ; ) {
    const refused = await errorOf(create(store, `s${k}`));
    if (refused && refusedAt === k) return { created, refused };
    if (refused) {
      refusedAt = k;
      await sleep(700);
    } else created.push(`s${k++}`);
  }
}

async function untilUsable(store: SessionStore): Promise<void> {
  const start = performance.now();
  while (store.problems().length > 0) {
    expect(performance.now() - start).toBeLessThan(30_000);
    await sleep(10);
  }
}

async function writeTombstone(store: SessionStore, id: string): Promise<boolean> {
  const { revision } = (await store.read(id))!;
  return store.writeTombstone(id, revision, Buffer.from('gone'), 1e12);
}

function outcomeOf(promise: Promise<boolean>): Promise<unknown> {
  return promise.catch((error: CarryoverError) => error);
}

/** Keeps the size and drops the blocks, as copying a file can do. */
function writeHoles(path: string): void {
  const { size } = statSync(path);
  truncateSync(path, 0);
  truncateSync(path, size);
}

function create(store: SessionStore, id: string): Promise<string | undefined> {
  return store.create(id, { head: Buffer.alloc(65_536, id), slots: new Map() }, 1e12, MODEL_ID);
}

async function expectExactly(store: SessionStore, ids: readonly string[]): Promise<void> {
  expect(await store.count()).toBe(ids.length);
  const listed = await store.list(undefined, 10_000);
  expect(listed.map(({ id }) => id)).toEqual(ids.toSorted());
  for (const { id, head } of listed) expect(Buffer.alloc(65_536, id).equals(head), id).toBe(true);
}

async function headsOf(store: SessionStore): Promise<string> {
  const records = Array.from({ length: SESSIONS }, (_, k) => store.read(`session-${k}`));
  return (await Promise.all(records)).map((record) => Buffer.from(record!.head).toString()).join();
}

function errorOf(promise: Promise<unknown>): Promise<CarryoverError | undefined> {
  return promise.then(
    () => undefined,
    (error: CarryoverError) => error,
  );
}
