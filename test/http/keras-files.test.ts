// Files of Keras as models: with the weights of a model in JSON they have its id.
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { buildApp } from '../helpers/app.ts';
import { sample } from '../helpers/long.ts';

const fixtures = join(import.meta.dirname, '../fixtures');
const kerasFile = (name: string) => readFileSync(join(fixtures, 'keras', name));
const layersOf = (name: string) => JSON.parse(readFileSync(join(fixtures, 'cells', `${name}.json`), 'utf8')).layers;

const app = await buildApp();

describe('a file of Keras', () => {
  // Other files have the same way to go: models/import/keras/same-bits.test.ts has them all.
  test.each(sample(['scaled-forecast.keras', 'gru-tails.h5'], 1))('%s is the model that its weights are in JSON', async (file) => {
    const { body: inJson } = await app.post('/v1/models', { layers: layersOf(file.replace(/\.\w+$/, '')) });
    expect(inJson.detail).toBeUndefined();
    const { status, body } = await app.postFile(kerasFile(file));
    expect(status, body.detail).toBe(200);
    expect(body.id).toBe(inJson.id);
  });

  test('says which of its tensors is what, and what the service does otherwise', async () => {
    const { body } = await app.postFile(kerasFile('lstm-two-layers.keras'), { name: 'two' });
    expect(body.tensors).toMatchObject({ 'layers.1.W_h': 'layers/lstm_1/cell/vars/1' });
    expect(body.notes.join()).toContain('returns the last step');
  });

  test.each([
    ['refused-cycle.h5', 400, 'malformed_model_file'],
    ['refused-huge.h5', 422, 'model_file_unsupported'],
  ])('%s is refused, and nothing is registered', async (file, status, code) => {
    const before = (await app.http.inject('/v1/models')).json().models.length;
    const { body } = await app.postFile(kerasFile(file));
    expect(body).toMatchObject({ status, code });
    expect((await app.http.inject('/v1/models')).json().models).toHaveLength(before);
  });
});

describe('MODELS_DIR', () => {
  const folder = mkdtempSync(join(tmpdir(), 'carryover-keras-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  test('has files of Keras under their names', async () => {
    cpSync(join(fixtures, 'keras/lstm-two-layers.keras'), join(folder, 'two.keras'));
    cpSync(join(fixtures, 'keras/lstm-tails.h5'), join(folder, 'tails.h5'));
    const server = await buildApp({ MODELS_DIR: folder });
    const { body } = await server.post('/v1/models', { layers: layersOf('lstm-two-layers') });
    expect(body.names).toEqual(['two']);
    expect((await server.http.inject('/v1/models/tails')).json()).toMatchObject({ layers: [{ type: 'lstm' }] });
  });
});
