// Errors of SQLite, and a thread that ends or hangs: every call is answered, and its `applied` is true.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { SessionStore } from '../../../src/store/store.ts';
import { create, headOf, lastPath, newPath, open, outcomeOf, parts, putModel, threadFixture } from './helpers.ts';
import { sample } from '../../helpers/long.ts';

describe('faults', () => {
  let store: SessionStore;
  const lost: unknown[] = [];
  /** The first revision of each record. */
  const first: Record<string, number> = {};
  const at = (id: string, changes: number) => String(first[id]! + changes);
  beforeEach(async () => {
    lost.length = 0;
    const onLost = (reason: unknown) => lost.push(reason);
    store = await open(newPath(), { entry: threadFixture('with-faults'), timeoutMs: 700, onLost });
    await putModel(store);
    for (const id of ['a', 'b']) first[id] = Number(await create(store, id));
  });
  afterEach(() => store.close());

  /** A call with a fault, between others of the same transaction. */
  const around = (head: string) =>
    Promise.all([
      outcomeOf(store.change('a', at('a', 0), parts('before'))),
      outcomeOf(store.change('a', at('a', 1), parts(head))),
      outcomeOf(store.change('b', at('b', 7), parts('conflict'))),
      outcomeOf(store.read('b')),
      outcomeOf(store.change('b', at('b', 0), parts('after'))),
    ]);

  const untilUsable = async () => {
    const start = performance.now();
    while (store.problems().length > 0) await sleep(5);
    return performance.now() - start;
  };

  test.each(sample<readonly [string, string]>([
    ['statement fails: SQLITE_FULL', 'store_full no'],
    ['statement fails: SQLITE_IOERR_READ', 'store_unavailable no'],
    ['statement fails: SQLITE_CORRUPT', 'store_unavailable no'],
    ['throw here', 'internal no'],
  ], 2))('"%s" fails one call: %s', async (head, outcome) => {
    expect(await around(head)).toEqual(['ok', outcome, 'conflict', 'ok', 'ok']);
    expect(await headOf(store, 'a')).toBe('before');
    expect(await headOf(store, 'b')).toBe('after');
    expect(await outcomeOf(store.change('a', at('a', 1), parts('next')))).toBe('ok');
    expect(store.problems()).toEqual([]);
    expect(await store.count()).toBe(2);
  });

  test.each([
    ['commit fails: SQLITE_FULL', 'store_full no'],
    ['commit fails: SQLITE_IOERR_FSYNC', 'store_unavailable no'],
  ])('"%s": the file is opened again and shows that nothing was committed', async (head, outcome) => {
    expect(await around(head)).toEqual([outcome, outcome, outcome, 'ok', outcome]);
    expect(await headOf(store, 'a')).toBe('a');
    expect(await headOf(store, 'b')).toBe('b');
    expect(await outcomeOf(store.change('a', at('a', 0), parts('next')))).toBe('ok');
    expect(store.problems()).toEqual([]);
  });

  test('changes are unknown after a COMMIT that fails although it is done', async () => {
    const unknown = 'store_unavailable unknown';
    expect(await around('commit is done but fails: SQLITE_IOERR_FSYNC')).toEqual([
      unknown,
      unknown,
      unknown,
      'ok',
      unknown,
    ]);
    expect(await headOf(store, 'b')).toBe('after');
    expect(await outcomeOf(store.change('b', at('b', 1), parts('next')))).toBe('ok');
    expect(await store.count()).toBe(2);
  });

  test('changes are unknown after a COMMIT that fails if no record shows whether they were committed', async () => {
    await store.writeTombstone('b', at('b', 0), Buffer.from('gone'), 0);
    const outcomes = await Promise.all([
      outcomeOf(store.writeTombstone('a', at('a', 0), Buffer.from('commit fails: SQLITE_IOERR_FSYNC'), 0)),
      outcomeOf(store.forget('b')),
    ]);
    expect(outcomes).toEqual(Array(2).fill('store_unavailable unknown'));
  });

  test('the store recovers without a call', async () => {
    await outcomeOf(store.change('a', at('a', 0), parts('commit fails: SQLITE_FULL')));
    expect(store.problems()).toEqual(['the disk of the session store is full']);
    expect(await untilUsable()).toBeLessThan(30_000);
  });

  test('changes that were sent are unknown when the thread ends, and it is started again', async () => {
    const read = outcomeOf(store.read('b'));
    const unknown = 'store_unavailable unknown';
    const [before, dead, conflict, , after] = await around('exit here');
    expect([before, dead, conflict, after]).toEqual(Array(4).fill(unknown));
    expect(await read).toBe('store_unavailable no');
    expect(await outcomeOf(store.change('a', at('a', 0), parts('x')))).toBe('store_unavailable no');
    expect(await untilUsable()).toBeLessThan(30_000);
    expect(lost).toHaveLength(1);
    expect(await headOf(store, 'a')).toBe('a');
    expect(await outcomeOf(store.change('a', at('a', 0), parts('next')))).toBe('ok');
  });

  test('changes that were not sent are not applied when the thread ends', async () => {
    const dying = outcomeOf(store.change('a', at('a', 0), parts('exit here')));
    while (lost.length === 0) {
      const late = store.change('b', at('b', 0), parts('late'));
      if ((await outcomeOf(late)) === 'store_unavailable no') break;
    }
    expect(await dying).toBe('store_unavailable unknown');
  });

  test('calls fail at their deadline when the thread hangs, and later ones are served', async () => {
    const start = performance.now();
    const outcomes = await Promise.all([
      outcomeOf(store.change('a', at('a', 0), parts('hang here'))),
      outcomeOf(store.read('a')),
    ]);
    expect(performance.now() - start).toBeLessThan(10_000);
    expect(outcomes).toEqual(['store_unavailable unknown', 'store_unavailable no']);
    expect(store.problems()).toEqual(['the session store does not answer in time']);
    expect(await untilUsable()).toBeLessThan(30_000);
    expect(await headOf(store, 'a')).toBe('hang here');
    expect(await outcomeOf(store.change('a', at('a', 1), parts('next')))).toBe('ok');
  });

  test('closing while the thread is started again releases the file', async () => {
    await outcomeOf(store.change('a', at('a', 0), parts('exit here')));
    await store.close();
    const again = await open(lastPath());
    expect(await headOf(again, 'a')).toBe('a');
    await again.close();
  });
});
