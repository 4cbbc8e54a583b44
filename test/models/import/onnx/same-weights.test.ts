// Layers as ONNX files: those that are read have the bits of those that were written.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { layersJson } from '../../../../load/cases/layers-json.ts';
import { isOnnx } from '../../../../src/codec/safetensors/file-signatures.ts';
import { importFound } from '../../../../src/models/import/checkpoint.ts';
import { readOnnx } from '../../../../src/models/import/onnx/read-onnx.ts';
import { modelId } from '../../../../src/models/model-id.ts';
import { readModelFile } from '../../../../src/models/model-file.ts';
import { readCells } from '../../../helpers/cells.ts';
import { type LayerJson, kerasBiases, randomLayers, randomOf, torchBiases } from '../../../helpers/framework-files.ts';
import { runs } from '../../../helpers/long.ts';
import { layersInJson, layersOf } from '../../../helpers/model-layers.ts';
import { onnxFile } from '../../../helpers/onnx-graph.ts';
import { fc } from '../../../helpers/seed.ts';

const cells = join(import.meta.dirname, '../../../fixtures/cells');
const demo = join(import.meta.dirname, '../../../../src/models/demo');
const inJson = (name: string): LayerJson[] => JSON.parse(readFileSync(join(cells, `${name}.json`), 'utf8')).layers;
const read = (file: Uint8Array) => layersOf(importFound(readOnnx(file)).layers);

describe('of fixtures/cells', () => {
  test.each(readCells())('$name', ({ name, layers }) => {
    for (const layout of [0, 1] as const) {
      const file = onnxFile(inJson(name), { layout });
      expect(isOnnx(file)).toBe(true);
      expect(read(file)).toEqual(layers);
    }
  });

  test('no file is left out', () => {
    expect(readCells().map(({ name }) => name)).toEqual(readdirSync(cells).map((file) => file.replace('.json', '')));
  });
});

test.each(['sunspots', 'weather', 'austen'])('the built-in model %s', (name) => {
  const { layers } = readModelFile(readFileSync(join(demo, `${name}.safetensors`)));
  const ours = layersOf(layers);
  const file = onnxFile(layersJson(ours) as LayerJson[]);
  expect(modelId(layersOf(importFound(readOnnx(file)).layers))).toBe(modelId(ours));
});

test('random layers, with their numbers in any field', () => {
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const random = randomOf(seed);
      const layers = randomLayers(random, { biasesOf: random.oneOf([torchBiases, kerasBiases]) });
      const storages = ['raw', 'float_data', 'raw double', 'double_data'] as const;
      const file = onnxFile(layers, { layout: random.oneOf([0, 1]), storage: () => random.oneOf(storages) });
      expect(modelId(read(file))).toBe(modelId(layersInJson(layers)));
    }),
    { numRuns: runs(100) },
  );
});
