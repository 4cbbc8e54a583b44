// Every row of the tables of openapi/model-files.md about Keras is true: what is read has the bits of the layers that it
// is said to be, and what is refused is refused with its reason.
import { describe, expect, test } from 'vitest';
import { importFound } from '../../../../src/models/import/checkpoint.ts';
import { readKeras } from '../../../../src/models/import/keras/read-keras.ts';
import { modelId } from '../../../../src/models/model-id.ts';
import { kerasFile } from '../../../helpers/keras-files.ts';
import { rowsOf } from '../../../helpers/model-files-page.ts';
import { layersInJson, layersOf } from '../../../helpers/model-layers.ts';
import { refusalOf } from '../../../helpers/refusal.ts';
import { READ, type ReadCase } from './read-cases.ts';
import { REFUSED, type RefusedCase } from './refused-cases.ts';

const bytesOf = async ({ file, style = 'a .keras of Keras 3' }: ReadCase) =>
  file instanceof Uint8Array ? file : await kerasFile(style, file);

const refusedFile = async ({ file }: RefusedCase) => layersOf(importFound(await readKeras(await file())).layers);

describe('the table of what is read', () => {
  test('has a case for each row', () => {
    expect(Object.keys(READ)).toEqual(rowsOf('Keras', 'in the file'));
  });

  test.each(Object.entries(READ))('%s', async (_, cases) => {
    for (const one of cases) {
      const { layers, notes = [] } = importFound(await readKeras(await bytesOf(one)));
      expect(modelId(layersOf(layers))).toBe(modelId(layersInJson(one.layers)));
      if (one.note === undefined) expect(notes).toEqual([]);
      else expect(notes.join()).toContain(one.note);
    }
  });
});

describe('the table of what is refused', () => {
  test('has a case for each row', () => {
    expect(Object.keys(REFUSED)).toEqual(rowsOf('Keras', 'refused'));
  });

  test.each(Object.entries(REFUSED))('%s', async (_, cases) => {
    for (const one of cases) {
      const error = await refusalOf(() => refusedFile(one));
      expect(error.message).toContain(one.part);
      expect(error.code).toBe(one.code ?? 'model_file_unsupported');
    }
  });
});
