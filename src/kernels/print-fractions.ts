// Prints fractions, four at a time, as the shortest decimal that reads back, of those the nearest. A fraction here is a
// float32 of magnitude 2^-16 to 1 that is no power of two, as most hidden states are.
//
// Exact integers suffice for them. For c 2^-F, with K such that 10^-K ≤ 2^-F < 10^-(K-1), the width 2^-F 10^K of the
// interval that rounds to c is 1 to below 10 units of 10^-K. The width has 32 bits and c times it 56, both with
// POINT_BITS fractional bits, and both are exact. If a multiple of ten units lies within half the width, it has fewer
// digits and is the result; else the nearest whole number of units is. Either has at most nine digits.
//
// Powers of two are excluded because the floats below them are half as far apart.
import { COMMA, ZERO } from './ascii';
import {
  FRACTIONS,
  FRACTION_EXPONENT_MAX,
  FRACTION_EXPONENT_MIN,
  NINE_DECIMALS_MAX,
  POINT_BITS,
} from './build/powers';

const SPAN: u32 = (FRACTION_EXPONENT_MAX - FRACTION_EXPONENT_MIN + 1) << 23;
const ZEROS: u64 = 0x3030303030303030;
const TEN: u32 = 10 << POINT_BITS;

// Division by a constant, as a product with its reciprocal: exact for what occurs.
const TENTH: u64 = 3435973837;
const TENTH_BITS: i32 = 35;
const TEN_THOUSANDTH: u64 = 3518437209;
const TEN_THOUSANDTH_BITS: i32 = 45;
/** After 4 bits; for x < 10^5. */
const TEN_THOUSANDTH_SHORT: u32 = 53688;
const TEN_THOUSANDTH_SHORT_BITS: i32 = 25;
/** For x < 10^4. */
const HUNDREDTH: u32 = 5243;
const HUNDREDTH_BITS: i32 = 19;
/** For x < 100. */
const TENTH_SHORT: u32 = 103;
const TENTH_SHORT_BITS: i32 = 10;

// Loaded into all lanes by every(): V8 builds a constant vector by three instructions.
const MAGNITUDE: usize = memory.data<u32>([0x7fffffff]);
/** Added to the bits of a magnitude, it makes fractions the smallest signed integers: those below LOWEST_END. */
const TO_LOWEST: usize = memory.data<u32>([0x80000000 - (FRACTION_EXPONENT_MIN << 23)]);
const LOWEST_END: usize = memory.data<u32>([0x80000000 + SPAN]);
const LAST_BITS: usize = memory.data<u32>([0x7fffff]);
const FIRST_BIT: usize = memory.data<u32>([0x800000]);
const EXPONENT_MIN: usize = memory.data<u32>([FRACTION_EXPONENT_MIN]);
const NINE_MAX: usize = memory.data<u32>([NINE_DECIMALS_MAX]);
const ONES: usize = memory.data<u32>([1]);
const FIVES: usize = memory.data<u32>([5]);
const NINES: usize = memory.data<u32>([9]);
const TENS: usize = memory.data<u32>([10]);
const TEN_UNITS: usize = memory.data<u32>([TEN]);
const TEN_THOUSANDS: usize = memory.data<u32>([10000]);
const TENTHS: usize = memory.data<u32>([<u32>TENTH]);
const TEN_THOUSANDTHS: usize = memory.data<u32>([<u32>TEN_THOUSANDTH]);
const TEN_THOUSANDTHS_SHORT: usize = memory.data<u32>([TEN_THOUSANDTH_SHORT]);
const HUNDREDTHS: usize = memory.data<u32>([HUNDREDTH]);
const TENTHS_SHORT: usize = memory.data<u32>([TENTH_SHORT * 0x10001]);
const ZERO_CHARACTERS: usize = memory.data<u32>([0x30]);
/** See digitsOf(). */
const TWOS_LESS: usize = memory.data<u32>([(100 << 16) - 1]);
const ONES_LESS: usize = memory.data<u32>([((10 << 8) - 1) * 0x10001]);

/** Whether the float32 with these bits is a fraction. */
// @ts-ignore: decorator
@inline
export function isFraction(bits: u32): bool {
  const inRange = (bits & 0x7fffffff) - (FRACTION_EXPONENT_MIN << 23) < SPAN;
  return inRange && (bits & 0x7fffff) != 0;
}

