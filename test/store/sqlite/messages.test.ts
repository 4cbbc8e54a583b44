// What passes between the SQLite store and its thread.
import { describe, expect, test } from 'vitest';
import { packRequests, unpackRequests } from '../../../src/store/sqlite/messages.ts';
import { pseudoRandom } from '../../../src/wasm/pseudo-random.ts';
import { MODEL_ID, open, putModel } from './helpers.ts';

describe('messages', () => {
  test('messages hold the requests that were packed, in their order', () => {
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

  test('a large file is transferred without copying it, in its order', () => {
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

  test('messages hold the bytes of a view, and not the buffer that it is a view of', async () => {
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
