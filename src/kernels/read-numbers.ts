// Reads the numbers of a tensor's rows, whatever JSON allows, to the float32 that
// Math.fround(Number(text)) gives.
//
// The digits make an integer w and a power of ten e; w 10^e is computed in float64, off by at most a
// known part of it. If all of that margin rounds to one float32, it is the right one. If not (the number
// is, or nearly is, the middle of two float32), the host converts it: a fallback (wasm/number-fallbacks.ts).
import {
  FALLBACK_BYTES,
  FALLBACK_NUMBER,
  FALLBACK_DECIMAL,
  FALLBACK_DECIMAL_END,
  FALLBACKS_MAX,
  READ_FALLBACKS,
  READ_NUMBERS,
  READ_NUMBERS_MAX,
} from './layout';
import { CLOSE, COMMA, MINUS, PLUS, POINT, SMALL_E, ZERO, skipSpace } from './ascii';
import { PLACES, READ_POWER_MAX, TEN, TEN_BY_FRACTION, TEN_EXACT } from './build/powers';

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

// Of a long number, see readLong().
const WHOLE_MAX: u32 = 8;
const DECIMALS_MAX: u32 = 18;
/** Bits that a float64 has behind those of a float32. */
const BITS_MORE: u32 = 29;
/** 2^-50 of a float64, in units of its last bit. */
const MARGIN: i32 = 8;

// Vectors are loaded, as V8 makes constants anew in every turn, each by three instructions.
/** Added to digits, it makes them the smallest of all signed bytes, up to … */
const TO_LOWEST: usize = memory.data<u64>([0x5050505050505050, 0x5050505050505050]);
/** … this one. */
const LOWEST_NINE: usize = memory.data<u64>([0x8989898989898989, 0x8989898989898989]);
/** A minus, then points. */
const MARKS: usize = memory.data<u64>([0x2e2e2e2e2e2e2e2d, 0x2e2e2e2e2e2e2e2e]);
const COMMAS: usize = memory.data<u64>([0x2c2c2c2c2c2c2c2c, 0x2c2c2c2c2c2c2c2c]);
const ZERO_CHARACTERS: usize = memory.data<u64>([0x3030303030303030, 0x3030303030303030]);
/** 2561 (t + 256 o) = 256 (10 t + o) + t, modulo 2^16: of two digits, the value is in the high byte. */
const TO_PAIRS: usize = memory.data<u64>([0x0a010a010a010a01, 0x0a010a010a010a01]);
/** 100 and 1, 10^4 and 1: what the first and the second of two neighbours count. */
const TO_FOURS: usize = memory.data<u64>([0x0001006400010064, 0x0001006400010064]);
const TO_EIGHTS: usize = memory.data<u64>([0x0001271000012710, 0x0001271000012710]);
/** What the first and the last eight of 16 digits count, by sign. */
const SIGNED_EIGHTS: usize = memory.data<f64>([1e8, 1, -1e8, -1]);
/** From byte n on there are 16 - n bytes of zeros, then n of ones; for n = 0 … 16. */
const LAST_BYTES: usize = memory.data<u64>([0, 0, -1, -1, -1, -1]);

// Of the text that is being read.
/** Where the next number goes. */
export let numbers: usize;
let numbersMax: usize;
let firstFallback: usize;
/** Where the record of the next fallback goes. */
let nextFallback: usize;

/** Begins with the numbers of the record at `job`. */
export function startNumbers(job: usize): void {
  numbers = load<u32>(job, READ_NUMBERS);
  numbersMax = load<u32>(job, READ_NUMBERS_MAX);
  firstFallback = load<u32>(job, READ_FALLBACKS);
  nextFallback = firstFallback;
}

/** Has the host convert the fallbacks recorded so far. False if one of them is beyond float32. */
export function endNumbers(): bool {
  const end = nextFallback;
  nextFallback = firstFallback;
  return end == firstFallback || roundFallbacks(firstFallback, end) != 0;
}

/**
 * Converts the decimals of the fallback records from `start` to `end` (wasm/number-fallbacks.ts); 0 if one is beyond
 * float32.
 */
// @ts-ignore: decorator
@external("env", "roundFallbacks")
declare function roundFallbacks(start: usize, end: usize): u32;