/** Whether all four float32 are fractions. */
// @ts-ignore: decorator
@inline
export function areFractions(bits: v128): bool {
  const moved = i32x4.add(v128.and(bits, every(MAGNITUDE)), every(TO_LOWEST));
  const inRange = i32x4.gt_s(every(LOWEST_END), moved);
  const isPower = i32x4.eq(v128.and(bits, every(LAST_BITS)), i64x2.splat(0));
  return i32x4.bitmask(v128.andnot(inRange, isPower)) == 15;
}

/** Prints four fractions, each with a comma after it; returns the end of what it printed. */
// @ts-ignore: decorator
@inline
export function printFractions(bits: v128, output: usize): usize {
  const exponents = i32x4.shr_u(v128.and(bits, every(MAGNITUDE)), 23);
  const entries = v128.or(
    i32x4.shl(i32x4.sub(exponents, every(EXPONENT_MIN)), 4),
    i32x4.shl(i32x4.shr_u(bits, 31), 8),
  );
  const entry0 = <usize>i32x4.extract_lane(entries, 0);
  const entry1 = <usize>i32x4.extract_lane(entries, 1);
  const entry2 = <usize>i32x4.extract_lane(entries, 2);
  const entry3 = <usize>i32x4.extract_lane(entries, 3);
  let width = v128.load32_zero(entry0, FRACTIONS);
  width = v128.load_lane<u32>(entry1, width, 1, FRACTIONS);
  width = v128.load_lane<u32>(entry2, width, 2, FRACTIONS);
  width = v128.load_lane<u32>(entry3, width, 3, FRACTIONS);

  const c = v128.or(v128.and(bits, every(LAST_BITS)), every(FIRST_BIT));
  const value01 = i64x2.extmul_low_i32x4_u(c, width);
  const value23 = i64x2.extmul_high_i32x4_u(c, width);
  const low = lowWords(value01, value23);
  const units = lowWords(i64x2.shr_u(value01, POINT_BITS), i64x2.shr_u(value23, POINT_BITS));
  const roundUp = v128.and(i32x4.shr_u(low, POINT_BITS - 1), every(ONES));
  const nearest = i32x4.add(units, roundUp);
  const tens = quotients(i32x4.add(units, every(FIVES)), TENTHS, TENTH_BITS);
  // Its magnitude is at most five units, so the low word holds all of it.
  const fromTens = i32x4.sub(low, i32x4.mul(tens, every(TEN_UNITS)));
  const inside = i32x4.sub(i32x4.shr_u(width, 1), v128.and(bits, every(ONES)));
  const isOutside = i32x4.gt_s(i32x4.abs(fromTens), inside);
  const shortest = v128.bitselect(nearest, i32x4.mul(tens, every(TENS)), isOutside);
  const hasEight = i32x4.gt_s(exponents, every(NINE_MAX));
  const nine = i32x4.mul(shortest, i32x4.add(every(ONES), v128.and(hasEight, every(NINES))));

  const first5 = quotients(nine, TEN_THOUSANDTHS, TEN_THOUSANDTH_BITS);
  const last4 = i32x4.sub(nine, i32x4.mul(first5, every(TEN_THOUSANDS)));
  const first = i32x4.shr_u(
    i32x4.mul(i32x4.shr_u(first5, 4), every(TEN_THOUSANDTHS_SHORT)),
    TEN_THOUSANDTH_SHORT_BITS,
  );
  const middle4 = i32x4.sub(first5, i32x4.mul(first, every(TEN_THOUSANDS)));
  const firsts = i32x4.add(first, every(ZERO_CHARACTERS));
  const others01 = digitsOf(v128.shuffle<i32>(middle4, last4, 0, 4, 1, 5));
  const others23 = digitsOf(v128.shuffle<i32>(middle4, last4, 2, 6, 3, 7));
  output = put(entry0, i32x4.extract_lane(firsts, 0), i64x2.extract_lane(others01, 0), output);
  output = put(entry1, i32x4.extract_lane(firsts, 1), i64x2.extract_lane(others01, 1), output);
  output = put(entry2, i32x4.extract_lane(firsts, 2), i64x2.extract_lane(others23, 0), output);
  return put(entry3, i32x4.extract_lane(firsts, 3), i64x2.extract_lane(others23, 1), output);
}

