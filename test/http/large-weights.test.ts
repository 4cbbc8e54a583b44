// Large weights are copied in slices, converted, hashed and packed by workers: their ids, their bits and their
// errors are those of small ones.
import { describe, expect, test } from 'vitest';
import { tanhLayers } from '../../src/layers.ts';
import { modelId } from '../../src/models/model-id.ts';
import type { Weights } from '../../src/tensor.ts';
import { buildApp } from '../helpers/app.ts';
import { nested, randomRecurrence, referenceStates } from '../helpers/recurrence.ts';
import { type TensorToWrite, writeSafetensors } from '../helpers/safetensors.ts';

const [N, D, H] = [3, 200, 220];
const recurrence = randomRecurrence({ T: 1, N, D, H }, 5);
const { weights, x } = recurrence;
const app = await buildApp({}, { inlineFlopsMax: 0 });
const idle = app.memory.bytesUsed;

const post = async (url: string, payload: Uint8Array | object) => {
  const isFile = payload instanceof Uint8Array;
  const response = await app.http.inject({
    method: 'POST',
    url,
    headers: { 'content-type': isFile ? 'application/octet-stream' : 'application/json' },
    payload: isFile ? Buffer.from(payload) : payload,
  });
  const isJson = response.headers['content-type']?.includes('json');
  return { status: response.statusCode, body: isJson ? response.json() : undefined };
};
const ours = ({ W_x, W_h, b }: Weights, as = Float32Array): Record<string, TensorToWrite> => ({
  W_x: { shape: [D, H], data: as.from(W_x) },
  W_h: { shape: [H, H], data: as.from(W_h) },
  b: { shape: [H], data: as.from(b) },
});
const inJson = {
  W_x: nested(weights.W_x, [D, H]),
  W_h: nested(weights.W_h, [H, H]),
  b: nested(weights.b, [H]),
};

function transposed(data: Float32Array, rows: number, columns: number): TensorToWrite {
  const result = new Float32Array(data.length);
  data.forEach((value, i) => {
    result[(i % columns) * rows + Math.floor(i / columns)] = value;
  });
  return { shape: [columns, rows], data: result };
}

const torch = {
  'rnn.weight_ih_l0': transposed(weights.W_x, D, H),
  'rnn.weight_hh_l0': transposed(weights.W_h, H, H),
  'rnn.bias_ih_l0': { shape: [H], data: weights.b },
  'rnn.bias_hh_l0': { shape: [H], data: new Float32Array(H) },
};

describe('large weights', () => {
  test.each([
    ['JSON', '/v1/models', { weights: inJson }],
    ['a file', '/v1/models', writeSafetensors(ours(weights))],
    // An odd name moves the data to addresses that are no multiple of four.
    ['float64', '/v1/models', writeSafetensors(ours(weights, Float64Array as never), { note: 'odd' })],
    ['a file of torch', '/v1/models?activation=tanh', writeSafetensors(torch)],
  ])('large weights have one id, from %s', async (_, url, payload) => {
    const { status, body } = await post(url, payload);
    expect([200, 201]).toContain(status);
    expect(body.id).toBe(modelId(tanhLayers(weights)));
  });

  test('large weights compute the same bits, registered, inline, and inline again', async () => {
    const expected = referenceStates(recurrence);
    const model = modelId(tanhLayers(weights));
    const rows = nested(x, [N, D]);
    const h = nested(recurrence.h, [N, H]);
    const { packedCount } = app.weightsCache;
    for (const source of [{ model }, { weights: inJson }, { weights: inJson }]) {
      const { status, body } = await post('/v1/step', { ...source, x: rows, h });
      expect(status).toBe(200);
      expect(Float32Array.from(body.h.flat())).toEqual(expected);
    }
    expect(app.weightsCache.packedCount).toBe(packedCount + 1);
  });

  test('large weights are refused like small ones, and nothing of them stays in memory', async () => {
    const before = app.memory.bytesUsed;
    const bad = ours(weights);
    bad['W_h']!.data[7 * H + 9] = NaN;
    const { status, body } = await post('/v1/models', writeSafetensors(bad));
    expect([status, body.code]).toEqual([422, 'out_of_range']);
    expect(body.detail).toContain('"W_h" is NaN at [7, 9]');
    expect(app.memory.bytesUsed).toBe(before);
  });

  test('large weights leave no memory allocated', async () => {
    await app.http.inject({ method: 'DELETE', url: `/v1/models/${modelId(tanhLayers(weights))}` });
    expect(app.memory.bytesUsed - app.weightsCache.bytes).toBe(idle);
  });
});
