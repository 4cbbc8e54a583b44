// Reads the numbers of a tensor's rows, whatever JSON allows, to the float32 that Math.fround(Number(decimal)) gives.
//
// The digits of a number are an integer w, with a power of ten e. w 10^e is computed in float64, with a known error
// bound. If all numbers within that bound round to the same float32, that is the result. If not, as the number is
// or nearly is the middle of two float32, it is a fallback: the host converts it (wasm/number-fallbacks.ts).
//
// Three paths, each for what the one before does not read: readRow() itself for short numbers, readLong(), and
// readGeneral() digit by digit.
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
import { PLACES, READ_POWER_MAX, TEN, TEN_BY_FRACTION } from './build/powers';
import {
  BITS_MORE,
  COMMAS,
  DECIMALS_MAX,
  DIGITS_MAX,
  EXACT_INTEGER_MAX,
  EXACT_POWER_MAX,
  EXPONENT_MAX,
  LAST_BYTES,
  LOWEST_NINE,
  MARGIN,
  MARGINS,
  MARKS,
  SIGNED_EIGHTS,
  TO_EIGHTS,
  TO_FOURS,
  TO_LOWEST,
  TO_PAIRS,
  WHOLE_MAX,
  ZERO_CHARACTERS,
  digitsAt,
  foursOf,
  otherThanDigits,
  powerOfTen,
} from './digits';

// State of the document that is being read.
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
 * Reads the numbers from `at` to the bracket that closes their array. Returns the address after the bracket; 0 if
 * the row contains anything but numbers, or one that this kernel declines.
 *
 * Most numbers are short: the number and the comma after it are within 16 bytes. Masks of these bytes give the
 * positions of its parts, so no branch depends on how many digits it has or on whether it has a sign or a point. The
 * next number begins after the first comma; that the current one ends there is only checked by a branch that is
 * hardly ever taken, so the processor executes the next iterations speculatively. The loop calls nothing: V8 would
 * reload every vector in each iteration.
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
      const characters = v128.load(at);
      const comma = at + <usize>ctz(<u32>i8x16.bitmask(i8x16.eq(characters, commas)));
      const signAndPoints = <u32>i8x16.bitmask(i8x16.eq(characters, marks));
      const negative = signAndPoints & 1;
      const afterSign = otherThanDigits(characters, toLowest, lowestNine) ^ negative;
      // Clears the lowest bit if it is that of a point: what is left begins after the number.
      const afterPoint = afterSign ^ (afterSign & (0 - afterSign) & signAndPoints);
      // The position of the point; that of the end if there is none.
      const point = <u32>ctz(afterSign);
      // 16 if the end is not within these bytes: then it differs from the position of the comma.
      const end = <u32>ctz(afterPoint | (1 << 16));
      const fraction = end - point;
      if (at + end != comma) break;
      // No digit before the point, or a leading zero.
      if (point - negative - 1 > (<u32>load<u8>(at + negative) - ZERO) << 4) break;
      const bytes = i8x16.swizzle(characters, v128.load(((point << 4) + end) << 4, PLACES));
      const fours = foursOf(i8x16.sub_sat_u(bytes, zeros), toPairs, toFours);
      const eights = i32x4.dot_i16x8_s(i16x8.narrow_i32x4_s(fours, fours), toEights);
      const halves = f64x2.mul(
        f64x2.convert_low_i32x4_s(eights),
        v128.load(negative << 4, SIGNED_EIGHTS),
      );
      // With at most 14 digits, w and the power of ten are exact, so the float64 is that of Number().
      const w = f64x2.extract_lane(halves, 0) + f64x2.extract_lane(halves, 1);
      store<f32>(target, <f32>(w / load<f64>(fraction << 3, TEN_BY_FRACTION)));
      // A point without digits after it is not JSON.
      if (fraction == 1) break;
      target += 4;
      at = comma + 1;
      if (load<u8>(at) <= 0x20) at = skipSpace(at);
    }
    // The others are mostly long ones, which have no comma within 16 bytes, or the last of their row.
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
 * Reads the number at `at` to `target`. Returns the address after it; 0 if it is no number or is beyond float32.
 *
 * A number of up to WHOLE_MAX digits, a point and up to DECIMALS_MAX digits, DIGITS_MAX together, is read in two
 * vectors side by side: its last 16 decimals, and the digits before them. All others are read by readGeneral().
 */
