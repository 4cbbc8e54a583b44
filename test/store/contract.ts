// What every store must do (src/store/store.ts), as one suite that runs on all of them.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { SessionStore } from '../../src/store/store.ts';
import { fc } from '../helpers/seed.ts';
import { HOUR_MS, MODEL, OTHER, bytes, codeOf, createIn, parts, plain } from './contract-fixtures.ts';
import { modelContract } from './contract-models.ts';
import { type PlainRecord, applyPlainly, applyTo, randomCalls } from './random-calls.ts';

export interface ContractOptions {
  /** An empty store. */
  readonly open: () => Promise<SessionStore>;
  /** Opens the store that was closed last again; absent if a store keeps nothing when it is closed. */
  readonly reopen?: () => Promise<SessionStore>;
}

export function storeContract(name: string, { open, reopen }: ContractOptions): void {
  describe(`${name}: the contract of a store`, () => {
    let store: SessionStore;
    beforeEach(async () => {
      store = await open();
      await store.models.put(MODEL);
      await store.models.put(OTHER);
    });
    afterEach(() => store.close());

    const create = (id: string, dueAtMs?: number, modelId?: string, slots?: Record<number, string>) =>
      createIn(store, id, dueAtMs, modelId, slots);

    test('the store describes itself and has no problems', () => {
      expect(store.description).not.toBe('');
      expect(store.problems()).toEqual([]);
    });

    test('a record is read back as it was created, byte for byte', async () => {
      expect(await store.read('x')).toBeUndefined();
      const head = Uint8Array.from({ length: 70_000 }, (_, i) => i * 7);
      const slots = new Map([[0, bytes('')], [127, head]]);
      const revision = await store.create('x', { head, slots }, HOUR_MS, MODEL.id);
      expect(plain(await store.read('x'))).toEqual(plain({ revision: revision!, head, slots }));
    });

    test('an id is created once, also beside a tombstone', async () => {
      const revision = await create('x');
      expect(revision).toBeDefined();
      expect(await create('x')).toBeUndefined();
      expect(await store.writeTombstone('x', revision!, bytes('gone'), HOUR_MS)).toBe(true);
      expect(await create('x')).toBeUndefined();
      await store.forget('x');
      expect(await create('x')).toBeDefined();
    });

    test('a record that is created again has another revision, so no late change of the one before it is made', async () => {
      const first = (await create('x'))!;
      await store.writeTombstone('x', first, bytes('gone'), HOUR_MS);
      await store.forget('x');
      const again = (await create('x'))!;
      expect(again).not.toBe(first);
      expect(await store.change('x', first, parts('late'))).toBeUndefined();
      expect(await store.writeTombstone('x', first, bytes('late'), HOUR_MS)).toBe(false);
      expect((await store.read('x'))!.revision).toBe(again);
    });

    test('a record of an unknown model is refused', async () => {
      const missing = `sha256:${'c'.repeat(64)}`;
      expect(await codeOf(create('x', HOUR_MS, missing))).toBe('model_not_found');
      expect(await store.read('x')).toBeUndefined();
      expect(await store.count()).toBe(0);
    });

    test('a change writes the head and the named slots, at the right revision only', async () => {
      const first = (await create('x', HOUR_MS, MODEL.id, { 1: 'one', 2: 'two' }))!;
      expect(await store.change('y', first, parts('no'))).toBeUndefined();
      const second = (await store.change('x', first, parts('next', { 2: 'zwei', 3: 'drei' })))!;
      expect(second).not.toBe(first);
      expect((await store.read('x'))!.revision).toBe(second);
      expect(await store.change('x', first, parts('late'))).toBeUndefined();
      const third = (await store.change('x', second, parts('third')))!;
      expect(await store.change('x', second, parts('late'))).toBeUndefined();
      const slots = new Map([[1, bytes('one')], [2, bytes('zwei')], [3, bytes('drei')]]);
      expect(plain(await store.read('x'))).toEqual(
        plain({ revision: third, head: bytes('third'), slots }),
      );
    });

    test('exactly one of concurrent changes wins', async () => {
      let revision = (await create('x'))!;
      for (let round = 0; round < 20; round++) {
        const wins = await Promise.all(
          Array.from({ length: 8 }, (_, k) => store.change('x', revision, parts(`${k}`))),
        );
        expect(wins.filter(Boolean)).toHaveLength(1);
        const head = Buffer.from((await store.read('x'))!.head).toString();
        expect(head).toBe(`${wins.findIndex(Boolean)}`);
        revision = wins.find(Boolean)!;
      }
    });

    test('a tombstone has its head and no slots, and no change is applied to it', async () => {
      const first = (await create('x', HOUR_MS, MODEL.id, { 1: 'one' }))!;
      const second = (await store.change('x', first, parts('next')))!;
      expect(await store.writeTombstone('x', first, bytes('gone'), HOUR_MS)).toBe(false);
      expect(await store.writeTombstone('x', second, bytes('gone'), HOUR_MS)).toBe(true);
      const record = await store.read('x');
      expect(Buffer.from(record!.head).toString()).toBe('gone');
      expect(record!.slots.size).toBe(0);
      expect(await store.change('x', record!.revision, parts('alive?'))).toBeUndefined();
      expect(await store.writeTombstone('x', record!.revision, bytes('again'), 0)).toBe(false);
      expect(await store.list(undefined, 10)).toEqual([]);
      expect(await store.count()).toBe(0);
    });

    test('tombstones are forgotten, and never a live record', async () => {
      const revision = (await create('x'))!;
      await store.forget('x');
      expect(await store.read('x')).toBeDefined();
      await store.writeTombstone('x', revision, bytes('gone'), 5);
      await store.forget('x');
      await store.forget('x');
      expect(await store.read('x')).toBeUndefined();
      expect(await store.due(HOUR_MS, 10)).toEqual([]);
    });

    test('ids that are due are returned, earliest first, up to the limit', async () => {
      const c = (await create('c', 300))!;
      await create('a', 100);
      const b = (await create('b', 200))!;
      await create('d', 400);
      expect(await store.due(99, 10)).toEqual([]);
      expect(await store.due(300, 10)).toEqual(['a', 'b', 'c']);
      expect(await store.due(300, 2)).toEqual(['a', 'b']);
      expect(await store.due(300, 10)).toEqual(['a', 'b', 'c']);
      await store.postpone('a', 350);
      await store.change('b', b, parts('a change is not a postponement'));
      await store.writeTombstone('c', c, bytes('gone'), 250);
      expect(await store.due(400, 10)).toEqual(['b', 'c', 'a', 'd']);
      await store.forget('c');
      await store.postpone('a', HOUR_MS);
      expect(await store.due(400, 10)).toEqual(['b', 'd']);
    });

    test('live records are listed by id, page by page', async () => {
      const ids = ['Zz', '-a', '_b', '0c', 'ab', 'aa', 'A-'];
      for (const id of ids) await create(id);
      await store.writeTombstone('gone', (await create('gone'))!, bytes('gone'), HOUR_MS);
      const sorted = ids.toSorted();
      const listed = await store.list(undefined, 100);
      expect(listed.map(({ id }) => id)).toEqual(sorted);
      expect(Buffer.from(listed[0]!.head).toString()).toBe(`head of ${sorted[0]}`);
      const pages: string[] = [];
      for (let after: string | undefined; ; ) {
        const page = await store.list(after, 3);
        pages.push(...page.map(({ id }) => id));
        if (page.length < 3) break;
        after = pages.at(-1);
      }
      expect(pages).toEqual(sorted);
      expect(await store.count()).toBe(ids.length);
    });

    test('live records that pin a model are listed, page by page', async () => {
      for (const id of ['d', 'a', 'c', '-b', 'Ze']) await create(id);
      for (const id of ['b', 'A', 'zz']) await create(id, HOUR_MS, OTHER.id);
      await store.writeTombstone('gone', (await create('gone'))!, bytes('gone'), HOUR_MS);
      const idsOf = async (after: string | undefined, limit: number, modelId: string) =>
        (await store.list(after, limit, modelId)).map(({ id }) => id);
      expect(await idsOf(undefined, 10, MODEL.id)).toEqual(['-b', 'Ze', 'a', 'c', 'd']);
      expect(await idsOf(undefined, 2, MODEL.id)).toEqual(['-b', 'Ze']);
      expect(await idsOf('Ze', 2, MODEL.id)).toEqual(['a', 'c']);
      expect(await idsOf('b', 2, MODEL.id)).toEqual(['c', 'd']);
      expect(await idsOf(undefined, 10, OTHER.id)).toEqual(['A', 'b', 'zz']);
      expect(await idsOf(undefined, 10, 'sha256:none')).toEqual([]);
      const [first] = await store.list(undefined, 1, OTHER.id);
      expect(Buffer.from(first!.head).toString()).toBe('head of A');
    });

    modelContract(() => store);

    const testIfKept = reopen ? test : () => {};

    testIfKept('its secret is the same when it is opened again', async () => {
      const secret = await store.secret();
      expect(secret.length).toBeGreaterThan(20);
      await store.close();
      store = await reopen!();
      expect(await store.secret()).toBe(secret);
    });

    testIfKept('gives back everything after it was closed', async () => {
      await store.models.point('name', MODEL.id);
      const x = (await create('x', 100, MODEL.id, { 3: 'three' }))!;
      await store.change('x', x, parts('second', { 4: 'four' }));
      const y = (await create('y', 200))!;
      await store.writeTombstone('y', y, bytes('gone'), 50);
      const before = [plain(await store.read('x')), plain(await store.read('y'))];
      await store.close();
      store = await reopen!();
      expect([plain(await store.read('x')), plain(await store.read('y'))]).toEqual(before);
      expect(await store.due(HOUR_MS, 10)).toEqual(['y', 'x']);
      expect(await store.count()).toBe(1);
      expect((await store.list(undefined, 10)).map(({ id }) => id)).toEqual(['x']);
      expect(await store.models.ids()).toEqual([MODEL.id, OTHER.id]);
      expect(await store.models.names()).toEqual(new Map([['name', MODEL.id]]));
      expect(await store.models.remove(MODEL.id)).toBe(false);
    });

    test('random calls have the results of a plain map', async () => {
      let run = 0;
      await fc.assert(
        fc.asyncProperty(randomCalls, async (calls) => {
          const prefix = `${run++}-`;
          const plainStore = new Map<string, PlainRecord>();
          const revisions = new Map<string, string[]>();
          let count = 0;
          for (const next of calls) {
            const key = prefix + next.id;
            const text = `${count++}`;
            const expected = applyPlainly(plainStore, key, next, text);
            expect(await applyTo(store, MODEL.id, revisions, key, next, text)).toBe(expected);
          }
          for (const [key, record] of plainStore) {
            const stored = await store.read(key);
            expect(Buffer.from(stored!.head).toString()).toBe(record.head);
            expect(new Set(stored!.slots.keys())).toEqual(new Set(record.slots.keys()));
            for (const [slot, text] of record.slots) {
              expect(Buffer.from(stored!.slots.get(slot)!).toString()).toBe(text);
            }
          }
          const due = (await store.due(5, 10_000)).filter((key) => key.startsWith(prefix));
          const expected = [...plainStore].filter(([, { dueAtMs }]) => dueAtMs <= 5);
          expect(new Set(due)).toEqual(new Set(expected.map(([key]) => key)));
          const listed = await store.list(undefined, 10_000);
          const live = [...plainStore].filter(([, { isLive }]) => isLive).map(([key]) => key);
          expect(
            listed.map(({ id: key }) => key).filter((key) => key.startsWith(prefix)),
          ).toEqual(live.toSorted());
          // Erased, as what is left would make later runs slower.
          for (const [key, { isLive }] of plainStore) {
            if (isLive) await store.writeTombstone(key, (await store.read(key))!.revision, bytes(''), 0);
            await store.forget(key);
          }
        }),
        { numRuns: 60 },
      );
    });
  });
}
