import { describe, expect, test } from 'vitest';
import { toJsonSegments } from '../../src/codec/response-body.ts';
import { JsonCodec } from '../../src/engine/json-codec.ts';
import { LinearMemory } from '../../src/wasm/memory.ts';
import { kernels } from '../helpers/kernels.ts';
import { lifetimeOf } from '../helpers/lifetime.ts';

/** Numbers of a tensor: enough for the kernel on the calling thread, and for a job of the scheduler. */
const COUNTS = [400, 4_000];

function codecThatFails() {
  const memory = new LinearMemory(16 * 1024 * 1024);
  const fail = () => {
    throw new Error('trapped');
  };
  const jsonCodec = new JsonCodec({
    memory,
    kernels: { ...kernels, countCommas: () => 5_000, run: fail },
    scheduler: { run: async () => fail() },
  });
  return { memory, jsonCodec, bytesIdle: memory.bytesUsed };
}

describe.each(COUNTS)('a kernel that fails, at %i numbers', (count) => {
  const numbers = Array.from({ length: count }, (_, i) => i + 0.5);

  test('no memory is leaked when reading fails', async () => {
    const { memory, jsonCodec, bytesIdle } = codecThatFails();
    const body = Buffer.from(JSON.stringify({ x: numbers }));
    const text = jsonCodec.allocate(body.length);
    text.append(body);
    await expect(async () => jsonCodec.parse(text, lifetimeOf())).rejects.toThrow('trapped');
    expect(memory.bytesUsed).toBe(bytesIdle);
  });

  test('no memory is leaked when printing fails', async () => {
    const { memory, jsonCodec, bytesIdle } = codecThatFails();
    const h = { shape: [count], strides: [1], data: Float32Array.from(numbers) };
    await expect(async () => jsonCodec.stringify(toJsonSegments({ tensors: { h } }), lifetimeOf())).rejects.toThrow('trapped');
    expect(memory.bytesUsed).toBe(bytesIdle);
  });
});
