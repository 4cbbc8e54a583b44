// A copy of the file while calls come without a pause: neither waits for the other to end.
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { expect, test } from 'vitest';
import { create, headOf, newPath, open, outcomeOf, parts, putModel } from './helpers.ts';

const CALLERS = 16;
/** With it the copy has 8 steps. */
const FILLING_BYTES = 4 * 2 ** 20;
const COPIES_MAX = 20;

function emptyFile(): string {
  const path = newPath();
  mkdirSync(dirname(path), { recursive: true });
  closeSync(openSync(path, 'wx'));
  return path;
}

async function filledStore() {
  const store = await open();
  await putModel(store);
  await store.models.put({ id: 'sha256:large', file: new Uint8Array(FILLING_BYTES), createdAtMs: 0, isKept: true });
  const ids = Array.from({ length: CALLERS }, (_, k) => `s${k}`);
  for (const id of ids) await create(store, id);
  return { store, ids };
}

test('changes are answered while a copy is made, which has each of them as a whole or not at all', async () => {
  const { store, ids } = await filledStore();
  const progress = { isCopied: false };
  const revisions = new Map(ids.map((id) => [id, 0]));
  const callers = ids.map(async (id) => {
    let { revision } = (await store.read(id))!;
    for (let k = 1; !progress.isCopied; k++) {
      const next = await store.change(id, revision, parts(`${id} ${k}`));
      expect(next).toBeDefined();
      revision = next!;
      revisions.set(id, k);
    }
  });
  let [before, after] = [revisions, revisions];
  let copy = '';
  const changed = () => ids.filter((id) => after.get(id)! > before.get(id)! + 1);
  // On a machine with other work this thread may not run while the other one copies.
  for (let attempts = 0; changed().length < ids.length && attempts < COPIES_MAX; attempts++) {
    copy = emptyFile();
    before = new Map(revisions);
    await store.copyTo!(copy);
    after = new Map(revisions);
  }
  progress.isCopied = true;
  await Promise.all(callers);
  expect(changed()).toEqual(ids);
  const copied = await open(copy);
  for (const id of ids) {
    const [, k = 0] = (await headOf(copied, id)).split(' ');
    expect(Number(k)).toBeGreaterThanOrEqual(before.get(id)!);
    expect(Number(k)).toBeLessThanOrEqual(after.get(id)! + 1);
    expect(await headOf(store, id)).toBe(`${id} ${revisions.get(id)}`);
  }
  await Promise.all([store.close(), copied.close()]);
});

test('a store that is closed ends its copy', async () => {
  const { store } = await filledStore();
  const copied = outcomeOf(store.copyTo!(emptyFile()));
  await store.close();
  expect(await copied).toBe('store_unavailable no');
  expect(await outcomeOf(store.copyTo!('/never'))).toBe('store_unavailable no');
});