/** Prints one fraction and a comma; returns the end of what it printed. */
// @ts-ignore: decorator
@inline
export function printFraction(bits: u32, output: usize): usize {
  const exponent = (bits >> 23) & 0xff;
  const entry = <usize>(((exponent - FRACTION_EXPONENT_MIN) << 4) | ((bits >> 31) << 8));
  const width = load<u32>(entry, FRACTIONS);
  const value = <u64>((bits & 0x7fffff) | 0x800000) * width;
  const units = <u32>(value >> POINT_BITS);
  const nearest = units + ((<u32>value >> (POINT_BITS - 1)) & 1);
  const tens = <u32>((<u64>(units + 5) * TENTH) >> TENTH_BITS);
  const fromTens = <u32>value - tens * TEN;
  const inside = (width >> 1) - (bits & 1);
  // -inside ≤ fromTens ≤ inside
  const isInside = fromTens + inside <= 2 * inside;
  const shortest = select<u32>(tens * 10, nearest, isInside);
  const nine = shortest * select<u32>(10, 1, exponent > NINE_DECIMALS_MAX);
  const first = <u32>((<u64>nine * 1441151881) >> 57);
  return put(entry, first + ZERO, eightDigits(nine - first * 100000000), output);
}

/**
 * The digits of x < 10^8, a byte each, the first one in the lowest byte: halves are divided by 100,
 * then by 10, side by side. 10486 / 2^20 and 103 / 2^10 are 1 / 100 and 1 / 10 for what occurs.
 */
// @ts-ignore: decorator
@inline
export function eightDigits(x: u32): u64 {
  const thousands = <u32>((<u64>x * TEN_THOUSANDTH) >> TEN_THOUSANDTH_BITS);
  const fours = <u64>thousands | (<u64>(x - thousands * 10000) << 32);
  const hundreds = ((fours * 10486) >> 20) & 0x7f0000007f;
  const twos = hundreds | ((fours - hundreds * 100) << 16);
  const tens = ((twos * 103) >> 10) & 0xf000f000f000f;
  return tens | ((twos - tens * 10) << 8);
}

/** The digits of four numbers below 10^4, a byte each, the first one in the lowest byte. */
// @ts-ignore: decorator
@inline
function digitsOf(fours: v128): v128 {
  const hundreds = i32x4.shr_u(i32x4.mul(fours, every(HUNDREDTHS)), HUNDREDTH_BITS);
  // hundreds | (fours - 100 hundreds) << 16, and so for tens.
  const twos = i32x4.sub(i32x4.shl(fours, 16), i32x4.mul(hundreds, every(TWOS_LESS)));
  const tens = i16x8.shr_u(i16x8.mul(twos, every(TENTHS_SHORT)), TENTH_SHORT_BITS);
  return i16x8.sub(i16x8.shl(twos, 8), i16x8.mul(tens, every(ONES_LESS)));
}

/**
 * Prints the table entry's prefix, nine digits without trailing zeros, and a comma; returns the end of what it
 * printed.
 */
// @ts-ignore: decorator
@inline
function put(entry: usize, first: u32, others: u64, output: usize): usize {
  store<u64>(output, load<u64>(entry, FRACTIONS + 8));
  output += load<u32>(entry, FRACTIONS + 4);
  store<u8>(output, first);
  store<u64>(output, others | ZEROS, 1);
  output -= <usize>(clz(others) >> 3);
  store<u8>(output, COMMA, 9);
  return output + 10;
}

/** The high part of x times the word at `reciprocal`: shifted right by `bits`. */
// @ts-ignore: decorator
@inline
function quotients(x: v128, reciprocal: usize, bits: i32): v128 {
  const low = i64x2.extmul_low_i32x4_u(x, every(reciprocal));
  const high = i64x2.extmul_high_i32x4_u(x, every(reciprocal));
  return lowWords(i64x2.shr_u(low, bits), i64x2.shr_u(high, bits));
}

/** The low words of four 64-bit lanes. */
// @ts-ignore: decorator
@inline
function lowWords(low: v128, high: v128): v128 {
  return v128.shuffle<i32>(low, high, 0, 2, 4, 6);
}

/** The word at this address in all four lanes. */
// @ts-ignore: decorator
@inline
function every(word: usize): v128 {
  return v128.load32_splat(word);
}
