import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { kernels, memory } from '../helpers/kernels.ts';
import { brokenPromises, checkTanh } from './tanh-check.ts';
import { deriveConstants } from './tanh-coefficients.ts';

const ptr = memory.allocate(64);

function tanhOf(...values: number[]): number[] {
  const x = memory.f32(ptr, 8);
  x.fill(0);
  x.set(values);
  kernels.tanh(ptr, ptr, 8);
  return [...x.subarray(0, values.length)];
}

describe('tanh', () => {
  test('tanh is within 1 ulp of the correctly rounded result for every 97th float32', () => {
    const findings = checkTanh(97, 3);
    expect(findings.inputs).toBeGreaterThan(44_000_000);
    expect(brokenPromises(findings)).toEqual({});
    console.log(
      `tanh: worst ${findings.worst.ulps.toFixed(3)} ulp at ${findings.worst.x}; ` +
        `${findings.oneUlpOff} of ${findings.inputs / 2} not correctly rounded`,
    );
  });

  test('tanh keeps zeros and subnormals, saturates, and returns NaN for NaN', () => {
    const smallest = 2 ** -149;
    expect(tanhOf(0, -0, smallest, -smallest)).toEqual([0, -0, smallest, -smallest]);
    expect(tanhOf(Infinity, -Infinity, 3.4e38, NaN)).toEqual([1, -1, 1, NaN]);
    const top = Math.fround(9.010913848876953);
    const below = top - 2 ** -20;
    expect(tanhOf(top, -top, below, -below)).toEqual([1, -1, 1 - 2 ** -24, -(1 - 2 ** -24)]);
  });

  test('control: the check finds one wrong bit pattern of each kind', () => {
    const planted = (at: number, wrong: (bits: number) => number) =>
      checkTanh(9_973, 1, {
        tanh: (source, target, count) => {
          kernels.tanh(source, target, count);
          const x = memory.u32(source, count);
          const y = memory.u32(target, count);
          for (let i = 0; i < count; i++) if (x[i] === at) y[i] = wrong(y[i]!);
        },
      });
    const half = 9_973 * Math.round(0x3f000000 / 9_973);
    const twoOff = planted(half, (bits) => bits + 2);
    expect(brokenPromises(twoOff)).toMatchObject({ furtherOff: 1, notOdd: 1, referenceDiffers: 1 });
    const far = planted(half, (bits) => bits + 0x10_0000);
    expect(brokenPromises(far)).toMatchObject({ decreasing: 1 });
    const one = planted(half, () => 0x3f80_0000);
    expect(brokenPromises(one)).toMatchObject({ wrongOne: 1 });
    const lostNaN = planted(9_973 * Math.ceil(0x7fc00000 / 9_973), () => 0);
    expect(brokenPromises(lostNaN)).toMatchObject({ wrongNaN: 1 });
  });
});

test('the constants in the kernel are those that the fits derive', () => {
  const source = readFileSync(join(import.meta.dirname, '../../src/kernels/tanh.ts'), 'utf8');
  const inKernel = Object.fromEntries(
    [...source.matchAll(/^ {2}(\S+), \/\/ (\w+) = /gm)].map(([, value, name]) => [
      name,
      Number(value),
    ]),
  );
  expect(inKernel).toMatchObject(deriveConstants());
});
