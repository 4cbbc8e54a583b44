// Files of torch.save as models: with the weights of a model in JSON they have its id.
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { buildApp } from '../helpers/app.ts';

const fixtures = join(import.meta.dirname, '../fixtures');
const torchFile = (name: string) => readFileSync(join(fixtures, 'pytorch', `${name}.pt`));
const layersOf = (name: string) => JSON.parse(readFileSync(join(fixtures, 'cells', `${name}.json`), 'utf8')).layers;
const SOFTMAX =
  '[{"type":"embedding","name":"embedding"},{"type":"lstm","name":"rnn"},' +
  '{"type":"dense","name":"head","activation":"softmax"}]';

const app = await buildApp();

describe('a file of torch.save', () => {
  test.each([
    ['tokens', { layers: SOFTMAX }],
    ['lstm-two-layers', {}],
    ['gru-tails', {}],
    ['lstm-bidirectional', {}],
    ['lstm-odd', {}],
    ['gru-no-bias', {}],
    ['lstm-tails', {}],
    ['lstm-one-unit', {}],
    ['rnn-three-layers', { activation: 'tanh' }],
  ])('%s is the model that its weights are in JSON', async (name, query) => {
    const { body: inJson } = await app.post('/v1/models', { layers: layersOf(name) });
    expect(inJson.detail).toBeUndefined();
    const { status, body } = await app.postFile(torchFile(name), query);
    expect(status, body.detail).toBe(200);
    expect(body.id).toBe(inJson.id);
  });

  test('says which of its tensors is what', async () => {
    const { body } = await app.postFile(torchFile('lstm-one-unit'), { name: 'unit' });
    expect(Object.values(body.tensors).join()).toContain('rnn.weight_ih_l0 (transposed)');
    const { body: half } = await app.postFile(torchFile('half'));
    expect(half).toMatchObject({ H: 1, D: body.D });
  });

  test.each([
    ['refused-module', 422, 'model_file_unsupported', '__main__.Module'],
    ['refused-legacy', 400, 'malformed_safetensors', 'of torch.save'],
    ['refused-script', 422, 'model_file_unsupported', 'TorchScript'],
    ['rnn-three-layers', 422, 'activation_unconfirmed', 'activation'],
  ])('%s is refused', async (name, status, code, part) => {
    const { body } = await app.postFile(torchFile(name));
    expect(body).toMatchObject({ status, code });
    expect(body.detail).toContain(part);
  });

  test('that ends early is refused, and nothing is registered', async () => {
    const before = (await app.http.inject('/v1/models')).json().models.length;
    const { body } = await app.postFile(torchFile('tokens').subarray(0, 50_000), { layers: SOFTMAX });
    expect(body).toMatchObject({ status: 400, code: 'malformed_model_file' });
    expect((await app.http.inject('/v1/models')).json().models).toHaveLength(before);
  });
});

describe('MODELS_DIR', () => {
  const folder = mkdtempSync(join(tmpdir(), 'carryover-torch-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  test('has files of torch.save under their names', async () => {
    cpSync(join(fixtures, 'pytorch/lstm-two-layers.pt'), join(folder, 'two.pt'));
    cpSync(join(fixtures, 'pytorch/gru-tails.pt'), join(folder, 'gru.pth'));
    const server = await buildApp({ MODELS_DIR: folder });
    const { body } = await server.post('/v1/models', { layers: layersOf('lstm-two-layers') });
    expect(body.names).toEqual(['two']);
    expect((await server.http.inject('/v1/models/gru')).json()).toMatchObject({ layers: [{ type: 'gru' }] });
  });
});
