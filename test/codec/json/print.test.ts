import { describe, expect, test } from 'vitest';
import { objectToJson, tensorToJson } from '../../../src/codec/json/print.ts';
import { swapAxes } from '../../../src/tensor.ts';

const view = {
  shape: [2, 3, 2],
  strides: [24, 8, 1],
  data: Float32Array.from({ length: 48 }, (_, i) => i / 10),
};

describe('tensorToJson', () => {
  test('nested arrays follow the axes and leave out the padding', () => {
    expect(tensorToJson(view)).toBe(
      '[[[0,0.1],[0.8,0.9],[1.6,1.7]],[[2.4,2.5],[3.2,3.3],[4,4.1]]]',
    );
  });

  test('the first two axes are exchanged on request', () => {
    expect(tensorToJson(swapAxes(view))).toBe(
      '[[[0,0.1],[2.4,2.5]],[[0.8,0.9],[3.2,3.3]],[[1.6,1.7],[4,4.1]]]',
    );
  });

  test('the sign of zero is kept', () => {
    const data = Float32Array.of(0, -0);
    expect(tensorToJson({ shape: [2], strides: [1], data })).toBe('[0,-0]');
    expect(Object.is(JSON.parse('[0,-0]')[1], -0)).toBe(true);
  });
});

test('objectToJson leaves undefined fields out', () => {
  expect(objectToJson({ a: '[1]', b: undefined, c: '2' })).toBe('{"a":[1],"c":2}');
});
