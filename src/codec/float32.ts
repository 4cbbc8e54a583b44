// The shortest decimal of a float32: the fewest digits that are read as the same float32 by
// Math.fround(Number(decimal)), which is how the contract defines reading.
//
// JavaScript prints the shortest decimal of a float64, so the float32 nearest to 0.1 is printed as
// 0.10000000149011612. shortest() returns the float64 that is nearest to the shortest decimal of the float32;
// printing that one gives `0.1`.
import { CarryoverError } from '../errors.ts';

/** 2^128 - 2^103: from here on, rounding to float32 gives infinity (IEEE 754, ties to even). */
const FLOAT32_OVERFLOW = 3.4028235677973366e38;

/** Whether a number rounds to a finite float32. */
export function hasFloat32(value: number): boolean {
  return Math.abs(value) < FLOAT32_OVERFLOW;
}

/** The error out_of_range for an element, at `pointer` in the request, for which hasFloat32() is false. */
export function beyondFloat32(pointer: string, value: number): CarryoverError {
  const message = Number.isNaN(value)
    ? `${pointer} is NaN, expected a number.`
    : `${pointer} is beyond float32, whose largest magnitude is 3.4028235e38.`;
  return new CarryoverError('out_of_range', { detail: message, errors: [{ pointer, message }] });
}

/** 10^k is exact in float64 up to here, so d / 10^k is the correctly rounded value of its decimal. */
const POWERS_OF_TEN = Array.from({ length: 23 }, (_, k) => Number(`1e${k}`));

/**
 * By biased exponent of a float32: the smallest k with 10^-k ≤ 2^(E-23), one unit in the last place.
 * On a grid that fine some decimal lies within half a unit, so k decimals (at a power of two, where
 * the unit below is half as large, k + 1) always suffice.
 */
const DECIMALS_SUFFICIENT = Array.from({ length: 256 }, (_, exponent) =>
  Math.ceil((23 + 127 - Math.max(1, exponent)) * Math.log10(2)),
);

const bits = new Uint32Array(1);
const float = new Float32Array(bits.buffer);
const { fround, abs, floor } = Math;

/** The float64 whose printed form is the shortest decimal of the float32 `value`. */
export function shortest(value: number): number {
  float[0] = value;
  const exponent = (bits[0]! >>> 23) & 0xff;
  let k = DECIMALS_SUFFICIENT[exponent]!;
  if (k <= 0 || k >= 22) return value === 0 ? value : shortestByTrial(value);

  const magnitude = abs(value);
  let decimal = roundTo(magnitude, k);
  if (fround(decimal) !== magnitude) decimal = roundTo(magnitude, ++k);
  while (k > 0) {
    const shorter = roundTo(magnitude, k - 1);
    if (fround(shorter) !== magnitude) break;
    decimal = shorter;
    k--;
  }
  return value < 0 ? -decimal : decimal;
}

/** The float64 nearest to `magnitude` rounded to k decimals. */
function roundTo(magnitude: number, k: number): number {
  const power = POWERS_OF_TEN[k]!;
  return floor(magnitude * power + 0.5) / power;
}

/** Slower, for magnitudes that hidden states seldom have: below 1e-13 and above 2^23. */
function shortestByTrial(value: number): number {
  const magnitude = abs(value);
  for (let digits = 1; digits < 9; digits++) {
    for (const decimal of candidatesOf(magnitude, digits)) {
      if (fround(decimal) === magnitude) return value < 0 ? -decimal : decimal;
    }
  }
  return Number(value.toPrecision(9));
}

/**
 * The nearest decimal with that many digits, and the next larger one. Above a power of two the floats are twice as
 * far apart as below it, so the larger may be read as `magnitude` where the nearest is not.
 */
function candidatesOf(magnitude: number, digits: number): readonly number[] {
  const [fraction, exponent] = magnitude.toExponential(digits - 1).split('e') as [string, string];
  const whole = Number(fraction.replace('.', ''));
  const power = Number(exponent) - (digits - 1);
  return [Number(`${whole}e${power}`), Number(`${whole + 1}e${power}`)];
}
