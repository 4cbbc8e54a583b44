import { describe, expect, test } from 'vitest';
import { BlockCopy } from '../../src/http/bodies/block-copy.ts';
import { ByteBlock } from '../../src/wasm/byte-block.ts';
import { LinearMemory } from '../../src/wasm/memory.ts';

const BYTES = 600_000;

function blocks() {
  const memory = new LinearMemory(16 * 1024 * 1024);
  const source = new ByteBlock(memory, BYTES);
  const start = Uint8Array.from(Array.from({ length: BYTES }), (_, i) => i % 251);
  source.append(start);
  const target = new ByteBlock(memory, 4 * BYTES);
  return { memory, source, start, target };
}

describe('a block that is copied to a larger one in slices', () => {
  test('the copy has all bytes in their order, also those that arrive meanwhile', () => {
    const { source, start, target } = blocks();
    const copy = new BlockCopy(source, target);
    const chunks = [Buffer.alloc(70_000, 1), Buffer.alloc(70_000, 2), Buffer.alloc(70_000, 3)];
    const isCopied = chunks.map((chunk) => {
      target.append(chunk);
      return copy.next();
    });
    expect(isCopied).toEqual([false, false, true]);
    expect(target.view().equals(Buffer.concat([start, ...chunks]))).toBe(true);
  });

  test.each([
    ['copied', 3],
    ['given up', 1],
  ])('the first block is freed once, %s', (_, slices) => {
    const { memory, source, target } = blocks();
    const copy = new BlockCopy(source, target);
    for (let slice = 0; slice < slices; slice++) copy.next();
    copy[Symbol.dispose]();
    copy[Symbol.dispose]();
    target.release();
    expect(memory.bytesUsed).toBe(0);
  });
});
