// Large models with layers are gathered in one block, and hashed and packed by workers: their ids and bits are those that
// they have on this thread. All models survive a restart.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type Layer, recurrentWeights } from '../../src/layers.ts';
import { modelId } from '../../src/models/model-id.ts';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';
import { buildApp } from '../helpers/app.ts';
import { runLayers } from '../helpers/kernels.ts';
import { layersJson } from '../../load/cases/layers-json.ts';

const [V, D, H] = [3_000, 40, 96];
const random = pseudoRandom(8);
const floats = (count: number) => Float32Array.from({ length: count }, () => random() / 4);
const gru = { type: 'gru', reset: 'after', direction: 'bidirectional', D, H } as const;
const weights = () => recurrentWeights(gru, { W_x: floats(D * 3 * H), W_h: floats(H * 3 * H), b: floats(3 * H), b_h: floats(3 * H) });
const layers: Layer[] = [
  { type: 'embedding', V, D, E: floats(V * D) },
  { ...gru, weights: weights(), backward: weights() },
  { type: 'dense', activation: 'softmax', I: 2 * H, O: 500, W: floats(2 * H * 500), b: floats(500) },
];
const small: Layer[] = [{ type: 'lstm', direction: 'forward', D: 1, H: 1, weights: { W_x: floats(4), W_h: floats(4), b: floats(4) } }];
const [T, N] = [3, 2];
const ids = Uint32Array.from({ length: T * N }, (_, i) => (i * 701) % V);
const x = Array.from({ length: T }, (_, t) => [...ids.subarray(t * N, (t + 1) * N)]);
const expected = runLayers(layers, { T, N, x: ids });
const sequence = { x, outputs: ['hs', 'ys'] };

const folder = mkdtempSync(join(tmpdir(), 'carryover-'));
afterAll(() => rmSync(folder, { recursive: true }));
const start = () => buildApp({ STORE_URL: `sqlite:${join(folder, 'store.sqlite')}` }, { inlineFlopsMax: 0 });

function expectBits(body: any): void {
  expect(Float32Array.from(body.hs.flat(2))).toEqual(expected.hs);
  expect(Float32Array.from(body.ys.flat(2))).toEqual(expected.ys);
}

describe('large layers', () => {
  test('large layers have the same id and bits registered, inline and after a restart', async () => {
    const app = await start();
    const idle = app.memory.bytesUsed;
    const { status, body: model } = await app.post('/v1/models', { layers: layersJson(layers), name: 'large' });
    expect(status).toBe(201);
    expect(model.id).toBe(modelId(layers));
    const { body: lstm } = await app.post('/v1/models', { layers: layersJson(small), name: 'small' });
    expect(lstm.id).toBe(modelId(small));
    expectBits((await app.post('/v1/sequence', { model: 'large', ...sequence })).body);
    const inline = { weights: { layers: layersJson(layers) }, ...sequence };
    expectBits((await app.post('/v1/sequence', inline)).body);
    expectBits((await app.post('/v1/sequence', inline)).body);
    expect(app.weightsCache.packedCount).toBe(1);
    expect((await app.post('/v1/models', { layers: layersJson(layers) })).status).toBe(200);
    const before = (await app.post('/v1/step', { model: 'small', x: [[0.5]] })).body;
    await app.close();

    const again = await start();
    expectBits((await again.post('/v1/sequence', { model: 'large', ...sequence })).body);
    expect((await again.post('/v1/step', { model: lstm.id, x: [[0.5]] })).body).toEqual(before);
    const shown = await again.http.inject('/v1/models/large');
    expect(shown.json()).toEqual({ ...model, names: ['large'] });
    for (const name of ['large', 'small']) await again.http.inject({ method: 'DELETE', url: `/v1/models/${name}` });
    expect(again.memory.bytesUsed).toBeLessThanOrEqual(idle);
  });
});
