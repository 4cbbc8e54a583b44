import { describe, expect, test } from 'vitest';
import { modelId } from '../../src/models/model-id.ts';
import { ModelRegistry } from '../../src/models/registry.ts';
import { tanhLayers, tanhSpecs } from '../../src/layers.ts';
import { LinearMemory } from '../../src/wasm/memory.ts';
import { packedModelBytes } from '../../src/wasm/packed-model.ts';
import { randomRecurrence } from '../helpers/recurrence.ts';

const layers = (seed: number, more?: typeof readout) =>
  tanhLayers(randomRecurrence({ T: 1, N: 1, D: 8, H: 16 }, seed).weights, more);
const bytes = packedModelBytes(tanhSpecs({ D: 8, H: 16, O: 0 }));
const readout = { O: 1, W_y: new Float32Array(16).fill(0.5), b_y: new Float32Array(1) };

function create(bytesMax = 10 * bytes, countMax = 100) {
  const memory = new LinearMemory(16 * 1024 * 1024);
  const now = () => new Date('2026-01-02T03:04:05Z');
  return { memory, registry: new ModelRegistry(memory, { bytesMax, countMax, now }) };
}
const code = (name: string) => expect.objectContaining({ code: name });

describe('the registry', () => {
  test('the same weights have the same id, and are packed once', () => {
    const { memory, registry } = create();
    const first = registry.register(layers(1), { name: 'a' });
    const used = memory.bytesUsed;
    const second = registry.register(layers(1), { name: 'b' });
    expect(first.created).toBe(true);
    expect(second.created).toBe(false);
    expect(second.info.id).toBe(first.info.id);
    expect(second.info.id).toBe(modelId(layers(1)));
    expect(second.info.names).toEqual(['a', 'b']);
    expect(memory.bytesUsed).toBe(used);
    expect(first.info).toMatchObject({ D: 8, H: 16, created_at: '2026-01-02T03:04:05.000Z' });
    expect(first.info).not.toHaveProperty('O');
  });

  test('the id depends on the readout', () => {
    const { registry } = create();
    const plain = registry.register(layers(1));
    const read = registry.register(layers(1, readout));
    expect(read.created).toBe(true);
    expect(read.info.id).not.toBe(plain.info.id);
    expect(read.info.O).toBe(1);
  });

  test('a name can be pointed to another model, and registration under a name in use is refused', () => {
    const { registry } = create();
    const one = registry.register(layers(1), { name: 'live' }).info;
    expect(() => registry.register(layers(2), { name: 'live' })).toThrow(code('name_taken'));
    const two = registry.register(layers(2)).info;
    registry.point('live', two.id);
    expect(registry.info('live').id).toBe(two.id);
    expect(registry.info(one.id).names).toEqual([]);
    expect(() => registry.point('live', 'nobody')).toThrow(code('model_not_found'));
  });

  test('the registry is limited in bytes, and its error names the limit', () => {
    const { memory, registry } = create(2 * bytes);
    registry.register(layers(1));
    registry.register(layers(2));
    const used = memory.bytesUsed;
    expect(() => registry.register(layers(3))).toThrow(code('models_full'));
    expect(memory.bytesUsed).toBe(used);
    registry.delete(registry.list().models[0]!.id);
    registry.register(layers(3));
    expect(registry.list().models).toHaveLength(2);
  });

  test('the registry is limited in models and in names', () => {
    const { memory, registry } = create(10 * bytes, 2);
    registry.register(layers(1), { name: 'a' });
    registry.register(layers(2));
    const used = memory.bytesUsed;
    expect(() => registry.register(layers(3))).toThrow(code('models_full'));
    expect(memory.bytesUsed).toBe(used);
    registry.point('b', 'a');
    expect(() => registry.point('c', 'a')).toThrow(code('models_full'));
    expect(() => registry.register(layers(2), { name: 'd' })).toThrow(code('models_full'));
    registry.point('b', registry.list().models[1]!.id);
    expect(registry.list().models.map(({ names }) => names)).toEqual([['a'], ['b']]);
  });

  test('the weights of a deleted model stay in memory until the last job has released them', () => {
    const { memory, registry } = create();
    const { id } = registry.register(layers(1), { name: 'a' }).info;
    const [one, two] = [registry.lease('a'), registry.lease(id)];
    registry.delete('a');
    expect(() => registry.info(id)).toThrow(code('model_not_found'));
    expect(() => registry.lease('a')).toThrow(code('model_not_found'));
    one.release();
    expect(memory.bytesUsed).toBeGreaterThan(0);
    two.release();
    expect(memory.bytesUsed).toBe(0);
  });
});
