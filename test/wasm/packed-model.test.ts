import { expect, test } from 'vitest';
import { tanhLayers } from '../../src/layers.ts';
import { LinearMemory } from '../../src/wasm/memory.ts';
import { packModel, packModelInSlices, packedModelBytes } from '../../src/wasm/packed-model.ts';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';

const random = pseudoRandom(3);
const numbers = (count: number) => Float32Array.from({ length: count }, () => random());

test.each([
  [90, 7, 0],
  [100, 33, 17],
  [1_000, 520, 9],
  [3, 700, 300],
])('D = %s, H = %s, O = %s is packed in slices as at once', async (D, H, O) => {
  const memory = new LinearMemory(32 * 1024 * 1024);
  const weights = { D, H, W_x: numbers(D * H), W_h: numbers(H * H), b: numbers(H) };
  const layers = tanhLayers(weights, O === 0 ? undefined : { O, W_y: numbers(H * O), b_y: numbers(O) });
  const bytes = packedModelBytes(layers);
  const [atOnce, inSlices] = [memory.allocate(bytes), memory.allocate(bytes)];
  for (const ptr of [atOnce, inSlices]) memory.f32(ptr, bytes / 4).fill(NaN);
  const { buffer } = memory.u32(atOnce, 1);
  packModel(layers, buffer, atOnce);
  await packModelInSlices(layers, buffer, inSlices);
  expect(Buffer.compare(Buffer.from(memory.u8(atOnce, bytes)), Buffer.from(memory.u8(inSlices, bytes)))).toBe(0);
});
