// Every row of the tables of openapi/model-files.md about ONNX is true: what is read has the bits of the layers that it
// is said to be, and what is refused is refused with its reason.
import { describe, expect, test } from 'vitest';
import { importFound } from '../../../../src/models/import/checkpoint.ts';
import { readOnnx } from '../../../../src/models/import/onnx/read-onnx.ts';
import { modelId } from '../../../../src/models/model-id.ts';
import { rowsOf } from '../../../helpers/model-files-page.ts';
import { layersInJson, layersOf } from '../../../helpers/model-layers.ts';
import { refusalOf } from '../../../helpers/refusal.ts';
import { READ } from './read-cases.ts';
import { REFUSED } from './refused-cases.ts';

const refusedFile = (file: Uint8Array) => layersOf(importFound(readOnnx(file)).layers);

describe('the table of what is read', () => {
  test('has a case for each row', () => {
    expect(Object.keys(READ)).toEqual(rowsOf('ONNX', 'in the file | here'));
  });

  test.each(Object.entries(READ))('%s', (_, cases) => {
    for (const { layers: inJson, file, note } of cases) {
      const { layers, notes = [] } = importFound(readOnnx(file));
      expect(modelId(layersOf(layers))).toBe(modelId(layersInJson(inJson)));
      if (note === undefined) expect(notes).toEqual([]);
      else expect(notes.join(' ')).toContain(note);
    }
  });
});

describe('the table of what is refused', () => {
  test('has a case for each row', () => {
    expect(Object.keys(REFUSED)).toEqual(rowsOf('ONNX', 'refused | because'));
  });

  test.each(Object.entries(REFUSED))('%s', async (_, cases) => {
    for (const { file, part } of cases) {
      const error = await refusalOf(() => refusedFile(file));
      expect(error.message).toContain(part);
      expect(error.code).toBe('model_file_unsupported');
    }
  });
});
