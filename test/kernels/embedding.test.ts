// Row numbers of an embedding that do not exist. Requests with such numbers are refused; should one come through all the
// same, the kernels read the last row, and nothing outside of the model.
import { expect, test } from 'vitest';
import type { LayerSpec } from '../../src/layers.ts';
import { Job } from '../../src/wasm/job.ts';
import { placeModel } from '../../src/wasm/packed-model.ts';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';
import { randomLayers } from '../../src/wasm/random-layers.ts';
import { kernels, memory } from '../helpers/kernels.ts';
import { bitsOfJob, differences } from '../helpers/stack-cases.ts';

const V = 5;
const D = 3;
const lstm = { type: 'lstm', D, H: 4, direction: 'forward' } as const;
const wide = { type: 'gru', reset: 'before', D, H: 100, direction: 'bidirectional' } as const;
const relu = { type: 'dense', I: D, O: D, activation: 'relu' } as const;
const affine = { type: 'affine', D } as const;

/** What reads the rows of the embedding. */
const READERS: [name: string, layers: readonly LayerSpec[]][] = [
  ['a narrow lstm', [lstm]],
  ['a wide gru in both directions', [wide]],
  ['a dense layer', [relu, lstm]],
  ['an affine layer, then a dense one', [affine, relu, lstm]],
];

function computed(layers: readonly LayerSpec[], ids: readonly number[], T: number) {
  const model = placeModel(memory, randomLayers([{ type: 'embedding', V, D }, ...layers], pseudoRandom(1)));
  const job = new Job(memory, model, { T, N: ids.length / T, keepsStates: true, trace: true });
  job.ids.set(ids);
  kernels.run(job.ptr);
  const bits = bitsOfJob(job);
  job.release();
  memory.free(model.ptr);
  return bits;
}

// Times the 32 bytes of a row, some of them wrap around to addresses inside of the memory.
const BEYOND = [V, V + 1, 0x7fff_ffff, 0x8000_0000, 0x8000_0001, 0xffff_ffff];

test.each(READERS)('%s takes a row number beyond V for the last row', (_, layers) => {
  for (const T of [1, 2]) {
    const last = computed(layers, BEYOND.map(() => V - 1), T);
    expect(differences(computed(layers, BEYOND, T), last)).toEqual([]);
    // Control: the row before it gives other results.
    expect(differences(computed(layers, BEYOND.map(() => V - 2), T), last)).toContain('hs');
  }
});
