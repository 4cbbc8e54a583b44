import { describe, expect, test } from 'vitest';
import { modelId } from '../../src/models/model-id.ts';
import { WeightsCache } from '../../src/models/weights-cache.ts';
import { tanhLayers, tanhSpecs } from '../../src/layers.ts';
import { LinearMemory } from '../../src/wasm/memory.ts';
import { packedModelBytes } from '../../src/wasm/packed-model.ts';
import { buildApp } from '../helpers/app.ts';
import { randomRecurrence } from '../helpers/recurrence.ts';

const weights = (seed: number) => randomRecurrence({ T: 1, N: 1, D: 8, H: 16 }, seed).weights;
const layers = (seed: number) => tanhLayers(weights(seed));
const idOf = (W: ReturnType<typeof weights>) => modelId(tanhLayers(W));
const bytes = packedModelBytes(tanhSpecs({ D: 8, H: 16, O: 0 }));

describe('the cache of inline weights', () => {
  test('the cache packs the same weights once and stays within its bytes', () => {
    const memory = new LinearMemory(16 * 1024 * 1024);
    const cache = new WeightsCache(memory, 3 * bytes);
    for (let round = 0; round < 5; round++) {
      for (let seed = 0; seed < 3; seed++) cache.acquire(layers(seed)).release();
    }
    expect(cache.packedCount).toBe(3);
    expect(cache.bytes).toBe(3 * bytes);
    for (let seed = 0; seed < 50; seed++) {
      cache.acquire(layers(seed)).release();
      expect(cache.bytes).toBeLessThanOrEqual(3 * bytes);
    }
    expect(memory.bytesUsed).toBe(cache.bytes);
  });

  test('the cache frees memory for allocations that need it, but not what a job reads', () => {
    const memory = new LinearMemory(2 * 1024 * 1024);
    const cache = new WeightsCache(memory, memory.bytesMax);
    const held = cache.acquire(layers(0));
    for (let seed = 1; cache.bytes + bytes < memory.bytesMax - 65_536; seed++) {
      cache.acquire(layers(seed)).release();
    }
    const job = memory.allocate(1024 * 1024);
    expect(cache.bytes).toBeGreaterThan(0);
    expect(cache.bytes).toBeLessThan(1024 * 1024);
    const { packedCount } = cache;
    expect(cache.acquire(layers(0)).model).toBe(held.model);
    expect(cache.packedCount).toBe(packedCount);
    expect(() => memory.allocate(1024 * 1024)).toThrow(
      expect.objectContaining({ code: 'memory_full' }),
    );
    memory.free(job);
  });

  test('the least recently used weights are evicted, and never those that a job still reads', () => {
    const cache = new WeightsCache(new LinearMemory(16 * 1024 * 1024), 2 * bytes);
    const held = cache.acquire(layers(0));
    cache.acquire(layers(1)).release();
    cache.acquire(layers(2)).release();
    cache.acquire(layers(3)).release();
    expect(cache.packedCount).toBe(4);
    const again = cache.acquire(layers(0));
    expect(cache.packedCount).toBe(4);
    expect(again.model.ptr).toBe(held.model.ptr);
    held.release();
    again.release();
    cache.acquire(layers(2)).release();
    expect(cache.packedCount).toBe(5);
  });

  test('weights larger than the whole cache are held only while they are used', () => {
    const memory = new LinearMemory(16 * 1024 * 1024);
    const cache = new WeightsCache(memory, 0);
    const lease = cache.acquire(layers(0));
    expect(cache.bytes).toBe(bytes);
    lease.release();
    expect(cache.bytes).toBe(0);
    expect(memory.bytesUsed).toBe(0);
  });

  test('a second request with the same weights packs nothing', async () => {
    const app = await buildApp();
    const body = { weights: { W_x: [[1, 2]], W_h: [[1, 2], [3, 4]], b: [0, 0] }, x: [[1]] };
    const first = await app.post('/v1/step', body);
    const unbiased = { W_x: [[1, 2]], W_h: [[1, 2], [3, 4]] };
    const second = await app.post('/v1/step', { ...body, weights: unbiased });
    expect(second.body).toEqual(first.body);
    expect(app.weightsCache.packedCount).toBe(1);
  });
});

describe('the id of weights', () => {
  test('the id depends on every value and on the shape, not on the place in memory', () => {
    const W = weights(1);
    expect(idOf(W)).toMatch(/^sha256:[0-9a-f]{64}$/);
    const copy = { ...W, W_x: Float32Array.from(W.W_x) };
    expect(idOf(copy)).toBe(idOf(W));
    copy.W_x[127]! += 1;
    expect(idOf(copy)).not.toBe(idOf(W));
    const flat = { W_x: new Float32Array(4), W_h: new Float32Array(4), b: new Float32Array(2) };
    expect(idOf({ ...flat, D: 2, H: 2 })).not.toBe(
      idOf({ ...flat, D: 4, H: 2 }),
    );
  });
});
