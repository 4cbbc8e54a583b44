import { expect, test } from 'vitest';
import { MemoryStore } from '../../src/store/memory.ts';
import { storeContract } from './contract.ts';

storeContract('memory', { open: async () => new MemoryStore(1024 * 1024 * 1024) });

test('a full store refuses what does not fit, and accepts what does', async () => {
  const store = new MemoryStore(10_000);
  await store.models.put({ id: 'm', file: new Uint8Array(), createdAtMs: 0, isKept: true });
  const record = (bytes: number) => ({ head: new Uint8Array(bytes), slots: new Map() });
  const first = await store.create('a', record(4_000), 0, 'm');
  await expect(store.create('b', record(9_000), 0, 'm')).rejects.toMatchObject({
    code: 'store_full',
    applied: 'no',
  });
  expect(await store.read('b')).toBeUndefined();
  const second = await store.change('a', first!, record(4_000));
  await store.writeTombstone('a', second!, new Uint8Array(10), 0);
  await store.forget('a');
  expect(await store.create('b', record(9_000), 0, 'm')).toBeDefined();
});
