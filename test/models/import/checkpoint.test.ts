// What holds for every name convention.
import { describe, expect, test } from 'vitest';
import { readSafetensors } from '../../../src/codec/safetensors/read.ts';
import { CarryoverError } from '../../../src/errors.ts';
import { type ImportOptions, importCheckpoint } from '../../../src/models/import/checkpoint.ts';
import { readModelFile } from '../../../src/models/model-file.ts';
import { runs } from '../../helpers/long.ts';
import { writeSafetensors } from '../../helpers/safetensors.ts';
import { fc } from '../../helpers/seed.ts';
import {
  type ImportedModel,
  type Refusal,
  type Tensors,
  TANH,
  errorOf,
  f64,
  importOf,
  imported,
  keras,
  linear,
  numbers,
  ours,
  readout,
  refusalOf,
  renamed,
  shortForm,
  tensor,
  testRefusals,
  torch,
  without,
} from './checkpoints.ts';

describe('values', () => {
  test('values of float64 are rounded to float32', () => {
    const model = imported({ W_x: f64([1, 2], 0.1, 1e-60), W_h: f64([2, 2], 1, 2, 3, -0) });
    expect(model.W_x.data).toEqual(new Float32Array([0.1, 0]));
    expect(model.W_h.data).toEqual(new Float32Array([1, 2, 3, -0]));
  });

  test('values just below the end of float32 are rounded down, those at the end are refused', () => {
    const largest = 2 ** 128 - 2 ** 104;
    const end = 2 ** 128 - 2 ** 103;
    const below = end - 2 ** 75;
    expect(numbers(imported({ ...ours, b: f64([3], largest, below, -below) }).b)).toEqual([
      largest, largest, -largest,
    ]);
    expect(refusalOf({ ...ours, b: f64([3], 0, 0, end) }).code).toBe('out_of_range');
    expect(refusalOf({ ...ours, b: f64([3], 0, 0, -end) }).code).toBe('out_of_range');
  });
});

describe('properties that the names do not determine', () => {
  const refused = (tensors: Tensors, options: ImportOptions) =>
    errorOf(() => importOf(tensors, options)) as CarryoverError;

  test.each([
    ['torch', torch],
    ['an RNNCell', renamed(torch, '_l0', '')],
    ['Keras', keras],
  ])('the activation of %s must be confirmed', (_, tensors) => {
    const error = refused(tensors, {});
    expect(error).toMatchObject({ code: 'activation_unconfirmed' });
    expect(error.message).toMatch(/with tanh and with relu.*\?activation=tanh .*"activation": "tanh"/);
    expect(shortForm(importOf(tensors, TANH).layers)).toEqual(imported(tensors));
  });

  test('the activation of our names is tanh, confirmed or not', () => {
    expect(shortForm(importOf(ours, {}).layers)).toEqual(imported(ours));
  });

  const lstm = { weight_ih_l0: tensor(12, 2), weight_hh_l0: tensor(12, 3) };
  const kerasLstm = { kernel: tensor(2, 12), recurrent_kernel: tensor(3, 12) };

  test.each([
    ['of our names', ours, 'relu', '"tanh"'],
    ['of an LSTM', lstm, 'relu', '"tanh"'],
    ['of an LSTM of Keras', kerasLstm, 'relu', '"tanh"'],
    ['of an RNN', torch, 'gelu', '"tanh" or "relu"'],
  ])('another activation than is computed is refused: %s', (_, tensors, activation, expected) => {
    const error = refused(tensors, { activation });
    expect(error).toMatchObject({ code: 'activation_unsupported' });
    expect(error.message).toContain(`said to be "${activation}", expected ${expected}: these layers`);
  });

  test.each([['torch', torch], ['Keras', keras]])('the activation of an RNN of %s may be relu', (_, tensors) => {
    expect(importOf(tensors, { activation: 'relu' }).layers).toMatchObject([{ type: 'rnn', activation: 'relu' }]);
  });

  test('the activation of an LSTM is asked for where it may have another: of Keras, not of torch', () => {
    expect(importOf(lstm, {}).layers).toMatchObject([{ type: 'lstm', direction: 'forward' }]);
    expect(importOf(kerasLstm, TANH).layers).toMatchObject([{ type: 'lstm', direction: 'forward' }]);
    expect(refused(kerasLstm, {})).toMatchObject({ code: 'activation_unconfirmed' });
  });

  test('the readout that is stated is taken, and no other', () => {
    const two = { ...torch, ...linear, 'fc.weight': tensor(1, 3) };
    expect(refused(two, { ...TANH, readout: 'fc' }).message).toMatch(/also has "head\.weight"/);
    expect(refused(torch, { ...TANH, readout: 'fc' }).message).toMatch(
      /^Tensor "fc\.weight" is missing: the readout is said to be "fc"/,
    );
    expect(refused(keras, { ...TANH, readout: 'dense' }).message).toMatch(
      /^Tensor "dense\/kernel" is missing: the readout is said to be "dense"/,
    );
    expect(refused(ours, { readout: 'fc' }).message).toMatch(/these names identify it/);
  });

  test('the result lists which tensors each of ours was made of', () => {
    expect(importOf({ ...torch, ...linear }).tensors).toEqual({
      W_x: 'rnn.weight_ih_l0 (transposed)',
      W_h: 'rnn.weight_hh_l0 (transposed)',
      b: 'rnn.bias_ih_l0 + rnn.bias_hh_l0',
      W_y: 'head.weight (transposed)',
      b_y: 'head.bias',
    });
    expect(importOf(renamed(keras, /$/, ':0')).tensors).toEqual({
      W_x: 'rnn/cell/kernel:0',
      W_h: 'rnn/cell/recurrent_kernel:0',
      b: 'rnn/cell/bias:0',
    });
    expect(importOf(without(ours, 'b')).tensors).toEqual({ W_x: 'W_x', W_h: 'W_h' });
  });
});

