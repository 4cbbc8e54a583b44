import { expect, test } from 'vitest';
import type { LayerSpec } from '../../src/layers.ts';
import { ByShape } from '../../src/wasm/by-shape.ts';
import { costOf } from '../../src/wasm/job-cost.ts';

const shape = { T: 10, N: 4, keepsStates: false, trace: false, xPtr: undefined, hPtr: undefined };

test.each([
  ['T', { T: 11 }],
  ['N', { N: 5 }],
  ['keepsStates', { keepsStates: true }],
  ['trace', { trace: true }],
  ['whether x is given', { xPtr: 64 }],
  ['whether h is given', { hPtr: 64 }],
])('shapes that differ in %s have values of their own', (_, change) => {
  const values = new ByShape<string>();
  values.add(shape, 'one');
  expect(values.find({ ...shape, ...change })).toBeUndefined();
  values.add({ ...shape, ...change }, 'other');
  expect(values.find(shape)).toBe('one');
  expect(values.find({ ...shape, ...change })).toBe('other');
});

test('where x and h are makes no difference', () => {
  const values = new ByShape<string>();
  values.add({ ...shape, xPtr: 64, hPtr: 128 }, 'given');
  expect(values.find({ ...shape, xPtr: 640, hPtr: 1280 })).toBe('given');
});

test('of many shapes the latest are kept', () => {
  const values = new ByShape<number>();
  for (let N = 1; N <= 100; N++) values.add({ ...shape, N }, N);
  expect(values.find({ ...shape, N: 1 })).toBeUndefined();
  expect(values.find({ ...shape, N: 100 })).toBe(100);
  expect(values.find({ ...shape, N: 85 })).toBe(85);
});

test('the cost of a job is that of a model that was never asked before', () => {
  const spec: LayerSpec = { type: 'lstm', direction: 'forward', D: 100, H: 200 };
  const layers = [spec];
  for (let round = 0; round < 2; round++) {
    for (let N = 1; N <= 40; N++) {
      expect(costOf(layers, { ...shape, N })).toEqual(costOf([spec], { ...shape, N }));
      expect(costOf(layers, { ...shape, N, lengths: Array(N).fill(5) }).flops).toBe(costOf([spec], { ...shape, N, T: 5 }).flops);
    }
  }
});
