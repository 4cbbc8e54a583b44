// Prints tensors as JSON: every number as the shortest decimal that reads back to the same float32, of those the
// nearest, in JavaScript's notation: 0.1, -0.000001, 1e-7, 16777216, 1.2e+21. -0 is printed as -0.
//
// Method: Raffaello Giulietti, "The Schubfach way to render doubles" (2020), for float32. The real numbers that round
// to a float32 c 2^q are an interval, which includes its ends if c is even. With k such that 10^k ≤ width of the
// interval < 10^(k+1), it contains multiples of 10^k and at most one multiple of 10^(k+1). The middle and the ends of
// the interval are computed in units of 10^k / 4, rounded to odd: then every comparison with an integer is exact,
// although the product with 10^-k (64 bits, rounded up) is not.
//
// Fractions, as hidden states mostly are, are printed four at a time by print-fractions.ts. `npm run verify:decimal`
// compares the decimals of all 2^32 bit patterns with codec/float32.ts.
import {
  SEGMENT_AXES,
  SEGMENT_AXIS_BYTES,
  SEGMENT_BYTES,
  SEGMENT_TEXT,
  SEGMENT_TEXT_END,
  SEGMENT_NUMBERS,
  SEGMENT_RANK,
  PRINT_SEGMENTS,
  PRINT_SEGMENTS_END,
  PRINT_OUTPUT,
  PRINT_OUTPUT_END,
} from './layout';
import { CLOSE, COMMA, MINUS, OPEN, POINT, SMALL_E, ZERO } from './ascii';
import { areFractions, eightDigits, isFraction, printFraction, printFractions } from './print-fractions';
import { PRINT_POWER_MIN, TEN_EXACT, TEN_SCALED } from './build/powers';

const ZEROS: u64 = 0x3030303030303030;
/** "0.000000" */
const ZERO_POINT_ZEROS: u64 = 0x3030303030302e30;

/** Prints the segments of the record at `job` one after the other. Every number must be finite. */
export function print(job: usize): void {
  let output = <usize>load<u32>(job, PRINT_OUTPUT);
  const end = <usize>load<u32>(job, PRINT_SEGMENTS_END);
  for (let segment = <usize>load<u32>(job, PRINT_SEGMENTS); segment < end; segment += SEGMENT_BYTES) {
    const bytes = <usize>load<u32>(segment, SEGMENT_TEXT);
    const size = <usize>load<u32>(segment, SEGMENT_TEXT_END) - bytes;
    memory.copy(output, bytes, size);
    output += size;
    const rank = load<u32>(segment, SEGMENT_RANK);
    if (rank > 0) output = printAxis(segment + SEGMENT_AXES, rank, load<u32>(segment, SEGMENT_NUMBERS), output);
  }
  store<u32>(job, <u32>output, PRINT_OUTPUT_END);
}

/** Prints the numbers of the `rank` axes that begin at `axis`; returns the end of what it printed. */
function printAxis(axis: usize, rank: u32, numbers: usize, output: usize): usize {
  const size = load<u32>(axis);
  const stride = <usize>load<u32>(axis, 4);
  store<u8>(output, OPEN);
  output++;
  if (rank == 1) {
    output = printRow(numbers, size, stride, output);
  } else {
    for (let i: u32 = 0; i < size; i++, numbers += stride) {
      output = printAxis(axis + SEGMENT_AXIS_BYTES, rank - 1, numbers, output);
      store<u8>(output, COMMA);
      output++;
    }
  }
  // The last comma.
  store<u8>(output - 1, CLOSE);
  return output;
}

/** Prints `size` numbers, each with a comma after it. */
function printRow(numbers: usize, size: u32, stride: usize, output: usize): usize {
  while (size > 0) {
    while (size >= 4) {
      const four = stride == 4 ? v128.load(numbers) : gather(numbers, stride);
      if (!areFractions(four)) break;
      output = printFractions(four, output);
      numbers += 4 * stride;
      size -= 4;
    }
    if (size == 0) break;
    output = printNumber(load<u32>(numbers), output);
    numbers += stride;
    size--;
  }
  return output;
}

// @ts-ignore: decorator
@inline
function gather(numbers: usize, stride: usize): v128 {
  let four = v128.load32_zero(numbers);
  four = v128.load_lane<u32>(numbers + stride, four, 1);
  four = v128.load_lane<u32>(numbers + 2 * stride, four, 2);
  return v128.load_lane<u32>(numbers + 3 * stride, four, 3);
}

/** Prints the float32 with these bits and a comma; returns the end of what it printed. */
// @ts-ignore: decorator
@inline
function printNumber(bits: u32, output: usize): usize {
  if (isFraction(bits)) return printFraction(bits, output);
  output = printOther(bits, output);
  store<u8>(output, COMMA);
  return output + 1;
}

