// Files that are wrong, by chance or on purpose: each is refused with names, and nothing is guessed or left out.
import { describe, expect, test } from 'vitest';
import { ERRORS } from '../../../src/error-kinds.ts';
import { CarryoverError } from '../../../src/errors.ts';
import { type ImportOptions, importCheckpoint } from '../../../src/models/import/checkpoint.ts';
import {
  type FrameworkFile,
  kerasBiases,
  kerasFile,
  randomLayers,
  randomOf,
  torchBiases,
  torchFile,
} from '../../helpers/framework-files.ts';
import { runs } from '../../helpers/long.ts';
import { fc } from '../../helpers/seed.ts';
import { type Tensors, errorOf, tensor, torch } from './checkpoints.ts';

const TANH = { activation: 'tanh' };
const importOf = (tensors: Tensors, options: ImportOptions = TANH) => importCheckpoint(new Map(Object.entries(tensors)), options);

/** H = 3 */
const layer = (prefix: string, gates: number, D: number, suffix = '_l0'): Tensors => ({
  [`${prefix}weight_ih${suffix}`]: tensor(gates * 3, D),
  [`${prefix}weight_hh${suffix}`]: tensor(gates * 3, 3),
});
const lstm = layer('lstm.', 4, 2);

describe('a file of torch that is wrong', () => {
  test.each([
    ['a layer number that is missing', { ...lstm, ...layer('lstm.', 4, 3, '_l2') }, '/lstm.weight_ih_l1', /"lstm\.weight_ih_l1" is missing/],
    ['a huge layer number', { ...lstm, ...layer('lstm.', 4, 3, '_l99999999999999999999') }, '/lstm.weight_ih_l1', /"lstm\.weight_ih_l1" is missing/],
    ['a layer number with a zero before it', { ...lstm, ...layer('lstm.', 4, 3, '_l01') }, '/lstm.weight_ih_l01', /also has "lstm\.weight_ih_l01", "lstm\.weight_hh_l01"/],
    ['a negative layer number', { ...lstm, ...layer('lstm.', 4, 3, '_l-1') }, '/lstm.weight_ih_l-1', /also has "lstm\.weight_ih_l-1"/],
    ['a cell beside a layer', { ...lstm, ...layer('lstm.', 4, 3, '') }, '/lstm.weight_ih_l1', /"lstm\.weight_ih_l1" is missing/],
    ['one direction of the second layer', { ...lstm, ...layer('lstm.', 4, 2, '_l0_reverse'), ...layer('lstm.', 4, 6, '_l1') }, '/lstm.weight_ih_l1_reverse', /"lstm\.weight_ih_l1_reverse" is missing/],
    ['only the reverse direction', layer('lstm.', 4, 2, '_l0_reverse'), '/lstm.weight_ih_l0', /"lstm\.weight_ih_l0" is missing/],
    ['names that are the same without their prefixes', { ...lstm, 'module.lstm.weight_ih_l0': tensor(12, 2) }, '/lstm.weight_ih_l0', /"lstm\.weight_ih_l0", "module\.lstm\.weight_ih_l0" have the same meaning/],
    ['__proto__ beside the tensors', { ...lstm, ['__proto__']: tensor(1) }, '/__proto__', /also has "__proto__"/],
    ['constructor beside the tensors', { ...lstm, constructor: tensor(1) }, '/constructor', /also has "constructor"/],
    ['an empty name beside the tensors', { ...lstm, '': tensor(1) }, '/', /also has ""/],
    ['a projection of one layer', { ...lstm, ...layer('lstm.', 4, 3, '_l1'), 'lstm.weight_hr_l1': tensor(2, 3) }, '/lstm.weight_hr_l1', /"lstm\.weight_hr_l1" is the projection of an LSTM/],
    ['two embeddings', { ...lstm, 'embedding.weight': tensor(5, 2), 'wte.weight': tensor(5, 2) }, '/embedding.weight', /also has "embedding\.weight", "wte\.weight"/],
    ['an embedding with a bias', { ...lstm, 'embed.weight': tensor(5, 2), 'embed.bias': tensor(2) }, '/embed.weight', /also has "embed\.weight", "embed\.bias"/],
    ['an embedding of another module', { ...lstm, 'decoder.embedding.weight': tensor(5, 2) }, '/decoder.embedding.weight', /also has "decoder\.embedding\.weight"/],
  ])('unknown tensors: %s', (_, tensors: Tensors, pointer, message) => {
    const error = errorOf(() => importOf(tensors)) as CarryoverError;
    expect(error).toMatchObject({ code: 'unknown_tensors' });
    expect(error.message).toMatch(message);
    expect(error.errors[0]!.pointer).toBe(pointer);
  });

  test.each([
    ['twice H columns', { weight_ih_l0: tensor(6, 2), weight_hh_l0: tensor(6, 3) }, /"weight_hh_l0" has shape \(6, 3\), expected \(H, H\) of an rnn, \(3H, H\) of a gru or \(4H, H\) of an lstm/],
    ['five times H columns', { weight_ih_l0: tensor(15, 2), weight_hh_l0: tensor(15, 3) }, /\(15, 3\), expected/],
    ['no multiple of H', { weight_ih_l0: tensor(10, 2), weight_hh_l0: tensor(10, 3) }, /\(10, 3\), expected/],
    ['a transposed W_hh', { weight_ih_l0: tensor(12, 2), weight_hh_l0: tensor(3, 12) }, /\(3, 12\), expected/],
    ['a W_ih of another H', { weight_ih_l0: tensor(16, 2), weight_hh_l0: tensor(12, 3) }, /"weight_hh_l0" has shape \(12, 3\), expected \(16, 4\), because "weight_ih_l0" \(4H, D\) = \(16, 2\) makes H = 4/],
    ['a W_ih of no multiple', { weight_ih_l0: tensor(13, 2), weight_hh_l0: tensor(12, 3) }, /"weight_ih_l0" has shape \(13, 2\), expected \(4H, D\), a multiple of 4/],
    ['a bias of the size of H', { ...lstm, 'lstm.bias_ih_l0': tensor(3), 'lstm.bias_hh_l0': tensor(12) }, /"lstm\.bias_ih_l0" has shape \(3,\), expected \(12,\)/],
    ['layers of two kinds in one module', { ...lstm, ...layer('lstm.', 3, 3, '_l1') }, /"lstm\.weight_hh_l1" has shape \(9, 3\), as a gru has, expected \(4H, H\) of an lstm/],
    ['directions of two kinds', { ...lstm, ...layer('lstm.', 3, 2, '_l0_reverse') }, /"lstm\.weight_hh_l0_reverse" has shape \(9, 3\), as a gru has/],
    ['directions of two sizes', { ...lstm, 'lstm.weight_ih_l0_reverse': tensor(16, 2), 'lstm.weight_hh_l0_reverse': tensor(16, 4) }, /"lstm\.weight_ih_l0_reverse" has shape \(16, 2\), expected \(12, 2\)/],
    ['directions of two inputs', { ...lstm, ...layer('lstm.', 4, 5, '_l0_reverse') }, /"lstm\.weight_ih_l0_reverse" has shape \(12, 5\), expected \(12, 2\)/],
    ['a second layer that reads one direction of two', { ...lstm, ...layer('lstm.', 4, 2, '_l0_reverse'), ...layer('lstm.', 4, 3, '_l1'), ...layer('lstm.', 4, 3, '_l1_reverse') }, /"lstm\.weight_ih_l1" has shape \(12, 3\), expected \(4H, 6\), because .* two directions/],
    ['an embedding of other columns', { ...lstm, 'embedding.weight': tensor(5, 3) }, /"lstm\.weight_ih_l0" has shape \(12, 2\), expected \(4H, 3\), because "embedding\.weight" \(V, D\)/],
    ['an embedding of three axes', { ...lstm, 'embedding.weight': tensor(5, 2, 1) }, /"embedding\.weight" has shape \(5, 2, 1\), expected a matrix/],
    ['no units', { weight_ih_l0: tensor(0, 2), weight_hh_l0: tensor(0, 0) }, /"weight_ih_l0" has shape \(0, 2\), expected at least 1/],
  ])('shapes: %s', (_, tensors: Tensors, message) => {
    const error = errorOf(() => importOf(tensors)) as CarryoverError;
    expect(error).toMatchObject({ code: 'shape_mismatch' });
    expect(error.message).toMatch(message);
  });

  test('a thousand tensors of one module are too many layers, of a thousand modules an unknown order', () => {
    const one = Object.assign({}, ...Array.from({ length: 500 }, (_, k) => layer('lstm.', 4, k === 0 ? 2 : 3, `_l${k}`)));
    expect(errorOf(() => importOf(one))).toMatchObject({ code: 'limit_exceeded', message: 'The file has 500 layers; a model has at most 32.' });
    const many = Object.assign({}, ...Array.from({ length: 500 }, (_, k) => layer(`lstm${k}.`, 4, 3)));
    const error = errorOf(() => importOf(many)) as CarryoverError;
    expect(error).toMatchObject({ code: 'layers_unconfirmed' });
    expect(error.message).toMatch(/"lstm9" and 490 more, .*\?layers=\[\{"type":"lstm","name":"lstm0"\}.*,…\]/);
    expect(error.message.length).toBeLessThan(1_000);
    const bidirectional = Object.assign(
      {},
      ...Array.from({ length: 500 }, (_, k) => ({ [`a/${k % 2 ? 'forward' : 'backward'}_${k}/kernel`]: tensor(1, 4), [`a/${k % 2 ? 'forward' : 'backward'}_${k}/recurrent_kernel`]: tensor(1, 4) })),
    );
    expect(errorOf(() => importOf(bidirectional))).toMatchObject({ code: 'layers_unconfirmed' });
  });

  test('a name may be cut anywhere in an error, also within a pair of UTF-16 units', () => {
    const name = `${'x'.repeat(79)}😀.weight`;
    const error = errorOf(() => importOf({ ...torch, [name]: tensor(1, 3) })) as CarryoverError;
    expect(error).toMatchObject({ code: 'unknown_tensors' });
    expect(error.message).toContain('?readout=xxx');
  });
});

