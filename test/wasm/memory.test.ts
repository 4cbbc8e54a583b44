import { describe, expect, test } from 'vitest';
import { LinearMemory } from '../../src/wasm/memory.ts';
import { fc } from '../helpers/seed.ts';

const MiB = 1024 * 1024;

describe('the linear memory', () => {
  test('allocated blocks never overlap, and freed neighbours are merged', () => {
    const requests = fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 0, max: 200_000 })), {
      minLength: 1,
      maxLength: 200,
    });
    fc.assert(
      fc.property(requests, (steps) => {
        const memory = new LinearMemory(64 * MiB);
        const blocks: { ptr: number; bytes: number }[] = [];
        for (const [free, size] of steps) {
          if (free && blocks.length > 0) {
            const [block] = blocks.splice(size % blocks.length, 1);
            memory.free(block!.ptr);
            continue;
          }
          const ptr = memory.allocate(size);
          expect(ptr % 64).toBe(0);
          expect(ptr).toBeGreaterThan(0);
          for (const other of blocks) {
            expect(ptr + size <= other.ptr || other.ptr + other.bytes <= ptr).toBe(true);
          }
          blocks.push({ ptr, bytes: Math.max(1, size) });
        }
        for (const { ptr } of blocks) memory.free(ptr);
        expect(memory.bytesUsed).toBe(0);
        const grown = memory.bytesGrown;
        memory.allocate(grown - 65_536);
        expect(memory.bytesGrown).toBe(grown);
      }),
      { numRuns: 50 },
    );
  });

  test('an allocation beyond the limit is refused with memory_full, and a later one succeeds', () => {
    const memory = new LinearMemory(2 * MiB);
    const block = memory.allocate(1.5 * MiB);
    expect(() => memory.allocate(MiB)).toThrow(expect.objectContaining({ code: 'memory_full' }));
    memory.free(block);
    expect(memory.allocate(1.5 * MiB)).toBe(block);
  });

  test('the end of every block is an address of 32 bits', () => {
    const memory = new LinearMemory(4096 * MiB);
    const block = memory.allocate(memory.bytesMax - 65_536);
    expect(block + memory.bytesMax - 65_536).toBeLessThan(2 ** 32);
    expect(() => memory.allocate(1)).toThrow(expect.objectContaining({ code: 'memory_full' }));
  });

  test('freeing an address that is not allocated, or twice, is refused', () => {
    const memory = new LinearMemory(2 * MiB);
    const block = memory.allocate(64);
    memory.free(block);
    expect(() => memory.free(block)).toThrow(/not an allocated block/);
  });

  test('views stay valid while the memory grows', () => {
    const memory = new LinearMemory(64 * MiB);
    const view = memory.f32(memory.allocate(16), 4);
    view.set([1, 2, 3, 4]);
    memory.allocate(32 * MiB);
    expect([...view]).toEqual([1, 2, 3, 4]);
    expect(memory.holds(view)).toBe(true);
    expect(memory.holds(memory.u8(0, 1))).toBe(true);
    expect(memory.holds(view.slice())).toBe(false);
    expect(memory.holds(new LinearMemory(MiB).u8(0, 1))).toBe(false);
  });

  test('grown memory is accessible as words and as bytes', () => {
    const memory = new LinearMemory(64 * MiB);
    const early = memory.allocate(64);
    const wordsBefore = memory.words;
    const late = memory.allocate(32 * MiB) + 32 * MiB - 4;
    memory.words[late >>> 2] = 0x0403_0201;
    expect([...memory.bytes.subarray(late, late + 4)]).toEqual([1, 2, 3, 4]);
    // What was asked for before looks at the same memory, as far as it goes.
    wordsBefore[early >>> 2] = 7;
    expect(memory.words[early >>> 2]).toBe(7);
    expect(wordsBefore.length).toBeLessThan(late >>> 2);
  });
});
