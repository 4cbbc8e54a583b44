// Layers as ONNX files: those that are read have the bits of those that were written.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { isOnnx } from '../../../../src/codec/safetensors/file-signatures.ts';
import { importFound } from '../../../../src/models/import/checkpoint.ts';
import { readOnnx } from '../../../../src/models/import/onnx/read-onnx.ts';
import { readCells } from '../../../helpers/cells.ts';
import type { LayerJson } from '../../../helpers/framework-files.ts';
import { layersOf } from '../../../helpers/model-layers.ts';
import { onnxFile } from '../../../helpers/onnx-graph.ts';

const cells = join(import.meta.dirname, '../../../fixtures/cells');
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
