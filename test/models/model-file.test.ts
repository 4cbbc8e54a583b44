import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { CarryoverError } from '../../src/errors.ts';
import { readModelFile } from '../../src/models/model-file.ts';
import { writeSafetensors } from '../helpers/safetensors.ts';
import { TANH, errorOf, imported, numbers, shortForm, tensor, torch } from './import/checkpoints.ts';
import { readModel } from './torch-model.ts';

const sunspots = readFileSync(join(import.meta.dirname, '../fixtures/demo/sunspots.safetensors'));

describe('a model file', () => {
  test('the model that torch saved is read as by a plain reader of its tensors', () => {
    const { weights, readout } = readModel(sunspots);
    const model = shortForm(readModelFile(sunspots, TANH).layers);
    expect(model.W_x).toEqual({ shape: [weights.D, weights.H], data: weights.W_x });
    expect(model.W_h).toEqual({ shape: [weights.H, weights.H], data: weights.W_h });
    expect(model.b).toEqual({ shape: [weights.H], data: weights.b });
    const { data } = model.W_y!;
    expect([model.W_y!.shape, model.b_y!.shape]).toEqual([[32, 1], [1]]);
    const h = Float32Array.from({ length: weights.H }, (_, j) => Math.sin(j));
    expect(h.reduce((sum, h_j, j) => sum + h_j * data[j]!, model.b_y!.data[0]!)).toBe(readout(h));
  });

  test('a malformed file is refused with the reason of the reader', () => {
    const error = errorOf(() => readModelFile(sunspots.subarray(0, -1)));
    expect(error).toBeInstanceOf(CarryoverError);
    expect((error as CarryoverError).code).toBe('malformed_safetensors');
    expect((error as CarryoverError).message).toMatch(/^Tensor "head\.bias" ends at 4612, beyond/);
  });

  test('a file may state its activation and its readout, but nothing that the call does not', () => {
    const file = (metadata: Record<string, string>) =>
      writeSafetensors({ ...torch, 'fc.weight': tensor(1, 3) }, metadata);
    const said = { activation: 'tanh', readout: 'fc' };
    const expected = imported({ ...torch, 'head.weight': tensor(1, 3) });
    expect(shortForm(readModelFile(file(said)).layers)).toEqual(expected);
    expect(shortForm(readModelFile(file(said), said).layers)).toEqual(expected);
    expect(shortForm(readModelFile(file({ readout: 'fc' }), TANH).layers)).toEqual(expected);
    expect(errorOf(() => readModelFile(file(said), { readout: 'head' }))).toMatchObject({
      code: 'invalid_request',
      message:
        'The address says readout "head", the __metadata__ of the file "fc"; expected the same, or ' +
        'one of them.',
    });
    expect(errorOf(() => readModelFile(file({ ...said, activation: 'gelu' })))).toMatchObject({
      code: 'activation_unsupported',
    });
  });

  test('a file with the counter of a batch normalisation is refused with an explanation', () => {
    const text = '{"bn.num_batches_tracked":{"dtype":"I64","shape":[],"data_offsets":[0,8]}}';
    const size = new Uint8Array(new BigUint64Array([BigInt(text.length)]).buffer);
    const error = errorOf(() => readModelFile(Buffer.concat([size, Buffer.from(text), Buffer.alloc(8)])));
    expect(error).toMatchObject({ code: 'unknown_tensors' });
    expect((error as CarryoverError).message).toMatch(/has the tensors "bn\.num_batches_tracked", .* is of a batch normalisation/);
  });

  test('a batch normalisation is read with its counter, the only integers that a model file may have', () => {
    const vector = (...numbers: number[]) => ({ shape: [numbers.length], data: new Float32Array(numbers) });
    const bn = { 'bn.running_mean': vector(1, 2), 'bn.running_var': vector(4, 1) };
    const counter = { shape: [], data: BigInt64Array.of(7n) };
    const described = (name: string) => {
      const tensors = { ...torch, ...bn, [name]: counter };
      return writeSafetensors(tensors, {
        'carryover.layers': '[{"type":"affine","name":"bn","eps":0},{"type":"rnn","name":"rnn","activation":"tanh"}]',
      });
    };
    const { layers, tensors } = readModelFile(described('bn.num_batches_tracked'));
    expect(layers.map(({ type }) => type)).toEqual(['affine', 'rnn']);
    expect(tensors['layers.0.offset']).toBe('bn.running_mean, bn.running_var (folded)');
    expect(errorOf(() => readModelFile(described('bn.steps')))).toMatchObject({
      code: 'malformed_safetensors',
      message: 'Tensor "bn.steps" has dtype "I64", expected F32, F64, F16 or BF16.',
    });
  });

  test('a file of integers is refused by the reader', () => {
    const text = '{"W_x":{"dtype":"I32","shape":[1,1],"data_offsets":[0,4]}}';
    const size = new Uint8Array(new BigUint64Array([BigInt(text.length)]).buffer);
    const bytes = Buffer.concat([size, Buffer.from(text), new Uint8Array(4)]);
    expect(errorOf(() => readModelFile(bytes))).toMatchObject({
      code: 'malformed_safetensors',
      message: 'Tensor "W_x" has dtype "I32", expected F32, F64, F16 or BF16.',
    });
  });

  test('a file of halves is read', () => {
    const text =
      '{"W_x":{"dtype":"F16","shape":[1,1],"data_offsets":[0,2]},' +
      '"W_h":{"dtype":"BF16","shape":[1,1],"data_offsets":[2,4]}}';
    const size = new Uint8Array(new BigUint64Array([BigInt(text.length)]).buffer);
    const halves = new Uint8Array(new Uint16Array([0x3e00, 0xbf40]).buffer);
    const model = shortForm(readModelFile(Buffer.concat([size, Buffer.from(text), halves])).layers);
    const { W_x, W_h } = model;
    expect([W_x, W_h].map(numbers)).toEqual([[1.5], [-0.75]]);
  });
});
