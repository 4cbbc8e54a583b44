// ONNX files over HTTP: with the weights of a model in JSON they have its id.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { buildApp } from '../helpers/app.ts';
import type { LayerJson } from '../helpers/framework-files.ts';
import { onnxFile } from '../helpers/onnx-graph.ts';

const fixtures = join(import.meta.dirname, '../fixtures');
const layersOf = (name: string): LayerJson[] =>
  JSON.parse(readFileSync(join(fixtures, 'cells', `${name}.json`), 'utf8')).layers;

const app = await buildApp();

async function register(payload: Uint8Array) {
  const response = await app.http.inject({
    method: 'POST',
    url: '/v1/models',
    headers: { 'content-type': 'application/octet-stream' },
    payload: Buffer.from(payload),
  });
  return { status: response.statusCode, body: response.json() };
}

describe('an ONNX file', () => {
  test.each(['tokens', 'gru-bidirectional', 'scaled-forecast'])('of %s is the model that its weights are in JSON', async (name) => {
    const layers = layersOf(name);
    const { body: inJson } = await app.post('/v1/models', { layers });
    const { status, body } = await register(onnxFile(layers));
    expect(status, body.detail).toBe(200);
    expect(body.id).toBe(inJson.id);
  });
});
