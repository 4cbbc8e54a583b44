// A file of torch.save has the id of the same layers in JSON, whatever layers torch can hold.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { importFile } from '../../../../src/models/import-file.ts';
import { readModelFile } from '../../../../src/models/model-file.ts';
import { modelId } from '../../../../src/models/model-id.ts';
import { readSafetensorsFile } from '../../../../src/codec/safetensors/read.ts';
import { type DirectionJson, type LayerJson, randomLayers, randomOf, torchBiases, torchFile } from '../../../helpers/framework-files.ts';
import { runs, sample } from '../../../helpers/long.ts';
import { layersInJson, layersOf } from '../../../helpers/model-layers.ts';
import { fc } from '../../../helpers/seed.ts';
import { type StateDictToWrite, torchArchive } from '../../../helpers/torch-archive.ts';

const cells = join(import.meta.dirname, '../../../fixtures/cells');
const demos = join(import.meta.dirname, '../../../../src/models/demo');
/** Of the fixtures: a reset before, and a reverse layer alone, are not torch's. */
const NOT_OF_TORCH = /reset-before|rnn-reverse/;

/** Both biases or none, as torch has them, and what it does not leave out. */
function ofTorch(layer: LayerJson): LayerJson {
  if (!('W_x' in layer)) return layer;
  const withBiases = <Direction extends DirectionJson>(one: Direction) => (one.b ? { b_h: one.b.map(() => 0), ...one } : one);
  const { backward, activation = 'tanh' } = layer;
  return { ...withBiases(layer), ...(layer.type === 'rnn' && { activation }), ...(backward && { backward: withBiases(backward) }) };
}

async function expectSameId(layers: readonly LayerJson[], seed: number): Promise<void> {
  const file = torchFile(layers.map(ofTorch), randomOf(seed), false);
  const archive = torchArchive(file.tensors as StateDictToWrite);
  const imported = await importFile(archive, { layers: JSON.stringify(file.layers) });
  expect(modelId(layersOf(imported.layers))).toBe(modelId(layersInJson(layers)));
}

test.each(sample(readdirSync(cells).filter((name) => !NOT_OF_TORCH.test(name)), 6))('%s', async (name) => {
  await expectSameId(JSON.parse(readFileSync(join(cells, name), 'utf8')).layers, 1);
});

test.each(sample(['sunspots', 'weather', 'austen'], 1))('the built-in model %s', async (name) => {
  const bytes = readFileSync(join(demos, `${name}.safetensors`));
  const { tensors, metadata } = readSafetensorsFile(bytes);
  const { activation, readout, 'carryover.layers': layers } = metadata;
  const imported = await importFile(torchArchive(Object.fromEntries(tensors)), { activation, readout, layers });
  expect(modelId(layersOf(imported.layers))).toBe(modelId(layersOf(readModelFile(bytes).layers)));
});

test('random stacks of layers', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer(), (seed) => expectSameId(randomLayers(randomOf(seed), { biasesOf: torchBiases }), seed)),
    { numRuns: runs(150) },
  );
});