const REFUSALS: readonly Refusal[] = [
  [
    'names of no convention',
    { foo: tensor(1), 'bar.bias': tensor(1) },
    'unknown_tensors',
    '/foo',
    /^The file has the tensors "foo", "bar\.bias", expected W_x, W_h, .* \(ours\); or .*\(torch\)/,
  ],
  [
    'names that only resemble',
    { w_x: tensor(2, 3), W_hh: tensor(3, 3), weight_i: tensor(1), my_kernel: tensor(1) },
    'unknown_tensors',
    '/w_x',
    /^The file has the tensors "w_x", "W_hh", "weight_i", "my_kernel", expected/,
  ],
  [
    'two conventions',
    { W_x: tensor(2, 3), ...torch },
    'unknown_tensors',
    '/W_x',
    /mixes names: "W_x" \(ours\) and "rnn\.weight_ih_l0" \(torch\), expected one of/,
  ],
  [
    'three conventions',
    { ...ours, ...torch, ...keras },
    'unknown_tensors',
    '/W_x',
    /"W_x" \(ours\) and "rnn\.weight_ih_l0" \(torch\) and "rnn\/cell\/kernel" \(Keras\)/,
  ],
];

testRefusals('a checkpoint that is refused for its names', REFUSALS);

describe('names and shapes that are refused', () => {
  test('a file without tensors is refused', () => {
    const error = refusalOf({});
    expect(error.code).toBe('unknown_tensors');
    expect(error.message).toContain('has the tensors (none), expected W_x');
  });

  test('many unknown names are refused, and the error lists ten of them', () => {
    const names = Array.from({ length: 100 }, (_, i) => `t${i}`);
    const error = refusalOf(Object.fromEntries(names.map((name) => [name, tensor(1)])));
    expect(error.message).toContain('"t8", "t9" and 90 more, expected');
    expect(error.message).not.toContain('"t10"');
    expect(error.errors).toHaveLength(10);
  });

  test('an error quotes no more than a few lines of names and shapes of any length', () => {
    const name = 'x'.repeat(100_000);
    const shape = Array<number>(100_000).fill(1);
    expect(refusalOf({ [name]: tensor(1) }).message.length).toBeLessThan(500);
    expect(refusalOf({ ...ours, W_h: tensor(...shape) }).message.length).toBeLessThan(300);
  });

  test('names crafted to be slow to match are matched as fast as any', () => {
    const count = 500_000;
    const parts = ['x', '.', '/', '_l0', '0', 'weight_ih_l', 'kernel', '.weight', 'weight_ih_l0'];
    const names = parts.map((part) => part.repeat(count / part.length));
    const start = performance.now();
    for (const name of names) {
      for (const end of ['', '.weight', 'weight_ih_l0', '/kernel', '!']) {
        errorOf(() => imported({ ...torch, [name + end]: tensor(1) }));
        errorOf(() => imported({ [name + end]: tensor(1) }));
      }
    }
    // A few seconds on a slow machine; a pattern of quadratic time takes many minutes.
    expect(performance.now() - start).toBeLessThan(30_000);
  });
});