/**
 * Reads the numbers from `at` to the bracket that closes their array; returns where it ends, 0 if
 * there is anything unusual in it.
 *
 * Most numbers are short: such a one and the comma behind it are within 16 bytes. Its parts are found
 * from masks of these bytes, and no jump depends on how many digits it has, or on whether it has a
 * sign or a point. The next number begins behind the first comma; that this one ends there is only
 * checked, so the processor is at the next ones meanwhile. There is no call in that loop: V8 would
 * load every vector anew in each turn.
 */
export function readRow(at: usize): usize {
  let target = numbers;
  const targetMax = numbersMax;
  while (true) {
    const toLowest = v128.load(TO_LOWEST);
    const lowestNine = v128.load(LOWEST_NINE);
    const marks = v128.load(MARKS);
    const commas = v128.load(COMMAS);
    const zeros = v128.load(ZERO_CHARACTERS);
    const toPairs = v128.load(TO_PAIRS);
    const toFours = v128.load(TO_FOURS);
    const toEights = v128.load(TO_EIGHTS);
    while (true) {
      if (target == targetMax) return 0;
      const text = v128.load(at);
      const comma = at + <usize>ctz(<u32>i8x16.bitmask(i8x16.eq(text, commas)));
      const signAndPoints = <u32>i8x16.bitmask(i8x16.eq(text, marks));
      const negative = signAndPoints & 1;
      const behindSign = otherThanDigits(text, toLowest, lowestNine) ^ negative;
      // Without the first of them, if that is a point.
      const behindPoint = behindSign ^ (behindSign & (0 - behindSign) & signAndPoints);
      // Where the point is; the end if there is none.
      const point = <u32>ctz(behindSign);
      // 16 if there is none, so that it is not where there is no comma either.
      const end = <u32>ctz(behindPoint | (1 << 16));
      const fraction = end - point;
      if (at + end != comma) break;
      // No digit before the point, or a zero and others.
      if (point - negative - 1 > (<u32>load<u8>(at + negative) - ZERO) << 4) break;
      const bytes = i8x16.swizzle(text, v128.load(((point << 4) + end) << 4, PLACES));
      const fours = foursOf(i8x16.sub_sat_u(bytes, zeros), toPairs, toFours);
      const eights = i32x4.dot_i16x8_s(i16x8.narrow_i32x4_s(fours, fours), toEights);
      const halves = f64x2.mul(
        f64x2.convert_low_i32x4_s(eights),
        v128.load(negative << 4, SIGNED_EIGHTS),
      );
      // At most 14 digits, so w, the power of ten and thereby the float64 are what Number() has.
      const w = f64x2.extract_lane(halves, 0) + f64x2.extract_lane(halves, 1);
      store<f32>(target, <f32>(w / load<f64>(fraction << 3, TEN_BY_FRACTION)));
      // A point, and nothing behind it.
      if (fraction == 1) break;
      target += 4;
      at = comma + 1;
      if (load<u8>(at) <= 0x20) at = skipSpace(at);
    }
    // The others are mostly long ones, or the last of their row. Long ones have no comma in 16 bytes.
    do {
      at = readLong(at, target);
      if (!at) return 0;
      target += 4;
      if (load<u8>(at) <= 0x20) at = skipSpace(at);
      const character = load<u8>(at++);
      if (character != COMMA) {
        numbers = target;
        return character == CLOSE ? at : 0;
      }
      if (load<u8>(at) <= 0x20) at = skipSpace(at);
      if (target == targetMax) return 0;
    } while (i8x16.bitmask(i8x16.eq(v128.load(at), v128.load(COMMAS))) == 0);
  }
}

/**
 * Reads the number at `at` to `target`; returns where it ends, 0 if it is none or beyond float32.
 *
 * Up to WHOLE_MAX digits, a point, up to DECIMALS_MAX digits, DIGITS_MAX together, are read at once,
 * whatever is behind them: the last 16 decimals, and the digits before these. All others are left to
 * readOther().
 */
