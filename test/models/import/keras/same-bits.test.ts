// A file of Keras has the bits of the layers that were written to it, whatever version wrote it.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Layer } from '../../../../src/layers.ts';
import { importFound } from '../../../../src/models/import/checkpoint.ts';
import { readKeras } from '../../../../src/models/import/keras/read-keras.ts';
import { modelId } from '../../../../src/models/model-id.ts';
import { readModelFile } from '../../../../src/models/model-file.ts';
import { kerasBiases, randomLayers, randomOf } from '../../../helpers/framework-files.ts';
import { STYLES, type Style, kerasFile } from '../../../helpers/keras-files.ts';
import { kerasLayers } from '../../../helpers/keras-layers.ts';
import { runs, sample } from '../../../helpers/long.ts';
import { layersInJson, layersOf } from '../../../helpers/model-layers.ts';
import { fc } from '../../../helpers/seed.ts';

const idOf = async (file: Uint8Array) => modelId(layersOf(importFound(await readKeras(file)).layers));

const styles = Object.keys(STYLES) as Style[];
const fixtures = join(import.meta.dirname, '../../../fixtures');
const cells = readdirSync(join(fixtures, 'cells')).map((name) => name.replace('.json', ''));
const demos = join(import.meta.dirname, '../../../../src/models/demo');

describe('a file that h5py wrote', () => {
  test.each(sample([
    'lstm-two-layers.keras', 'scaled-forecast.keras', 'lstm-bidirectional.keras', 'rnn-three-layers.keras', 'lstm-tails.h5',
    'gru-reset-before.h5', 'rnn-relu.h5', 'gru-tails.h5',
  ], 3))('%s', async (file) => {
    const { layers } = JSON.parse(readFileSync(join(fixtures, 'cells', file.replace(/\.\w+$/, '.json')), 'utf8'));
    expect(await idOf(readFileSync(join(fixtures, 'keras', file)))).toBe(modelId(layersInJson(layers)));
  });
});

describe('in every layout', () => {
  test.each(sample(cells, 7))('%s', async (name) => {
    const layers = layersInJson(JSON.parse(readFileSync(join(fixtures, 'cells', `${name}.json`), 'utf8')).layers);
    const written = kerasLayers(layers);
    for (const style of styles) expect(await idOf(await kerasFile(style, written)), style).toBe(modelId(layers));
  });

  test.each(sample(['sunspots', 'weather', 'austen'], 1))('the built-in model %s', async (name) => {
    const layers = layersOf(readModelFile(readFileSync(join(demos, `${name}.safetensors`))).layers);
    const written = kerasLayers(layers);
    for (const style of styles) expect(await idOf(await kerasFile(style, written)), style).toBe(modelId(layers));
  });

  test('random stacks of layers', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), fc.constantFrom(...styles), async (seed, style) => {
        const layers = layersInJson(randomLayers(randomOf(seed), { biasesOf: kerasBiases }));
        expect(await idOf(await kerasFile(style, kerasLayers(layers)))).toBe(modelId(layers));
      }),
      { numRuns: runs(80) },
    );
  });

  test('control: another bit has another id', async () => {
    const layers = layersInJson(JSON.parse(readFileSync(join(fixtures, 'cells', 'gru-tails.json'), 'utf8')).layers);
    const id = modelId(layers);
    const [gru] = layers as [Extract<Layer, { type: 'gru' }>];
    gru.weights.W_h[0]! += 2 ** -20;
    expect(await idOf(await kerasFile('a .h5 of Keras 3', kerasLayers(layers)))).not.toBe(id);
  });
});
