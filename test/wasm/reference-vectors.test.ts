// Torch's results: models with layers in float64 over the same float32 values. They fix the order of the gates, where
// each bias is added and where a GRU resets: with anything else exchanged the errors are not those of rounding.
import { describe, expect, test } from 'vitest';
import {
  GATES,
  gatesOf,
  isRecurrent,
  type Layer,
  type RecurrentLayer,
  type RecurrentWeights,
} from '../../src/layers.ts';
import { referenceModel } from '../../src/wasm/reference/model.ts';
import { type CellVector, type Computed, errorsOf, readCells, readTanhVectors } from '../helpers/cells.ts';
import { runLayers } from '../helpers/kernels.ts';

const cells = readCells();
const vectors = [...cells, ...readTanhVectors()];

type Compute = (layers: CellVector['layers'], input: CellVector['input']) => Computed;

const IMPLEMENTATIONS: readonly [string, Compute][] = [
  ['the plain reference', referenceModel],
  ['the kernels', (layers, input) => runLayers(layers, input)],
];

describe.each(IMPLEMENTATIONS)('%s', (_, compute) => {
  test.each(vectors)('$name has at most the error of torch in float32', (vector) => {
    const errors = errorsOf(vector, compute(vector.layers, vector.input));
    const worst = Math.max(...Object.values(errors));
    expect(worst, `errors as multiples of torch's: ${JSON.stringify(errors)}`).toBeLessThanOrEqual(1);
  });
});

test('all vectors are present', () => {
  expect([cells.length, vectors.length]).toEqual([23, 33]);
});

/** The smallest error of a model that is wrong in one respect; those of rounding are below 1e-5. */
const WRONG = 1e-3;

describe('controls: the vectors tell apart', () => {
  const withCell = (type: 'gru' | 'lstm') => cells.filter(({ layers }) => layers.some((layer) => layer.type === type));

  /** Absolute, over all tensors, with every recurrent layer exchanged for another one. */
  const errorWith = (vector: CellVector, change: (layer: RecurrentLayer) => RecurrentLayer) => {
    const layers = vector.layers.map((layer): Layer => (isRecurrent(layer) ? change(layer) : layer));
    return Math.max(...Object.values(errorsOf(vector, referenceModel(layers, vector.input)))) * vector.torchError;
  };

  test.each([...withCell('gru'), ...withCell('lstm')])('$name: each gate from each other', (vector) => {
    const { length } = vector.layers.some(({ type }) => type === 'lstm') ? GATES.lstm : GATES.gru;
    for (let one = 0; one < length; one++) {
      for (let other = 0; other < one; other++) {
        const error = errorWith(vector, (layer) => withGatesExchanged(layer, one, other));
        expect(error, `gates ${one} and ${other} exchanged`).toBeGreaterThan(WRONG);
      }
    }
  });

  test.each(withCell('gru'))('$name: reset after and before', (vector) => {
    expect(errorWith(vector, withOtherReset)).toBeGreaterThan(WRONG);
  });

  test.each(withCell('gru').filter(hasOwnBias))('$name: on which side of the reset the bias of h W_hn is', (vector) => {
    expect(errorWith(vector, (layer) => mapWeights(layer, withMergedBias))).toBeGreaterThan(WRONG);
  });

  test.each(cells.filter(({ layers }) => layers.some(isReversed)))('$name: the directions', (vector) => {
    const turned = { forward: 'reverse', reverse: 'forward', bidirectional: 'bidirectional' } as const;
    const change = (layer: RecurrentLayer) => ({
      ...layer,
      direction: turned[layer.direction],
      ...(layer.backward && { weights: layer.backward, backward: layer.weights }),
    });
    expect(errorWith(vector, change)).toBeGreaterThan(WRONG);
  });
});

function isReversed(layer: Layer): boolean {
  return isRecurrent(layer) && layer.direction !== 'forward';
}

function hasOwnBias({ layers }: CellVector): boolean {
  return layers.some((layer) => isRecurrent(layer) && layer.weights.b_hn?.some((bias) => bias !== 0));
}

function mapWeights(layer: RecurrentLayer, map: (weights: RecurrentWeights) => RecurrentWeights): RecurrentLayer {
  return { ...layer, weights: map(layer.weights), backward: layer.backward && map(layer.backward) };
}

/** The columns of each of two gates in the place of the other's. */
function withGatesExchanged(layer: RecurrentLayer, one: number, other: number): RecurrentLayer {
  const { H } = layer;
  const columns = gatesOf(layer) * H;
  const exchange = (rows: Float32Array) =>
    rows.map((value, i) => {
      const gate = Math.floor((i % columns) / H);
      if (gate === one) return rows[i + (other - one) * H]!;
      return gate === other ? rows[i + (one - other) * H]! : value;
    });
  return mapWeights(layer, ({ W_x, W_h, b, ...rest }) => ({
    ...rest,
    W_x: exchange(W_x),
    W_h: exchange(W_h),
    b: exchange(b),
  }));
}

function withOtherReset(layer: RecurrentLayer): RecurrentLayer {
  if (layer.type !== 'gru') return layer;
  if (layer.reset === 'after') {
    const before = mapWeights(layer, (weights) => ({ ...withMergedBias(weights), b_hn: undefined }));
    return { ...before, type: 'gru', reset: 'before' };
  }
  const after = mapWeights(layer, (weights) => ({ ...weights, b_hn: new Float32Array(layer.H) }));
  return { ...after, type: 'gru', reset: 'after' };
}

/** Both biases of n outside the reset. */
function withMergedBias({ b, b_hn, ...rest }: RecurrentWeights): RecurrentWeights {
  if (!b_hn) return { ...rest, b };
  const from = b.length - b_hn.length;
  return { ...rest, b: b.map((bias, j) => bias + (b_hn[j - from] ?? 0)), b_hn: new Float32Array(b_hn.length) };
}
