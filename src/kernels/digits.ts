// The digits of decimals, eight or sixteen at a time, and the constants with which read-numbers.ts converts them.
import { TEN_EXACT } from './build/powers';

export const ZEROS: u64 = 0x3030303030303030;
export const HIGH_BITS: u64 = 0x8080808080808080;
/** Digits that a 64-bit integer holds, whatever they are. */
export const DIGITS_MAX: i32 = 19;
/** All integers up to this are float64. */
export const EXACT_INTEGER_MAX: u64 = 1 << 53;
/** All powers of ten up to this exponent are float64. */
export const EXACT_POWER_MAX: i32 = 22;
/** Relative error bound of the float64: 2^-50 if it was rounded more than once, 0 if it is exact. */
export const MARGINS: usize = memory.data<f64>([8.881784197001252e-16, 0]);
/** No number of digits makes up for such an exponent, and the sum of both does not overflow. */
export const EXPONENT_MAX: i32 = 1000000000;

// Bounds of the numbers that readLong() reads.
export const WHOLE_MAX: u32 = 8;
export const DECIMALS_MAX: u32 = 18;
/** Bits that a float64 has after those of a float32. */
export const BITS_MORE: u32 = 29;
/** 2^-50 of a float64, in units of its last bit. */
export const MARGIN: i32 = 8;

// Vectors are loaded from memory: V8 rebuilds a vector constant in every iteration of a loop, by three
// instructions each.
/** Added to the bytes of characters, it makes digits the smallest signed bytes: those up to LOWEST_NINE. */
export const TO_LOWEST: usize = memory.data<u64>([0x5050505050505050, 0x5050505050505050]);
export const LOWEST_NINE: usize = memory.data<u64>([0x8989898989898989, 0x8989898989898989]);
/** A minus in the first byte, points in all others. */
export const MARKS: usize = memory.data<u64>([0x2e2e2e2e2e2e2e2d, 0x2e2e2e2e2e2e2e2e]);
export const COMMAS: usize = memory.data<u64>([0x2c2c2c2c2c2c2c2c, 0x2c2c2c2c2c2c2c2c]);
export const ZERO_CHARACTERS: usize = memory.data<u64>([0x3030303030303030, 0x3030303030303030]);
/** 2561 (t + 256 o) = 256 (10 t + o) + t, modulo 2^16: of two digits, the value is in the high byte. */
export const TO_PAIRS: usize = memory.data<u64>([0x0a010a010a010a01, 0x0a010a010a010a01]);
/** The weights of two neighbouring pairs, 100 and 1, and of two neighbouring fours, 10^4 and 1. */
export const TO_FOURS: usize = memory.data<u64>([0x0001006400010064, 0x0001006400010064]);
export const TO_EIGHTS: usize = memory.data<u64>([0x0001271000012710, 0x0001271000012710]);
/** The weights of the first and the last eight of 16 digits; the second two for a negative number. */
export const SIGNED_EIGHTS: usize = memory.data<f64>([1e8, 1, -1e8, -1]);
/** From byte n on there are 16 - n bytes of zeros, then n of ones; for n = 0 … 16. */
export const LAST_BYTES: usize = memory.data<u64>([0, 0, -1, -1, -1, -1]);

/** 10^k, k ≤ 19. */
// @ts-ignore: decorator
@inline
export function powerOfTen(k: u32): u64 {
  return load<u64>(TEN_EXACT + (<usize>k << 3));
}

/** A mask with one bit for each byte that is no digit. */
// @ts-ignore: decorator
@inline
export function otherThanDigits(characters: v128, toLowest: v128, lowestNine: v128): u32 {
  return <u32>i8x16.bitmask(i8x16.gt_s(i8x16.add(characters, toLowest), lowestNine));
}

/** 16 digits, one in each byte, as four numbers of four digits. */
// @ts-ignore: decorator
@inline
export function foursOf(digits: v128, toPairs: v128, toFours: v128): v128 {
  return i32x4.dot_i16x8_s(i16x8.shr_u(i16x8.mul(digits, toPairs), 8), toFours);
}

/** How many of the 8 bytes at `at` are digits, from the first one on. */
// @ts-ignore: decorator
@inline
export function digitsAt(at: usize): u32 {
  // A byte of a digit is 0 … 9 now; 0x76 more sets the high bit of any other. What is carried into a
  // byte comes from one before it that was no digit.
  const bytes = load<u64>(at) ^ ZEROS;
  return <u32>(ctz(((bytes + 0x7676767676767676) | bytes) & HIGH_BITS) >> 3);
}