/** Prints the float32 with these bits, any but a fraction; returns the end of what it printed. */
function printOther(bits: u32, output: usize): usize {
  store<u8>(output, MINUS);
  output += bits >> 31;
  const fraction = bits & 0x7fffff;
  const exponent = <i32>((bits >> 23) & 0xff);
  if ((bits << 1) == 0) {
    store<u8>(output, ZERO);
    return output + 1;
  }

  // The value is c 2^q.
  const normal = exponent != 0;
  const c = fraction | (<u32>normal << 23);
  const q = exponent + <i32>!normal - 150;
  const odd = c & 1;
  // Below a power of two the floats are half as far apart.
  const halfBelow = <u32>(fraction == 0 && exponent > 1);

  // k = ⌊log10 2^q⌋, or ⌊log10 (3/4 2^q)⌋, with log10 2 = 1262611 / 2^22 and log10 3/4 = -524031 / 2^22.
  const k = (q * 1262611 - <i32>(halfBelow * 524031)) >> 22;
  // 2^(q + h) 10^-k is a word's worth of bits: log2 10 = 1741647 / 2^19.
  const h = <u32>(q + ((-k * 1741647) >> 19) + 1);
  const power = load<u64>(TEN_SCALED + (<usize>(-k - PRINT_POWER_MIN) << 3));
  const lower = roundedToOdd(power, (c * 4 - 2 + halfBelow) << h) + odd;
  const middle = roundedToOdd(power, (c * 4) << h);
  const upper = roundedToOdd(power, (c * 4 + 2) << h) - odd;

  // First choice: the multiple of 10^(k+1) below the middle or the one above, if exactly one is in the interval. Second
  // choice: of the multiples of 10^k the one in the interval; of two the nearer, or the larger if both are as near.
  // Which choice applies is unpredictable, so all are computed, and one is selected without a branch.
  const tens = <u32>((<u64>middle * 3435973837) >> 37);
  const tensDown = lower <= tens * 40;
  const tensUp = tens * 40 + 40 <= upper;
  const ones = middle >> 2;
  const onesDown = lower <= ones * 4;
  const onesUp = ones * 4 + 4 <= upper;
  const nearerUp = middle >= ones * 4 + 2;
  const byOnes = ones + (<u32>onesUp & (<u32>!onesDown | <u32>nearerUp));
  const hasTens = <u32>tensDown ^ <u32>tensUp;
  const byTens = tens + <u32>tensUp;
  if ((bits & 0x7fffffff) - TWICE_ROUNDED <= 1) return printTwiceRounded(bits & 1, output);
  const digits = byOnes ^ ((byOnes ^ byTens) & (0 - hasTens));
  const shift = k + <i32>hasTens;
  return printDecimal(digits, shift, output);
}

/**
 * Reading rounds twice, to float64 and then to float32. This changes the result for one of all shortest decimals:
 * 7.038531e-26 is nearer to the first of these two floats, but its float64 is the middle of both, which rounds to the
 * second. Found by `npm run verify:decimal`.
 */
const TWICE_ROUNDED: u32 = 0x15ae43fd;

function printTwiceRounded(isFirst: u32, output: usize): usize {
  return isFirst ? printDecimal(70385307, -33, output) : printDecimal(7038531, -32, output);
}

/** x 2^-64 power, rounded to odd: the last bit is set if any bit was dropped. */
// @ts-ignore: decorator
@inline
function roundedToOdd(power: u64, x: u32): u32 {
  const low = (power & 0xffffffff) * <u64>x;
  const high = (power >> 32) * <u64>x + (low >> 32);
  return <u32>(high >> 32) | <u32>(<u32>high > 1);
}

/** Prints digits 10^shift, digits having 1 … 9 of them, without the zeros at its end. */
// @ts-ignore: decorator
@inline
function printDecimal(digits: u32, shift: i32, output: usize): usize {
  // 1233 / 2^12 = log10 2.
  const guess = ((32 - clz(digits)) * 1233) >> 12;
  const count = guess + <u32>(<u64>digits >= load<u64>(TEN_EXACT + (<usize>guess << 3)));
  const nine = digits * <u32>load<u64>(TEN_EXACT + (<usize>(9 - count) << 3));
  const first = <u32>((<u64>nine * 1441151881) >> 57);
  const others = eightDigits(nine - first * 100000000);
  // The value is 0.(first)(others) 10^point; zero bytes at the end of the word are zeros at the end.
  const point = <i32>count + shift;
  const length = 9 - <i32>(clz(others) >> 3);
  const firstCharacter = <u8>first + ZERO;
  const characters = others | ZEROS;

  if (point <= 0 && point > -6) {
    store<u64>(output, ZERO_POINT_ZEROS);
    output += 2 - point;
    store<u8>(output, firstCharacter);
    store<u64>(output, characters, 1);
    return output + length;
  }
  store<u8>(output, firstCharacter);
  store<u64>(output, characters, 1);
  if (point > 0 && point <= 21) return finishPositional(output, length, point);
  return finishExponential(output, length, point - 1);
}

/** Inserts the point after `point` of the `length` digits at `output`, or appends the missing zeros. */
function finishPositional(output: usize, length: i32, point: i32): usize {
  if (length > point) {
    store<u64>(output + point + 1, load<u64>(output + point));
    store<u8>(output + point, POINT);
    return output + length + 1;
  }
  for (let i = length; i < point; i++) store<u8>(output + i, ZERO);
  return output + point;
}

/** d.ddde-7 */
function finishExponential(output: usize, length: i32, exponent: i32): usize {
  if (length > 1) {
    store<u64>(output, load<u64>(output, 1), 2);
    store<u8>(output, POINT, 1);
    length++;
  }
  output += length;
  store<u8>(output, SMALL_E);
  store<u8>(output, exponent < 0 ? MINUS : 0x2b, 1);
  output += 2;
  const size = <u32>abs(exponent);
  if (size >= 10) {
    store<u8>(output, <u8>(size / 10) + ZERO);
    output++;
  }
  store<u8>(output, <u8>(size % 10) + ZERO);
  return output + 1;
}