/** A file that was damaged in one way. */
function damaged(tensors: FrameworkFile['tensors'], { pick, oneOf }: ReturnType<typeof randomOf>): FrameworkFile['tensors'] {
  const names = Object.keys(tensors);
  const name = oneOf(names);
  const { [name]: chosen, ...rest } = tensors;
  const { shape, data } = chosen!;
  const other = oneOf(names);
  const renames = [
    name.replace('_l0', '_l1'), name.replace('_ih', '_hh'), name.replace('weight', 'bias'), `module.${name}`, `x.${name}`,
    name.replace('.', '/'), name.replace('kernel', 'bias'), `${name}:0`, name.replace(/\d/, '9'), '__proto__', 'b', 'W_x',
  ];
  switch (pick(6)) {
    case 0:
      return rest;
    case 1:
      return { ...rest, [oneOf(renames)]: chosen! };
    case 2:
      return { ...tensors, [oneOf(renames)]: chosen! };
    case 3:
      return { ...rest, [name]: { shape: shape.toReversed(), data } };
    case 4:
      return { ...rest, [name]: { shape: [shape[0]!], data: data.slice(0, shape[0]) } };
    default:
      return { ...rest, [name]: tensors[other]!, [other]: chosen! };
  }
}

test('a damaged file is refused, or every one of its tensors is a part of the model', () => {
  const outcomes = { refused: 0, accepted: 0 };
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const random = randomOf(seed);
      const isTorch = random.chance();
      const isPlain = random.chance();
      const stack = randomLayers(random, { biasesOf: isTorch ? torchBiases : kerasBiases, isPlain });
      const { tensors, layers } = isTorch ? torchFile(stack, random, !isPlain) : kerasFile(stack, random);
      const broken = damaged(tensors, random);
      const options = isPlain ? TANH : { layers: JSON.stringify(layers) };
      let found: ReturnType<typeof importCheckpoint> | undefined;
      const entries = Object.entries(broken).map(([name, { shape, data }]) => [name, { dtype: 'F32', shape, data }] as const);
      const error = errorOf(() => {
        found = importCheckpoint(new Map(entries as never), options);
      });
      if (found) {
        outcomes.accepted++;
        const origins = Object.values(found.tensors).flatMap((origin) => origin.replaceAll(/ \([^)]*\)|\[[01]\]/g, '').split(/ \+ |, /));
        expect(new Set(origins)).toEqual(new Set(Object.keys(broken)));
      } else {
        outcomes.refused++;
        expect(error).toBeInstanceOf(CarryoverError);
        expect(ERRORS[(error as CarryoverError).code].status).toBeLessThan(500);
        expect((error as Error).message.length).toBeLessThan(3_000);
      }
    }),
    { numRuns: runs(3_000) },
  );
  expect(outcomes.refused).toBeGreaterThan(runs(1_000));
  expect(outcomes.accepted).toBeGreaterThan(20);
});