interface RandomModel {
  readonly D: number;
  readonly H: number;
  readonly W_x: Float32Array;
  readonly W_h: Float32Array;
  readonly b_ih: Float32Array;
  readonly b_hh: Float32Array;
}

const values = (length: number) =>
  fc.float32Array({
    minLength: length,
    maxLength: length,
    // The sum of two biases stays within float32.
    min: -(2 ** 126),
    max: 2 ** 126,
    noNaN: true,
  });

const models: fc.Arbitrary<RandomModel> = fc
  .tuple(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 6 }))
  .chain(([D, H]) =>
    fc.record({
      D: fc.constant(D),
      H: fc.constant(H),
      W_x: values(D * H),
      W_h: values(H * H),
      b_ih: values(H),
      b_hh: values(H),
    }),
  );

/** Element by element and not by the code under test: out[j][i] = in[i][j]. */
function transposed(data: Float32Array, rows: number, columns: number): Float32Array {
  return Float32Array.from({ length: data.length }, (_, at) => {
    const [j, i] = [Math.floor(at / rows), at % rows];
    return data[i * columns + j]!;
  });
}

describe('a random model', () => {
  test('a random model is the same model whatever its names', () => {
    fc.assert(
      fc.property(models, fc.boolean(), ({ D, H, W_x, W_h, b_ih, b_hh }, isWide) => {
        const as = (shape: number[], data: Float32Array) => ({
          shape,
          data: isWide ? new Float64Array(data) : data,
        });
        const b = b_ih.map((b_i, i) => b_i + b_hh[i]!);
        const expected: ImportedModel = {
          W_x: { shape: [D, H], data: W_x },
          W_h: { shape: [H, H], data: W_h },
          b: { shape: [H], data: b },
        };
        const files = [
          { W_x: as([D, H], W_x), W_h: as([H, H], W_h), b: as([H], b) },
          {
            'rnn.bias_hh_l0': as([H], b_hh),
            'rnn.bias_ih_l0': as([H], b_ih),
            'rnn.weight_hh_l0': as([H, H], transposed(W_h, H, H)),
            'rnn.weight_ih_l0': as([H, D], transposed(W_x, D, H)),
          },
          {
            'a/bias': as([H], b),
            'a/kernel': as([D, H], W_x),
            'a/recurrent_kernel': as([H, H], W_h),
          },
        ];
        for (const file of files) {
          const bytes = writeSafetensors(file);
          expect(shortForm(readModelFile(bytes, TANH).layers)).toEqual(expected);
          expect(shortForm(importCheckpoint(readSafetensors(bytes), TANH).layers)).toEqual(expected);
        }
      }),
      { numRuns: runs(300) },
    );
  });

  test('a file of random names and shapes is read or refused, and nothing else happens', () => {
    const known = Object.keys({ ...ours, ...readout, ...torch, ...linear, ...keras });
    const names = fc.oneof(fc.constantFrom(...known), fc.string());
    const shapes = fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 3 });
    const made = shapes.map((shape) => tensor(...shape));
    fc.assert(
      fc.property(fc.array(fc.tuple(names, made), { maxLength: 7 }), (entries) => {
        const error = errorOf(() => importCheckpoint(new Map(entries), TANH));
        expect(error === undefined || error instanceof CarryoverError).toBe(true);
      }),
      { numRuns: runs(2_000) },
    );
  });
});