function readLong(at: usize, target: usize): usize {
  const zeros = v128.load(ZERO_CHARACTERS);
  const toLowest = v128.load(TO_LOWEST);
  const lowestNine = v128.load(LOWEST_NINE);
  const characters = v128.load(at);
  const negative = <u32>(load<u8>(at) == MINUS);
  const afterSign =
    negative ^
    (otherThanDigits(characters, toLowest, lowestNine) |
      (otherThanDigits(v128.load(at, 16), toLowest, lowestNine) << 16));
  const point = <u32>ctz(afterSign);
  const whole = point - negative;
  let end = point;
  let decimals: u32 = 0;
  if (load<u8>(at + point) == POINT) {
    end = <u32>ctz(afterSign & (afterSign - 1));
    decimals = end - point - 1;
    if (decimals - 1 >= DECIMALS_MAX) return readGeneral(at, target);
  }
  if (
    whole - 1 >= WHOLE_MAX ||
    whole - 1 > (<u32>load<u8>(at + negative) - ZERO) << 4 ||
    whole + decimals > <u32>DIGITS_MAX ||
    (load<u8>(at + end) | 0x20) == SMALL_E
  ) {
    return readGeneral(at, target);
  }

  const last = min<u32>(decimals, 16);
  const toPairs = v128.load(TO_PAIRS);
  const toFours = v128.load(TO_FOURS);
  const headBytes = i8x16.swizzle(characters, v128.load(((point << 4) + end - last) << 4, PLACES));
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
  const w = <u64>(<u32>i32x4.extract_lane(eights, 3)) * powerOfTen(last) + tailValue;

  // Neither 19 digits nor 10^18 exceed the range of float64, nor does their quotient exceed that of float32.
  const near = <f64>w / load<f64>(decimals << 3, TEN);
  store<u32>(target, reinterpret<u32>(<f32>near) | (negative << 31));
  // Close to the middle of two float32 it is a fallback. `isExact` is computed without a branch: it holds for every
  // other w of 16 digits, which no branch predictor foresees.
  const isExact = <i32>(w <= EXACT_INTEGER_MAX);
  const fromMiddle = <u32>reinterpret<u64>(near) + MARGIN - (1 << (BITS_MORE - 1));
  const isTooClose = <i32>(fromMiddle & ((1 << BITS_MORE) - 1)) <= 2 * MARGIN - (isExact << 5);
  if (isTooClose && !noteFallback(at, at + end, target)) return 0;
  return at + end;
}

/** Reads any number at `at` to `target`. Returns the address after it; 0 if it is no number or is beyond float32. */
function readGeneral(at: usize, target: usize): usize {
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
    // With larger exponents, 19 digits are 0 or infinite as float32.
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

/** Digits that the last result of firstDigits() leaves out: the power of ten by which it is too small. */
let digitsLeftOut: i32 = 0;

/** The first 19 digits of the number from `at` to `end`, its exponent excluded, without leading zeros. */
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

/**
 * Records the decimal at `decimal`, which ends at `decimalEnd` and whose float32 goes to `number`, as a fallback. False
 * if there was no space, so that the host has converted those before it, and one of them is beyond float32.
 */
function noteFallback(decimal: usize, decimalEnd: usize, number: usize): bool {
  if (nextFallback == firstFallback + FALLBACKS_MAX * FALLBACK_BYTES && !endNumbers()) return false;
  store<u32>(nextFallback, <u32>decimal, FALLBACK_DECIMAL);
  store<u32>(nextFallback, <u32>decimalEnd, FALLBACK_DECIMAL_END);
  store<u32>(nextFallback, <u32>number, FALLBACK_NUMBER);
  nextFallback += FALLBACK_BYTES;
  return true;
}
