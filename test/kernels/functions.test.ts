import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { kernels, memory } from '../helpers/kernels.ts';
import { sized } from '../helpers/long.ts';
import { FUNCTION_NAMES, type FunctionName, brokenPromises, checkFunction } from './function-check.ts';
import { deriveConstants } from './function-coefficients.ts';
import { PLANTED_STRIDE, plantErrors } from './planted-errors.ts';

const ptr = memory.allocate(64);

function results(name: FunctionName, ...values: number[]): number[] {
  const x = memory.f32(ptr, 8);
  x.fill(0);
  x.set(values);
  kernels[name](ptr, ptr, 8);
  return [...x.subarray(0, values.length)];
}

const SMALLEST = 2 ** -149;
/** The float below 1. */
const BELOW_1 = 1 - 2 ** -24;
const LARGEST = (2 - 2 ** -23) * 2 ** 127;

/** A prime; `npm run verify:functions` has every float32. */
const STRIDE = sized({ short: 397, long: 97 });

test.each(FUNCTION_NAMES)(`%s keeps its promises for every ${STRIDE}th float32`, (name) => {
  const findings = checkFunction(name, { stride: STRIDE, referenceStride: 53 });
  expect(findings.inputs).toBeGreaterThan(4_260_000_000 / STRIDE);
  expect(brokenPromises(findings)).toEqual({});
  const { worst, oneUlpOff, inputs } = findings;
  const ulps = worst.ulps.toFixed(3);
  console.log(`${name}: worst ${ulps} ulp at ${worst.x}; ${oneUlpOff} of ${inputs} not correctly rounded`);
});

describe('special values', () => {
  test('tanh keeps zeros and subnormals, saturates, and returns NaN for NaN', () => {
    expect(results('tanh', 0, -0, SMALLEST, -SMALLEST)).toEqual([0, -0, SMALLEST, -SMALLEST]);
    expect(results('tanh', Infinity, -Infinity, LARGEST, NaN)).toEqual([1, -1, 1, NaN]);
    const top = Math.fround(9.010913848876953);
    const below = top - 2 ** -20;
    expect(results('tanh', top, -top, below, -below)).toEqual([1, -1, BELOW_1, -BELOW_1]);
  });

  test('the sigmoid is 1/2 at zero, 0 and 1 at infinity, subnormal before it is 0, and NaN for NaN', () => {
    expect(results('sigmoid', 0, -0, SMALLEST, -SMALLEST)).toEqual([0.5, 0.5, 0.5, 0.5]);
    expect(results('sigmoid', Infinity, -Infinity, LARGEST, -LARGEST, NaN)).toEqual([1, 0, 1, 0, NaN]);
    // 1 - sigmoid(x) is 2^-25, the middle between 1 and the float below, for x = ln(2^25 - 1) = 17.3286795
    const top = Math.fround(17.32868);
    expect(results('sigmoid', top, top - 2 ** -19)).toEqual([1, BELOW_1]);
    // exp(-103.972081) is 2^-150, the middle between 0 and the smallest float
    expect(results('sigmoid', -103.97209, -103.97207, -103.2)).toEqual([0, SMALLEST, SMALLEST]);
    expect(results('sigmoid', -100)).toEqual([27 * SMALLEST]);
  });

  test('exp is 1 at zero, 0 and infinity at infinity and where it leaves the floats, and NaN for NaN', () => {
    expect(results('exp', 0, -0, SMALLEST, -SMALLEST)).toEqual([1, 1, 1, 1]);
    expect(results('exp', Infinity, -Infinity, LARGEST, -LARGEST, NaN)).toEqual([Infinity, 0, Infinity, 0, NaN]);
    // exp(88.7228391) is 2^128 (1 - 2^-25), the middle between the largest float and what rounds to infinity
    expect(results('exp', 88.72284)).toEqual([Infinity]);
    expect(results('exp', 88.72283)[0]).toBeLessThan(Infinity);
    expect(results('exp', -103.97209, -103.97207, -103.2)).toEqual([0, SMALLEST, SMALLEST]);
    expect(results('exp', -100)).toEqual([27 * SMALLEST]);
    expect(results('exp', -(2 ** -25), 2 ** -25)).toEqual([1, 1]);
  });
});

test.each(FUNCTION_NAMES)('control: the check of %s finds one wrong result of each kind', (name) => {
  for (const { what, kernel, expected } of plantErrors(name)) {
    const findings = checkFunction(name, { stride: PLANTED_STRIDE, referenceStride: 1, kernel });
    expect(brokenPromises(findings), what).toMatchObject(expected);
  }
});

test.each(FUNCTION_NAMES)('the constants in the kernel of %s are those that the fits derive', (name) => {
  const source = readFileSync(join(import.meta.dirname, `../../src/kernels/${name}.ts`), 'utf8');
  const constants = [...source.matchAll(/^ {2}(\S+), \/\/ (\w+) = (0x[0-9a-f]{8})/gm)];
  const inKernel = Object.fromEntries(constants.map(([, value, of]) => [of, Number(value)]));
  expect(inKernel).toMatchObject(deriveConstants()[name]);
  const view = new DataView(new ArrayBuffer(4));
  for (const [, value, of, bits] of constants) {
    view.setFloat32(0, Number(value));
    expect(view.getUint32(0), of).toBe(Number(bits));
  }
});
