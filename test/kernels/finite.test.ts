import { expect, test } from 'vitest';
import { areFinite } from '../../src/tensor.ts';
import { finiteCheck } from '../../src/wasm/finite.ts';
import { compileKernels, instantiateKernels } from '../../src/wasm/load.ts';
import { LinearMemory } from '../../src/wasm/memory.ts';

const memory = new LinearMemory(1024 * 1024);
const isFinite = finiteCheck(memory, instantiateKernels(compileKernels(), memory.memory));
const COUNT_MAX = 40;
const ptr = memory.allocate((COUNT_MAX + 4) * 4);

const FINITE = [0, -0, 1, -1, 3.4028234663852886e38, -3.4028234663852886e38, 1e-45, -1e-45, 1.17e-38];
const OTHERS = [NaN, Infinity, -Infinity];

test('a number that is not finite is found, wherever it is, and nothing else', () => {
  for (let shift = 0; shift < 4; shift++) {
    for (let count = 0; count <= COUNT_MAX; count++) {
      const numbers = memory.f32(ptr + shift * 4, count);
      // Its neighbours do not count.
      memory.f32(ptr, COUNT_MAX + 4).fill(NaN);
      numbers.forEach((_, i) => (numbers[i] = FINITE[i % FINITE.length]!));
      expect(isFinite(numbers), `${count} finite numbers`).toBe(true);
      expect(areFinite(numbers)).toBe(true);
      for (let i = 0; i < count; i++) {
        const before = numbers[i]!;
        numbers[i] = OTHERS[i % OTHERS.length]!;
        expect(isFinite(numbers), `${numbers[i]} at ${i} of ${count}`).toBe(false);
        expect(areFinite(numbers)).toBe(false);
        numbers[i] = before;
      }
    }
  }
});

test('every pattern of the exponent is classified, and NaN with any payload', () => {
  const numbers = memory.f32(ptr, 5);
  const words = memory.u32(ptr, 5);
  for (let exponent = 0; exponent < 256; exponent++) {
    for (const rest of [0, 1, 0x400000, 0x7fffff, 0x80000000, 0x80000001]) {
      words.fill(0).fill(((exponent << 23) | rest) >>> 0, 3, 4);
      expect(isFinite(numbers)).toBe(exponent < 255);
    }
  }
});

test('numbers outside linear memory are checked as well', () => {
  expect(isFinite(Float32Array.of(1, 2, 3))).toBe(true);
  expect(isFinite(Float32Array.of(1, NaN, 3))).toBe(false);
});

test('numbers up to the last byte of 4 GiB are checked', () => {
  const whole = new WebAssembly.Memory({ initial: 65_536, maximum: 65_536, shared: true });
  const high = instantiateKernels(compileKernels(), whole);
  const last = 2 ** 32 - 64;
  expect(high.areFinite(last, 16)).not.toBe(0);
  for (const i of [0, 3, 15]) {
    new Float32Array(whole.buffer, last, 16).fill(0).fill(NaN, i, i + 1);
    expect(high.areFinite(last, 16), `NaN at ${i} of the last 16`).toBe(0);
  }
});
