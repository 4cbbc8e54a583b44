// Writes build/powers.ts: the powers of ten for reading and printing decimals, computed with exact integers, and the
// tables by which digits are gathered and fractions printed.

/** The decimal exponents of the smallest and the largest float32, with what printing adds to them. */
export const PRINT_POWER_MIN = -31;
export const PRINT_POWER_MAX = 45;
/** Any 19 digits times 10^-66 are 0 as float32, and times 10^66 infinite. */
export const READ_POWER_MAX = 66;

/** The exponents, as a float32 stores them, of [2^-16, 1): their widths are integers of 32 bits. */
export const FRACTION_EXPONENT_MIN = 111;
export const FRACTION_EXPONENT_MAX = 126;

/** Fractional bits of a width. */
const POINT_BITS = 28;

const WORD_BITS = 64n;
/** An index for which i8x16.swizzle gives 0. */
const NO_BYTE = 0x80;

export function generatePowers(): string {
  const exponents = range(FRACTION_EXPONENT_MIN, FRACTION_EXPONENT_MAX);
  return [
    '// Written by generate-powers.ts. Do not edit.',
    '/** 10^k for k = 0 …, the nearest float64. */',
    table('TEN', 'f64', range(0, READ_POWER_MAX).map((k) => Number(`1e${k}`).toExponential())),
    '/** 10^k for k = 0 … 19. */',
    table('TEN_EXACT', 'u64', range(0, 19).map((k) => String(10n ** BigInt(k)))),
    '/** By the bytes from a point to the end of its number: 10^decimals. At 0, without a point: 1. */',
    table('TEN_BY_FRACTION', 'f64', [1, 1, ...range(1, 14).map((k) => 10 ** k)].map(String)),
    '/** By the places of point and end in 16 bytes: those of the digits, to the right, 0x80 before. */',
    table('PLACES', 'u8', range(0, 15).flatMap((point) => range(0, 15).map((end) => places(point, end)))),
    `export const READ_POWER_MAX: i32 = ${READ_POWER_MAX};`,
    `export const PRINT_POWER_MIN: i32 = ${PRINT_POWER_MIN};`,
    '/** 10^k for k = PRINT_POWER_MIN …: its first 64 bits, rounded up. */',
    table('TEN_SCALED', 'u64', range(PRINT_POWER_MIN, PRINT_POWER_MAX).map(scaledPower)),
    `export const FRACTION_EXPONENT_MIN: u32 = ${FRACTION_EXPONENT_MIN};`,
    `export const FRACTION_EXPONENT_MAX: u32 = ${FRACTION_EXPONENT_MAX};`,
    `export const POINT_BITS: i32 = ${POINT_BITS};`,
    '/** The last exponent that needs nine decimals or more. */',
    `export const NINE_DECIMALS_MAX: u32 = ${exponents.findLast((exponent) => decimals(exponent) >= 9)};`,
    '/** By sign and exponent: the width, see print-fractions.ts; size and characters of what is before',
    ' *  the first of nine digits. */',
    table('FRACTIONS', 'u32', ['0.', '-0.'].flatMap((start) => exponents.flatMap((e) => fraction(e, start)))),
  ].join('\n');
}

function table(name: string, type: string, values: readonly string[]): string {
  return `export const ${name}: usize = memory.data<${type}>([\n  ${values.join(',\n  ')},\n]);`;
}

/** ⌈10^k 2^-r⌉ with the r that makes it a number of 64 bits. */
function scaledPower(k: number): string {
  const power = 10n ** BigInt(Math.abs(k));
  const bits = BigInt(power.toString(2).length);
  if (k >= 0) {
    if (bits <= WORD_BITS) return hex(power << (WORD_BITS - bits));
    return hex(ceilDivide(power, 1n << (bits - WORD_BITS)));
  }
  // 1 / power lies in [2^-bits, 2^(1 - bits)); no power of ten but 1 is a power of two.
  return hex(ceilDivide(1n << (WORD_BITS - 1n + bits), power));
}

/** K of c 2^-F, see print-fractions.ts. */
function decimals(exponent: number): number {
  return Math.ceil(fractionBits(exponent) * Math.log10(2));
}

function fractionBits(exponent: number): number {
  return 150 - exponent;
}

/** Four words. Before nine digits, there are zeros if K is more. */
function fraction(exponent: number, start: string): string[] {
  const K = decimals(exponent);
  const width = 5 ** K * 2 ** (POINT_BITS + K - fractionBits(exponent));
  const prefix = start + '0'.repeat(Math.max(0, K - 9));
  const characters = Buffer.alloc(8);
  characters.write(prefix);
  return [width, prefix.length, characters.readUInt32LE(0), characters.readUInt32LE(4)].map(String);
}

/** The point is no digit; without one, it is where the end is. */
function places(point: number, end: number): string {
  const digits = range(0, end - 1).filter((place) => place !== point);
  return [...Array<number>(16 - digits.length).fill(NO_BYTE), ...digits].join(', ');
}

function ceilDivide(dividend: bigint, divisor: bigint): bigint {
  return (dividend + divisor - 1n) / divisor;
}

function hex(word: bigint): string {
  return `0x${word.toString(16)}`;
}

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}
