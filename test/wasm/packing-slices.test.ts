// A large model is packed in slices, between which the event loop runs.
import { setImmediate as nextIteration } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { Layer, LayerSpec } from '../../src/layers.ts';
import { LinearMemory } from '../../src/wasm/memory.ts';
import { packModel, packModelInSlices, packedModelBytes } from '../../src/wasm/packed-model.ts';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';
import { randomLayers } from '../../src/wasm/random-layers.ts';

const F32 = Float32Array.BYTES_PER_ELEMENT;
const memory = new LinearMemory(32 * 1024 * 1024);

const rnn = (D: number, H: number): LayerSpec => ({ type: 'rnn', activation: 'tanh', direction: 'forward', D, H });
const dense = (I: number, O: number): LayerSpec => ({ type: 'dense', activation: 'linear', I, O });
const LARGE: [name: string, specs: LayerSpec[]][] = [
  ['a narrow rnn', [rnn(90, 6)]],
  ['a small rnn with a readout', [rnn(100, 33), dense(33, 17)]],
  ['an rnn of many inputs', [rnn(1_000, 520), dense(520, 9)]],
  ['an rnn of one input with a large readout', [rnn(3, 700), dense(700, 300)]],
  ['a bidirectional gru', [{ type: 'gru', reset: 'after', direction: 'bidirectional', D: 50, H: 210 }]],
  ['a reversed gru with reset before', [{ type: 'gru', reset: 'before', direction: 'reverse', D: 50, H: 210 }]],
  ['a large embedding with an lstm', [{ type: 'embedding', V: 40_000, D: 19 }, { type: 'lstm', direction: 'forward', D: 19, H: 200 }]],
  ['many layers', Array.from({ length: 20 }, () => ({ type: 'lstm', direction: 'forward', D: 100, H: 100 }))],
  ['an affine layer with a narrow lstm', [{ type: 'affine', D: 9 }, { type: 'lstm', direction: 'forward', D: 9, H: 11 }]],
];

/** Of one slice: W_x and W_h of a layer, each too small to be divided. */
const SLICE_WEIGHTS_MAX = 300_000;

/** How many weights the layers have. */
function weightsOf(layers: readonly Layer[]): number {
  let count = 0;
  for (const layer of layers) {
    const backward = 'backward' in layer ? layer.backward : {};
    const weights = 'weights' in layer ? { ...layer.weights } : layer;
    for (const tensors of [weights, backward ?? {}]) {
      for (const numbers of Object.values<unknown>({ ...tensors })) {
        if (numbers instanceof Float32Array) count += numbers.length;
      }
    }
  }
  return count;
}

/** How many iterations the event loop makes until the work is done. */
async function iterationsOf(work: Promise<void>): Promise<number> {
  const state = { isDone: false };
  const end = work.finally(() => (state.isDone = true));
  let count = 0;
  for (; !state.isDone; count++) await nextIteration();
  await end;
  return count;
}

test.each(LARGE)('%s is packed in slices as at once', async (_, specs) => {
  const layers = randomLayers(specs, pseudoRandom(3));
  const bytes = packedModelBytes(layers);
  const [atOnce, inSlices] = [memory.allocate(bytes), memory.allocate(bytes)];
  for (const ptr of [atOnce, inSlices]) memory.f32(ptr, bytes / F32).fill(NaN);
  const { buffer } = memory.u32(atOnce, 1);
  packModel(layers, buffer, atOnce);
  const iterations = await iterationsOf(packModelInSlices(layers, buffer, inSlices));
  expect(Buffer.compare(Buffer.from(memory.u8(atOnce, bytes)), Buffer.from(memory.u8(inSlices, bytes)))).toBe(0);
  expect(iterations).toBeGreaterThanOrEqual(Math.floor(weightsOf(layers) / SLICE_WEIGHTS_MAX));
  memory.free(atOnce);
  memory.free(inSlices);
});
