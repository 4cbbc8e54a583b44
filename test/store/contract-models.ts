// What every store must do with models (src/store/store.ts), and with the records that pin them.
import { expect, test } from 'vitest';
import type { SessionStore } from '../../src/store/store.ts';
import { HOUR_MS, MODEL, OTHER, bytes, codeOf, createIn } from './contract-fixtures.ts';

/** @param opened the store of the test that runs, with MODEL and OTHER */
export function modelContract(opened: () => SessionStore): void {
  const create = (id: string, dueAtMs?: number, modelId?: string) => createIn(opened(), id, dueAtMs, modelId);

  test('models are kept, once, oldest first', async () => {
    await opened().models.put({ ...MODEL, createdAtMs: 5_000, isKept: true });
    const kept = (await opened().models.get(MODEL.id))!;
    expect({ ...kept, file: Buffer.from(kept.file).toString() }).toEqual({
      ...MODEL,
      file: 'weights',
    });
    expect(await opened().models.ids()).toEqual([MODEL.id, OTHER.id]);
    expect(await opened().models.get('sha256:none')).toBeUndefined();
  });

  test('names point to models, and can be pointed to others', async () => {
    await opened().models.point('second', OTHER.id);
    await opened().models.point('first', MODEL.id);
    await opened().models.point('second', MODEL.id);
    expect(await opened().models.names()).toEqual(
      new Map([
        ['second', MODEL.id],
        ['first', MODEL.id],
      ]),
    );
    expect(await codeOf(opened().models.point('third', 'sha256:none'))).toBe('model_not_found');
  });

  test('a model whose last name is taken away is not kept, and collected when no session pins it', async () => {
    await opened().models.point('one', MODEL.id);
    await opened().models.point('two', MODEL.id);
    await opened().models.point('other', OTHER.id);
    expect(await opened().models.unpoint(MODEL.id, ['one', 'other', 'none'])).toBe(true);
    expect(await opened().models.names()).toEqual(new Map([['two', MODEL.id], ['other', OTHER.id]]));
    expect(await opened().models.collect(MODEL.id), 'still named').toBe(false);
    const x = (await create('x'))!;
    expect(await opened().models.unpoint(MODEL.id, ['two'])).toBe(false);
    expect((await opened().models.get(MODEL.id))!.isKept).toBe(false);
    expect(await opened().models.collect(MODEL.id), 'still pinned').toBe(false);
    await opened().writeTombstone('x', x, bytes('gone'), HOUR_MS);
    expect(await opened().models.collect(MODEL.id)).toBe(true);
    expect(await opened().models.ids()).toEqual([OTHER.id]);
    await opened().models.unpoint(OTHER.id, ['other']);
    await opened().models.point('again', OTHER.id);
    expect(await opened().models.collect(OTHER.id), 'kept by a new name').toBe(false);
  });

  test('a model is removed with its names, unless a live record pins it', async () => {
    await opened().models.point('pinned', MODEL.id);
    await opened().models.point('free', OTHER.id);
    const [x, y] = [(await create('x'))!, (await create('y'))!];
    expect(await opened().models.remove(OTHER.id)).toBe(true);
    expect(await opened().models.remove(MODEL.id)).toBe(false);
    await opened().writeTombstone('x', x, bytes('gone'), HOUR_MS);
    expect(await opened().models.remove(MODEL.id)).toBe(false);
    expect(await opened().models.names()).toEqual(new Map([['pinned', MODEL.id]]));
    await opened().writeTombstone('y', y, bytes('gone'), HOUR_MS);
    expect(await opened().models.remove(MODEL.id)).toBe(true);
    expect(await opened().models.ids()).toEqual([]);
    expect((await opened().models.names()).size).toBe(0);
    expect(await codeOf(create('z'))).toBe('model_not_found');
  });

  test('a model that is not kept is collected when no session pins it any more', async () => {
    const id = `sha256:${'d'.repeat(64)}`;
    const inline = { id, file: bytes('inline'), createdAtMs: 3_000, isKept: false };
    await opened().models.put(inline);
    const x = (await create('x', HOUR_MS, id))!;
    const y = (await create('y', HOUR_MS, id))!;
    expect(await opened().models.collect(id)).toBe(false);
    await opened().writeTombstone('x', x, bytes('gone'), HOUR_MS);
    expect(await opened().models.collect(id)).toBe(false);
    await opened().writeTombstone('y', y, bytes('gone'), HOUR_MS);
    expect((await opened().models.get(id))!.isKept).toBe(false);
    expect(await opened().models.collect(id)).toBe(true);
    expect(await opened().models.collect(id)).toBe(true);
    expect(await opened().models.get(id)).toBeUndefined();
    expect(await opened().models.ids()).toEqual([MODEL.id, OTHER.id]);
    expect(await codeOf(create('z', HOUR_MS, id))).toBe('model_not_found');
  });

  test('a model that was put or named by itself is kept, also one that came with a session', async () => {
    const named = { id: `sha256:${'d'.repeat(64)}`, file: bytes('d'), createdAtMs: 3_000, isKept: false };
    const put = { id: `sha256:${'e'.repeat(64)}`, file: bytes('e'), createdAtMs: 4_000, isKept: false };
    await opened().models.put(named);
    await opened().models.put(put);
    await opened().models.point('name', named.id);
    await opened().models.put({ ...put, isKept: true });
    await opened().models.put(put);
    for (const { id } of [MODEL, named, put]) {
      expect(await opened().models.collect(id)).toBe(false);
      expect((await opened().models.get(id))!.isKept).toBe(true);
    }
  });
}