function readLong(at: usize, target: usize): usize {
  const zeros = v128.load(ZERO_CHARACTERS);
  const toLowest = v128.load(TO_LOWEST);
  const lowestNine = v128.load(LOWEST_NINE);
  const text = v128.load(at);
  const negative = <u32>(load<u8>(at) == MINUS);
  const behindSign =
    negative ^
    (otherThanDigits(text, toLowest, lowestNine) |
      (otherThanDigits(v128.load(at, 16), toLowest, lowestNine) << 16));
  const point = <u32>ctz(behindSign);
  const whole = point - negative;
  let end = point;
  let decimals: u32 = 0;
  if (load<u8>(at + point) == POINT) {
    end = <u32>ctz(behindSign & (behindSign - 1));
    decimals = end - point - 1;
    if (decimals - 1 >= DECIMALS_MAX) return readOther(at, target);
  }
  if (
    whole - 1 >= WHOLE_MAX ||
    whole - 1 > (<u32>load<u8>(at + negative) - ZERO) << 4 ||
    whole + decimals > <u32>DIGITS_MAX ||
    (load<u8>(at + end) | 0x20) == SMALL_E
  ) {
    return readOther(at, target);
  }

  const last = min<u32>(decimals, 16);
  const toPairs = v128.load(TO_PAIRS);
  const toFours = v128.load(TO_FOURS);
  const headBytes = i8x16.swizzle(text, v128.load(((point << 4) + end - last) << 4, PLACES));
  const head = i8x16.sub_sat_u(headBytes, zeros);
  const tailBytes = i8x16.sub(v128.load(at + end - 16), zeros);
  const tail = v128.and(tailBytes, v128.load(last, LAST_BYTES));
  const fours = i16x8.narrow_i32x4_s(
    foursOf(tail, toPairs, toFours),
    foursOf(head, toPairs, toFours),
  );
  const eights = i32x4.dot_i16x8_s(fours, v128.load(TO_EIGHTS));
  const tailEights = <u64>i64x2.extract_lane(eights, 0);
  const tailValue = (tailEights & 0xffffffff) * 100000000 + (tailEights >> 32);
  const w = <u64>(<u32>i32x4.extract_lane(eights, 3)) * power(last) + tailValue;

  // Neither 19 digits nor 10^18 leave the range of float64, nor does their quotient that of float32.
  const near = <f64>w / load<f64>(decimals << 3, TEN);
  store<u32>(target, reinterpret<u32>(<f32>near) | (negative << 31));
  // Near the middle of two float32 the host converts it. Not of `isExact &&`: that is so for every other w
  // of 16 digits, which no processor foresees.
  const isExact = <i32>(w <= EXACT_INTEGER_MAX);
  const fromMiddle = <u32>reinterpret<u64>(near) + MARGIN - (1 << (BITS_MORE - 1));
  const isTooClose = <i32>(fromMiddle & ((1 << BITS_MORE) - 1)) <= 2 * MARGIN - (isExact << 5);
  if (isTooClose && !noteFallback(at, at + end, target)) return 0;
  return at + end;
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
    if (value != <f32>(near + margin) && !noteFallback(start, at, target)) return 0;
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

/** A bit for each byte: whether it is anything else than a digit. */
// @ts-ignore: decorator
@inline
function otherThanDigits(text: v128, toLowest: v128, lowestNine: v128): u32 {
  return <u32>i8x16.bitmask(i8x16.gt_s(i8x16.add(text, toLowest), lowestNine));
}

/** 16 digits as four numbers. */
// @ts-ignore: decorator
@inline
function foursOf(digits: v128, toPairs: v128, toFours: v128): v128 {
  return i32x4.dot_i16x8_s(i16x8.shr_u(i16x8.mul(digits, toPairs), 8), toFours);
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

function noteFallback(text: usize, textEnd: usize, number: usize): bool {
  if (nextFallback == firstFallback + FALLBACKS_MAX * FALLBACK_BYTES && !endNumbers()) return false;
  store<u32>(nextFallback, <u32>text, FALLBACK_DECIMAL);
  store<u32>(nextFallback, <u32>textEnd, FALLBACK_DECIMAL_END);
  store<u32>(nextFallback, <u32>number, FALLBACK_NUMBER);
  nextFallback += FALLBACK_BYTES;
  return true;
}
