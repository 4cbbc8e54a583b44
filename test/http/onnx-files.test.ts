// ONNX files over HTTP: with the weights of a model in JSON they have its id.
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { buildApp } from '../helpers/app.ts';
import type { LayerJson } from '../helpers/framework-files.ts';
import { onnxFile } from '../helpers/onnx-graph.ts';

const fixtures = join(import.meta.dirname, '../fixtures');
const exported = (name: string) => readFileSync(join(fixtures, 'onnx', `${name}.onnx`));
const layersOf = (name: string): LayerJson[] =>
  JSON.parse(readFileSync(join(fixtures, 'cells', `${name}.json`), 'utf8')).layers;

const app = await buildApp();

const modelsListed = async () => (await app.http.inject('/v1/models')).json().models.length;

describe('an ONNX file', () => {
  test.each(['tokens', 'scaled-forecast'])('of %s is the model that its weights are in JSON', async (name) => {
    const layers = layersOf(name);
    const { body: inJson } = await app.post('/v1/models', { layers });
    const { status, body } = await app.postFile(onnxFile(layers), {}, 'application/onnx');
    expect(status, body.detail).toBe(200);
    expect(body.id).toBe(inJson.id);
  });

  test('says which of its tensors is what, and what the service does otherwise', async () => {
    const { status, body } = await app.postFile(exported('gru-last-step-13'));
    expect(status, body.detail).toBe(201);
    expect(body.tensors).toMatchObject({
      'layers.0.W_x': 'onnx::GRU_108 (transposed) (z, r, n → r, z, n)',
      'layers.1.W': 'head.weight (transposed)',
    });
    expect(body.notes).toEqual(['The output "y" is of one step; the service returns every step, of which it is the last, in ys.']);
  });

  test.each([
    ['what is not computed', exported('refused-last-state-bidirectional-13'), 422, 'model_file_unsupported', 'node "/head/Gemm"'],
    ['what ends early', exported('lstm-10').subarray(0, 2_000), 400, 'malformed_model_file', 'ends in the middle of'],
  ])('%s is refused, and nothing is registered', async (_, file, status, code, part) => {
    const before = await modelsListed();
    const { body } = await app.postFile(file);
    expect(body).toMatchObject({ status, code });
    expect(body.detail).toContain(part);
    expect(await modelsListed()).toBe(before);
  });
});

test('MODELS_DIR has ONNX files under their names', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'carryover-onnx-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  cpSync(join(fixtures, 'onnx/tokens-13.onnx'), join(folder, 'tokens.onnx'));
  const server = await buildApp({ MODELS_DIR: folder });
  const { layers } = (await server.http.inject('/v1/models/tokens')).json();
  expect(layers.map(({ type }: LayerJson) => type)).toEqual(['embedding', 'lstm', 'dense']);
});
