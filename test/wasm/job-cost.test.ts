import { describe, expect, test } from 'vitest';
import type { LayerSpec, RecurrentSpec } from '../../src/layers.ts';
import { costOf, timeBlockOf } from '../../src/wasm/job-cost.ts';

const rnn = (D: number, H: number): RecurrentSpec => ({ type: 'rnn', activation: 'tanh', direction: 'forward', D, H });
const gru = (D: number, H: number): RecurrentSpec => ({ type: 'gru', reset: 'after', direction: 'forward', D, H });
const lstm = (D: number, H: number): RecurrentSpec => ({ type: 'lstm', direction: 'forward', D, H });
const dense = (I: number, O: number): LayerSpec => ({ type: 'dense', activation: 'linear', I, O });

const shape = { T: 10, N: 4, keepsStates: false, trace: false };
const flopsOf = (layers: readonly LayerSpec[], more = {}) => costOf(layers, { ...shape, ...more }).flops;

describe('the operations of a job', () => {
  test('those of a tanh layer are two for each product', () => {
    expect(flopsOf([rnn(100, 200)])).toBe(2 * 10 * 4 * 300 * 200);
  });

  test.each([
    ['gru', gru, 3],
    ['lstm', lstm, 4],
  ] as const)('a %s has products for each gate, and functions', (_, cell, gates) => {
    const products = gates * flopsOf([rnn(100, 200)]);
    const flops = flopsOf([cell(100, 200)]);
    expect(flops).toBeGreaterThan(products);
    expect(flops).toBeLessThan(1.2 * products);
  });

  test('those of narrow layers count twice, as float64 takes twice as long', () => {
    expect(flopsOf([rnn(20, 30)])).toBe(2 * (2 * 10 * 4 * 50 * 30));
  });

  test('both directions count, and all layers', () => {
    const one = flopsOf([lstm(100, 200)]);
    expect(flopsOf([{ ...lstm(100, 200), direction: 'bidirectional' }])).toBe(2 * one);
    expect(flopsOf([lstm(100, 200), gru(200, 100)])).toBe(one + flopsOf([gru(200, 100)]));
  });

  test('only steps that rows have count', () => {
    expect(flopsOf([lstm(100, 200)], { lengths: [10, 0, 5, 5] })).toBe(flopsOf([lstm(100, 200)]) / 2);
  });

  test('the head counts for the final states, or for all states that are kept; layers in front for all steps', () => {
    const base = flopsOf([rnn(100, 200)]);
    const head = 2 * 4 * 200 * 30;
    expect(flopsOf([rnn(100, 200), dense(200, 30)])).toBe(base + head);
    expect(flopsOf([rnn(100, 200), dense(200, 30)], { keepsStates: true })).toBe(base + 10 * head);
    expect(flopsOf([dense(50, 100), rnn(100, 200)])).toBe(base + 10 * (2 * 4 * 50 * 100) * 2);
  });

  test('weights that are read count as often as they are read: W_h at each step, W_x once for each time block', () => {
    const { weightsBytes, readBytes } = costOf([lstm(100, 200)], shape);
    expect(weightsBytes).toBe(300 * 4 * 200 * 4);
    expect(readBytes).toBe((10 * 200 + 100) * 4 * 200 * 4);
    // A time block is 4 steps here.
    expect(timeBlockOf([lstm(100, 200)], 10, 10)).toBe(4);
    expect(costOf([lstm(100, 200)], { ...shape, N: 10 }).readBytes).toBe((10 * 200 + 2.5 * 100) * 4 * 200 * 4);
  });
});

describe('a time block', () => {
  test('the gates of all rows fit in 128 KiB, or in an eighth of the bytes of W_x', () => {
    expect(timeBlockOf([rnn(256, 256)], 100, 32)).toBe(4);
    expect(timeBlockOf([lstm(256, 256)], 100, 32)).toBe(1);
    expect(timeBlockOf([lstm(1024, 1024)], 100, 32)).toBe(4);
    expect(timeBlockOf([lstm(1024, 1024)], 100, 1)).toBe(63);
  });

  test('a time block has no more steps than the sequence', () => {
    expect(timeBlockOf([rnn(64, 64)], 7, 1)).toBe(7);
  });
});
