// Reads the numbers of a tensor's rows, whatever JSON allows, to the float32 that
// Math.fround(Number(text)) gives.
//
// The digits make an integer w and a power of ten e; w 10^e is computed in float64, off by at most a
// known part of it. If all of that margin rounds to one float32, it is the right one. If not (the number
// is, or nearly is, the middle of two float32), it is noted as a doubt, which the host resolves.
import {
  DOUBT_BYTES,
  DOUBT_NUMBER,
  DOUBT_TEXT,
  DOUBT_TEXT_END,
  READ_DOUBTS,
  READ_DOUBTS_MAX,
  READ_NUMBERS,
  READ_NUMBERS_MAX,
} from './layout';
import { CLOSE, COMMA, MINUS, PLUS, POINT, SMALL_E, ZERO, skipSpace } from './ascii';
import { READ_POWER_MAX, TEN, TEN_EXACT } from './build/powers';

const ZEROS: u64 = 0x3030303030303030;
const HIGH_BITS: u64 = 0x8080808080808080;
/** Digits that a 64-bit integer holds, whatever they are. */
const DIGITS_MAX: i32 = 19;
/** Up to here integers are float64s. */
const EXACT_INTEGER_MAX: u64 = 1 << 53;
/** Up to here powers of ten are float64s. */
const EXACT_POWER_MAX: i32 = 22;
/** How far a float64 may be off, as a part of it: 2^-50 if computed, 0 if exact. */
const MARGINS: usize = memory.data<f64>([8.881784197001252e-16, 0]);
/** More than any number of digits can make up for; the sum of both does not overflow. */
const EXPONENT_MAX: i32 = 1000000000;

/** Of a plain number, see readRow(). */
const PLAIN_DECIMALS_MAX: u32 = 18;
/** From byte n on there are 16 - n bytes of zeros, then n of ones; for n = 0 … 16. */
const LAST_BYTES: usize = memory.data<u64>([0, 0, -1, -1, -1, -1]);

// Of the text that is being read.
/** Where the next number goes. */
export let numbers: usize;
let numbersMax: usize;
/** Where the next doubt goes. */
export let doubts: usize;
let doubtsMax: usize;

/** Begins with the numbers of the record at `job`. */
export function startNumbers(job: usize): void {
  numbers = load<u32>(job, READ_NUMBERS);
  numbersMax = load<u32>(job, READ_NUMBERS_MAX);
  doubts = load<u32>(job, READ_DOUBTS);
  doubtsMax = load<u32>(job, READ_DOUBTS_MAX);
}

/**
 * Reads the numbers from `at` to the bracket that closes their array; returns where it ends, 0 if
 * there is anything unusual in it.
 *
 * Most numbers are plain: up to 8 digits, a point, up to PLAIN_DECIMALS_MAX digits, 19 together. The
 * end of such a one is found from a mask of 32 bytes before any of its digits is looked at, and no
 * jump depends on how many there are, so that the processor is at the next number meanwhile. All
 * others, and what is no number, are left to readOther().
 */
