// Every row of the tables of openapi/model-files.md about PyTorch is true. What is read has the id of the same weights
// in JSON; fixtures/pytorch/make.py says how torch wrote each fixture.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ErrorCode } from '../../../../src/error-kinds.ts';
import type { ImportOptions } from '../../../../src/models/import/checkpoint.ts';
import { importFile } from '../../../../src/models/import-file.ts';
import { modelId } from '../../../../src/models/model-id.ts';
import { layersInJson, layersOf } from '../../../helpers/model-layers.ts';
import { rowsOf } from '../../../helpers/model-files-page.ts';
import { refusalOf } from '../../../helpers/refusal.ts';
import { type StateDictToWrite, torchArchive } from '../../../helpers/torch-archive.ts';

const fixtures = join(import.meta.dirname, '../../../fixtures');
const fixture = (name: string) => readFileSync(join(fixtures, 'pytorch', `${name}.pt`));
const cell = (name: string) => layersInJson(JSON.parse(readFileSync(join(fixtures, 'cells', `${name}.json`), 'utf8')).layers);
const idOf = async (bytes: Uint8Array, options: ImportOptions = {}) => modelId(layersOf((await importFile(bytes, options)).layers));

/** An LSTM of one unit, whose W_x is 1, 2, 3, 4. */
const UNIT: StateDictToWrite = {
  'lstm.weight_ih_l0': { shape: [4, 1], data: Float32Array.of(1, 2, 3, 4) },
  'lstm.weight_hh_l0': { shape: [4, 1], data: Float32Array.of(5, 6, 7, 8) },
};
const UNIT_ID = modelId(layersInJson([{ type: 'lstm', W_x: [[1, 2, 3, 4]], W_h: [[5, 6, 7, 8]] }]));

/** For each row, files and the ids that they have. */
const READ: Readonly<Record<string, () => Promise<readonly [found: string, expected: string][]>>> = {
  'a state dict: `torch.save(model.state_dict(), "model.pt")`': async () => [[await idOf(torchArchive(UNIT)), UNIT_ID]],
  'a dict with one as `state_dict`, `model_state_dict` or `model`, beside the optimizer, the epoch and other values': async () => [
    [await idOf(fixture('lstm-two-layers')), modelId(cell('lstm-two-layers'))],
    ...(await Promise.all(
      ['state_dict', 'model_state_dict', 'model'].map(
        async (within): Promise<[string, string]> => [await idOf(torchArchive(UNIT, { within })), UNIT_ID],
      ),
    )),
  ],
  'a prefix of all names, e.g. `module.` of DataParallel': async () => [[await idOf(fixture('gru-tails')), modelId(cell('gru-tails'))]],
  '`nn.Parameter`': async () => [[await idOf(fixture('lstm-tails')), modelId(cell('lstm-tails'))]],
  'tensors that share a storage': async () => [[await idOf(fixture('lstm-bidirectional')), modelId(cell('lstm-bidirectional'))]],
  'strides, e.g. of a transposed tensor': async () => [[await idOf(fixture('lstm-odd')), modelId(cell('lstm-odd'))]],
  'float16, bfloat16, float64': async () => [
    [await idOf(fixture('gru-no-bias')), modelId(cell('gru-no-bias'))],
    // Weights of bfloat16 were made of those of float16: of these, all but their last bits.
    [(await importFile(fixture('half'))).layers[0]!.type, (await importFile(fixture('bfloat16'))).layers[0]!.type],
  ],
  '`num_batches_tracked` of a batch normalisation': async () => [[await idOf(fixture('lstm-one-unit')), modelId(cell('lstm-one-unit'))]],
  'pickle protocols 2 to 5': async () => [
    [await idOf(fixture('rnn-three-layers'), { activation: 'tanh' }), modelId(cell('rnn-three-layers'))],
    [await idOf(torchArchive(UNIT, { protocol: 5 })), UNIT_ID],
  ],
};

interface RefusedCase {
  readonly file: Uint8Array;
  /** In the detail. */
  readonly part: string;
  readonly code?: ErrorCode;
}

const REFUSED: Readonly<Record<string, readonly RefusedCase[]>> = {
  'a whole module: `torch.save(model, "model.pt")`': [
    { file: fixture('refused-module'), part: 'needs "__main__.Module", which is never loaded' },
  ],
  'TorchScript: `torch.jit.save`': [{ file: fixture('refused-script'), part: 'is TorchScript' }],
  'files of torch before 1.6, and of `_use_new_zipfile_serialization=False`': [
    { file: fixture('refused-legacy'), part: 'of torch.save', code: 'malformed_safetensors' },
  ],
  'any other function in the pickle, e.g. of a sparse tensor': [
    { file: fixture('refused-sparse'), part: 'needs "torch._utils._rebuild_sparse_tensor"' },
  ],
  'a list of tensors': [{ file: fixture('refused-list'), part: 'has no dict of tensors' }],
  'two of `state_dict`, `model_state_dict` and `model`': [
    { file: fixture('refused-two-dicts'), part: 'has a dict state_dict and a dict model' },
  ],
  'numbers and other values beside the tensors': [{ file: fixture('refused-number'), part: 'has "epoch" among its tensors' }],
  'tensors of integers and booleans': [
    { file: fixture('refused-bytes'), part: 'has the tensor "mask" in a torch.ByteStorage' },
    { file: torchArchive(UNIT, { storage: 'LongStorage' }), part: 'in a torch.LongStorage' },
  ],
  'expanded tensors': [
    {
      file: torchArchive({ ...UNIT, 'lstm.weight_ih_l0': { shape: [4, 1], data: Float32Array.of(1), strides: [0, 1] } }),
      part: 'with repeated elements',
      code: 'malformed_model_file',
    },
  ],
  'numbers in big-endian order': [{ file: torchArchive(UNIT, { byteOrder: 'big' }), part: 'big-endian' }],
};

test('the tables have a case for each row', () => {
  expect(Object.keys(READ)).toEqual(rowsOf('PyTorch', 'in the file'));
  expect(Object.keys(REFUSED)).toEqual(rowsOf('PyTorch', 'refused'));
});

describe('read:', () => {
  test.each(Object.entries(READ))('%s', async (_, idsOf) => {
    for (const [found, expected] of await idsOf()) expect(found).toBe(expected);
  });
});

describe('refused:', () => {
  test.each(Object.entries(REFUSED))('%s', async (_, cases) => {
    for (const { file, part, code = 'model_file_unsupported' } of cases) {
      const error = await refusalOf(() => importFile(file, { activation: 'tanh' }));
      expect(error).toMatchObject({ code });
      expect(error.message).toContain(part);
    }
  });
});
