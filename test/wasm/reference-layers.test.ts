// The order of additions and the edges of layers in the plain reference, by numbers that show them.
import { describe, expect, test } from 'vitest';
import type { DenseActivation, Layer } from '../../src/layers.ts';
import { rowOf } from '../../src/wasm/reference/layers.ts';
import { referenceModel } from '../../src/wasm/reference/model.ts';

const { fround } = Math;

/** activation(x + b) of as many units as x has. */
function activate(activation: DenseActivation, x: readonly number[]): number[] {
  const size = x.length;
  const W = Float32Array.from({ length: size * size }, (_, i) => (i % (size + 1) === 0 ? 1 : 0));
  const layer: Layer = { type: 'dense', I: size, O: size, activation, W, b: new Float32Array(size) };
  return [...rowOf(layer, Float32Array.from(x))];
}

describe('the order of additions', () => {
  /** 2^24, beside which float32 loses a 1, among ones: eight before it, sixteen in the next block of 16, then two. */
  const numberAt = (k: number) => {
    if (k === 8) return 2 ** 24;
    return k < 8 || (k >= 16 && k <= 32) || k === 48 ? 1 : 0;
  };

  test.each([
    { I: 96, order: 'in float64', sum: 2 ** 24 + 26 },
    { I: 97, order: 'in blocks of 16', sum: 2 ** 24 + 8 + 16 },
    { I: 193, order: 'in blocks of 32', sum: 2 ** 24 + 8 + 2 },
    { I: 769, order: 'in blocks of 64', sum: 2 ** 24 + 8 },
  ])('$I products are added $order', ({ I, sum }) => {
    const [W, b] = [new Float32Array(I).fill(1), new Float32Array(1)];
    const layer: Layer = { type: 'dense', I, O: 1, activation: 'linear', W, b };
    expect([...rowOf(layer, Float32Array.from({ length: I }, (_, k) => numberAt(k)))]).toEqual([sum]);
  });

  test.each([
    { D: 79, sum: 2 ** 24 + 2 },
    { D: 80, sum: 2 ** 24 },
  ])('with D = $D inputs, each block of h W_h is added to the sum of x W_x', ({ D, sum }) => {
    const H = 17;
    const weights = {
      W_x: new Float32Array(D * H).fill(1),
      W_h: new Float32Array(H * H).fill(1),
      b: new Float32Array(H),
    };
    const layer: Layer = { type: 'rnn', activation: 'relu', direction: 'forward', D, H, weights };
    const x = Float32Array.from({ length: D }, (_, k) => (k === 0 ? 2 ** 24 : 0));
    // One in each of two blocks.
    const h = Float32Array.from({ length: H }, (_, k) => (k % 16 === 0 ? 1 : 0));
    expect(new Set(referenceModel([layer], { T: 1, N: 1, x, h: [h] }).hs)).toEqual(new Set([sum]));
  });
});

describe('activations', () => {
  test('relu is +0 for -0 and below, and NaN for NaN', () => {
    expect(activate('relu', [-0, -1, 2])).toEqual([0, 0, 2]);
    const weights = { W_x: Float32Array.of(1), W_h: Float32Array.of(0), b: Float32Array.of(0) };
    const layer: Layer = { type: 'rnn', activation: 'relu', direction: 'forward', D: 1, H: 1, weights };
    expect([...referenceModel([layer], { T: 1, N: 1, x: Float32Array.of(NaN) }).hs]).toEqual([NaN]);
  });

  test('softmax does not overflow, and gives the largest its share', () => {
    expect(activate('softmax', [3e38, 3e38, -3e38])).toEqual([0.5, 0.5, 0]);
    expect(activate('softmax', [-1_000])).toEqual([1]);
  });

  test('softmax adds eight partial sums in pairs', () => {
    // exp(0) = 1 and 2^-24 for 16 others: one by one all of them are lost beside the 1.
    const small = Math.log(2 ** -24);
    const e = fround(Math.exp(fround(small)));
    const z = [0, ...Array<number>(16).fill(small)];
    // Lane 0 has 1 and two of them, each lane 1 … 7 two; 1 + 14 e is rounded, lane 0 with 1 + 2 e first.
    const lane0 = fround(fround(1 + e) + e);
    const two = fround(e + e);
    const sum = fround(fround(fround(lane0 + two) + fround(two + two)) + fround(fround(two + two) + fround(two + two)));
    expect(activate('softmax', z)[0]).toBe(fround(1 / sum));
  });

  test('an affine layer rounds once', () => {
    const [x, scale] = [1 + 2 ** -12, 1 + 2 ** -12];
    const offset = Float32Array.of(-1 - 2 ** -11);
    const layer: Layer = { type: 'affine', D: 1, scale: Float32Array.of(scale), offset };
    expect([...rowOf(layer, Float32Array.of(x))]).toEqual([2 ** -24]);
  });
});

test('the state of a row without steps passes through the layers behind it', () => {
  const weights = { W_x: Float32Array.of(1), W_h: Float32Array.of(1), b: Float32Array.of(0) };
  const layers: Layer[] = [
    { type: 'rnn', activation: 'tanh', direction: 'bidirectional', D: 1, H: 1, weights, backward: weights },
    { type: 'affine', D: 2, scale: Float32Array.of(10, 100), offset: Float32Array.of(1, 2) },
  ];
  const h = [Float32Array.of(0.5), Float32Array.of(0.25)];
  const { y, h: after } = referenceModel(layers, { T: 2, N: 1, x: Float32Array.of(1, 1), lengths: [0], h });
  expect([...y!]).toEqual([6, 27]);
  expect(after).toEqual(h);
});
