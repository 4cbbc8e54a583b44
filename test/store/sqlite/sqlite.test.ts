// The SQLite store: the contract, group commit, and its limits.
import { statSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { storeContract } from '../contract.ts';
import { sized } from '../../helpers/long.ts';
import { create, headOf, lastPath, newPath, open, outcomeOf, parts, putModel, threadFixture } from './helpers.ts';

storeContract('sqlite', { open: () => open(), reopen: () => open(lastPath()) });

describe('group commit', () => {
  test('many calls share few commits, and a conflict is the outcome of its call alone', async () => {
    const commits = threadFixture('counting-commits');
    const store = await open(newPath(), { entry: commits });
    await putModel(store);
    const first = await Promise.all(Array.from({ length: 50 }, (_, k) => create(store, `s${k}`)));
    const before = (await store.models.get('commits'))!.createdAtMs;
    const outcomes = await Promise.all(
      Array.from({ length: 500 }, (_, i) =>
        // Ten changes of each session in order; every fifth session is changed at a wrong revision.
        store.change(`s${i % 50}`, `${Number(first[i % 50]) + Math.floor(i / 50) + (i % 5 === 0 ? 1 : 0)}`, parts(`${i}`)),
      ),
    );
    const commitsCount = (await store.models.get('commits'))!.createdAtMs - before;
    expect(commitsCount).toBeLessThanOrEqual(5);
    outcomes.forEach((done, i) => expect(done !== undefined, `${i}`).toBe(i % 5 !== 0));
    expect(await headOf(store, 's1')).toBe('451');
    expect(await headOf(store, 's0')).toBe('s0');
    await store.close();
  });

  test('calls are executed in their order', async () => {
    const store = await open();
    await putModel(store);
    const first = Number(await create(store, 'a'));
    const answers = await Promise.all([
      create(store, 'b').then((revision) => revision !== undefined),
      headOf(store, 'b'),
      store.change('a', String(first), parts('first')),
      headOf(store, 'a'),
      store.count(),
      store.writeTombstone('a', String(first + 1), Buffer.from('gone'), 0),
      store.count(),
      store.due(0, 10),
    ]);
    expect(answers).toEqual([true, 'b', String(first + 1), 'first', 2, true, 1, ['a']]);
    await store.close();
  });

  test('closing completes the calls that were made and refuses later ones', async () => {
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

  test('a full queue refuses calls at once, and accepts them again when it is shorter', async () => {
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

  test('checkpoints keep the WAL short while much is written', async () => {
    const store = await open();
    await putModel(store);
    const first = Number(await create(store, 'a'));
    const CHANGES = sized({ short: 50, long: 150 });
    const slot = Buffer.alloc(500_000);
    for (let k = 0; k < CHANGES; k++) {
      await store.change('a', String(first + k), { head: slot, slots: new Map([[k % 2, slot]]) });
    }
    // Each wrote 1 MB; a checkpoint is made at 4 MB, and the WAL is truncated to 8 MB.
    expect(statSync(`${lastPath()}-wal`).size).toBeLessThanOrEqual(8 * 2 ** 20);
    expect(statSync(lastPath()).size).toBeLessThan(4 * 2 ** 20);
    await store.close();
  });
});