export function readRow(at: usize): usize {
  let target = numbers;
  const targetMax = numbersMax;
  while (true) {
    if (target == targetMax) return 0;
    const others = otherThanDigits(at);
    const negative = others & 1;
    const behindSign = others ^ negative;
    const point = <u32>ctz(behindSign);
    const first = load<u8>(at + negative) - ZERO;
    const whole = point - negative;
    let w = <u64>first;
    let isPlain = whole == 1;
    if (!isPlain) {
      isPlain = whole - 1 < 8 && first != 0;
      w = valueOf(at + negative, whole);
    }
    let end = point;
    let decimals: u32 = 0;
    if (load<u8>(at + point) == POINT) {
      end = <u32>ctz(behindSign & (behindSign - 1));
      decimals = end - point - 1;
      isPlain = isPlain && decimals - 1 < PLAIN_DECIMALS_MAX && whole + decimals <= <u32>DIGITS_MAX;
      let last16 = decimals;
      if (decimals > 12) {
        // Branchless once more: texts with so many digits have 15 to 18 in turn.
        const beyond = <u32>(<i32>(decimals - 16) & ~(<i32>(decimals - 16) >> 31));
        w = w * power(beyond) + valueOf(at + point + 1, beyond);
        last16 -= beyond;
      }
      w = w * power(last16 & 31) + valueOf16(at + end, last16 & 31);
    }
    const isSigned = load<u8>(at) == MINUS;
    isPlain = isPlain && <u32>isSigned == negative && (load<u8>(at + end) | 0x20) != SMALL_E;
    if (isPlain) {
      // 10^18 and 19 digits are within float64, so nothing can overflow.
      const near = <f64>w / load<f64>(TEN + (<usize>decimals << 3));
      const margin = near * load<f64>(MARGINS + (<usize>(w <= EXACT_INTEGER_MAX) << 3));
      const value = <f32>(near - margin);
      if (value != <f32>(near + margin) && !noteDoubt(at, at + end, target)) return 0;
      store<u32>(target, reinterpret<u32>(value) | (negative << 31));
      at += end;
    } else {
      at = readOther(at, target);
      if (!at) return 0;
    }
    target += 4;

    let character = load<u8>(at);
    if (character <= 0x20) {
      at = skipSpace(at);
      character = load<u8>(at);
    }
    at++;
    if (character == CLOSE) {
      numbers = target;
      return at;
    }
    if (character != COMMA) return 0;
    if (load<u8>(at) <= 0x20) at = skipSpace(at);
  }
}

/** Reads any number at `at` to `target`; returns where it ends, 0 if it is none or beyond float32. */
function readOther(at: usize, target: usize): usize {
  const start = at;
  const negative = load<u8>(at) == MINUS;
  if (negative) at++;
  const digitsStart = at;
  let run = digitsAt(at);
  if (run == 0 || (run > 1 && load<u8>(at) == ZERO)) return 0;
  while (run) run = digitsAt((at += run));

  let exponent: i32 = 0;
  if (load<u8>(at) == POINT) {
    const pointEnd = ++at;
    run = digitsAt(at);
    while (run) run = digitsAt((at += run));
    exponent = <i32>(pointEnd - at);
    if (exponent == 0) return 0;
  }
  const digitsEnd = at;
  if ((load<u8>(at) | 0x20) == SMALL_E) {
    const sign = load<u8>(++at);
    if (sign == PLUS || sign == MINUS) at++;
    let digit = load<u8>(at) - ZERO;
    if (digit > 9) return 0;
    let size: i32 = 0;
    while (digit <= 9) {
      size = size < EXPONENT_MAX / 10 ? size * 10 + digit : EXPONENT_MAX;
      digit = load<u8>(++at) - ZERO;
    }
    exponent += sign == MINUS ? -size : size;
  }

  const w = firstDigits(digitsStart, digitsEnd);
  exponent += digitsLeftOut;
  let value: f32 = 0;
  if (w != 0) {
    // Beyond these, 19 digits are 0 or infinite.
    exponent = max(-READ_POWER_MAX, min(READ_POWER_MAX, exponent));
    const ten = load<f64>(TEN + (<usize>abs(exponent) << 3));
    const near = exponent < 0 ? <f64>w / ten : <f64>w * ten;
    const isExact = w <= EXACT_INTEGER_MAX && abs(exponent) <= EXACT_POWER_MAX && digitsLeftOut == 0;
    const margin = near * load<f64>(MARGINS + (<usize>isExact << 3));
    value = <f32>(near - margin);
    if (value != <f32>(near + margin) && !noteDoubt(start, at, target)) return 0;
    if (value == Infinity) return 0;
  }
  store<u32>(target, reinterpret<u32>(value) | (<u32>negative << 31));
  return at;
}

// @ts-ignore: decorator
@inline
function power(k: u32): u64 {
  return load<u64>(TEN_EXACT + (<usize>k << 3));
}

/** A bit for each of the 32 bytes at `at`: whether it is anything else than a digit. */
// @ts-ignore: decorator
@inline
function otherThanDigits(at: usize): u32 {
  return otherThanDigits16(at) | (otherThanDigits16(at + 16) << 16);
}

// @ts-ignore: decorator
@inline
function otherThanDigits16(at: usize): u32 {
  const digits = i8x16.sub(v128.load(at), i8x16.splat(ZERO));
  return <u32>i8x16.bitmask(i8x16.gt_u(digits, i8x16.splat(9)));
}

/** The value of the `count` digits, 0 … 16, that end at `end`. */
// @ts-ignore: decorator
@inline
function valueOf16(end: usize, count: u32): u64 {
  const bytes = i8x16.sub(v128.load(end - 16), i8x16.splat(ZERO));
  const digits = v128.and(bytes, v128.load(LAST_BYTES + count));
  const ones = i16x8.shr_u(digits, 8);
  const tens = v128.and(digits, i16x8.splat(0xff));
  const pairs = i16x8.add(i16x8.mul(tens, i16x8.splat(10)), ones);
  const fours = i32x4.dot_i16x8_s(pairs, i32x4.splat(100 | (1 << 16)));
  const packed = i16x8.narrow_i32x4_s(fours, fours);
  const eights = i64x2.extract_lane(i32x4.dot_i16x8_s(packed, i32x4.splat(10000 | (1 << 16))), 0);
  return (<u64>eights & 0xffffffff) * 100000000 + (<u64>eights >> 32);
}

/** How many of the 8 bytes at `at` are digits, from the first one on. */
// @ts-ignore: decorator
@inline
function digitsAt(at: usize): u32 {
  // A byte of a digit is 0 … 9 now; 0x76 more sets the high bit of any other. What is carried into a
  // byte comes from one before it that was no digit.
  const bytes = load<u64>(at) ^ ZEROS;
  return <u32>(ctz(((bytes + 0x7676767676767676) | bytes) & HIGH_BITS) >> 3);
}

/** The value of `count` digits, 0 … 8: pairs, then fours, then the eight, side by side. */
// @ts-ignore: decorator
@inline
function valueOf(at: usize, count: u32): u64 {
  // In two steps, as a shift by 64 would be none.
  const half = 32 - (<u64>count << 2);
  const bytes = ((load<u64>(at) ^ ZEROS) << half) << half;
  const pairs = bytes * 10 + (bytes >> 8);
  const odd = (pairs & 0xff000000ff) * (100 + (<u64>1000000 << 32));
  const even = ((pairs >> 16) & 0xff000000ff) * (1 + (<u64>10000 << 32));
  return (odd + even) >> 32;
}

/** By how many powers of ten the result of firstDigits() is smaller than all digits. */
let digitsLeftOut: i32 = 0;

/** The first 19 digits from `at` to `end`, a number without its exponent, zeros before it apart. */
function firstDigits(at: usize, end: usize): u64 {
  let w: u64 = 0;
  let count: i32 = 0;
  digitsLeftOut = 0;
  for (; at < end; at++) {
    const digit = load<u8>(at) - ZERO;
    if (digit > 9 || (digit == 0 && w == 0)) continue;
    if (count == DIGITS_MAX) {
      digitsLeftOut++;
    } else {
      w = w * 10 + digit;
      count++;
    }
  }
  return w;
}

function noteDoubt(text: usize, textEnd: usize, number: usize): bool {
  if (doubts == doubtsMax) return false;
  store<u32>(doubts, <u32>text, DOUBT_TEXT);
  store<u32>(doubts, <u32>textEnd, DOUBT_TEXT_END);
  store<u32>(doubts, <u32>number, DOUBT_NUMBER);
  doubts += DOUBT_BYTES;
  return true;
}
