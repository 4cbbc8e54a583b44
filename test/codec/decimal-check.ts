// The promise about printed decimals, checked on every n-th float32. What the kernel prints is read as the same
// float32; no shorter decimal is, and none of the same length is nearer. The reading kernel gives the same bits. A
// negative number is printed as a minus sign and its magnitude. The check is independent of the codec: it uses only
// Number, Math.fround, and products of float64 with a margin for their rounding.
import { LIST_NAMES, TENSOR_NAMES } from '../../src/codec/json/placeholders.ts';
import { shortest } from '../../src/codec/float32.ts';
import { ByteBlock } from '../../src/wasm/byte-block.ts';
import { PrintJob } from '../../src/wasm/print-job.ts';
import { ReadJob, TensorNames } from '../../src/wasm/read-job.ts';
import { kernels, memory } from '../helpers/kernels.ts';

export interface DecimalFindings {
  /** Positive and negative. */
  numbers: number;
  readonly notRead: number[];
  readonly notShortest: number[];
  readonly notNearest: number[];
  /** Those that the reading kernel reads differently. */
  readonly readDifferently: number[];
  readonly notMinusTheSame: number[];
  /** Those that codec/float32.ts prints differently; every 997th is compared. */
  readonly notTheReference: number[];
}

/** The bit pattern of infinity, behind which are those of NaN. */
export const FINITE_END = 0x7f80_0000;

const BLOCK = 1 << 16;
const REFERENCE_STRIDE = 997;
const SHOWN_MAX = 5;
const POWER_MIN = -60;
const POWERS = Array.from({ length: 120 }, (_, i) => Number(`1e${POWER_MIN + i}`));
/** The relative error of a product of these is below 2^-51. */
const BELOW = 1 - 2 ** -50;
const ABOVE = 1 + 2 ** -50;

const ZERO = 0x30;
const MINUS = 0x2d;
const POINT = 0x2e;
const COMMA = 0x2c;
const CLOSE = 0x5d;
const E = 0x65;

const names = new TensorNames(memory, TENSOR_NAMES, LIST_NAMES);
const valuesPtr = memory.allocate((BLOCK + 1) * 4);
const float = new Float32Array(1);
const floatBits = new Uint32Array(float.buffer);
const float32 = (pattern: number): number => {
  floatBits[0] = pattern;
  return float[0]!;
};

export interface CheckOptions {
  readonly onProgress?: (part: number) => void;
  /** Changes the printed JSON before it is checked, so that a test can show that the check fails. */
  readonly damage?: (text: Buffer) => void;
}

/** @param first a pattern; every `stride`-th one from it on, below `end`, positive and negative */
export function checkDecimals(
  first: number,
  end: number,
  stride: number,
  { onProgress = () => {}, damage = () => {} }: CheckOptions = {},
): DecimalFindings {
  const findings: DecimalFindings = {
    numbers: 0,
    notRead: [],
    notShortest: [],
    notNearest: [],
    readDifferently: [],
    notMinusTheSame: [],
    notTheReference: [],
  };
  for (let start = first; start < end; start += BLOCK * stride) {
    const count = Math.min(BLOCK, Math.ceil((end - start) / stride));
    const patterns = memory.u32(valuesPtr, count);
    for (let i = 0; i < count; i++) patterns[i] = start + i * stride;
    const positive = printBlock(count);
    damage(positive);
    checkText(positive, patterns, findings);
    checkReading(positive, patterns, findings);
    for (let i = 0; i < count; i++) patterns[i]! |= 0x8000_0000;
    checkNegative(positive, printBlock(count), patterns, findings);
    findings.numbers += 2 * count;
    onProgress((start - first) / (end - first));
  }
  return findings;
}

function printBlock(count: number): Buffer {
  const tensor = { shape: [count], strides: [1], data: memory.f32(valuesPtr, count) };
  const job = new PrintJob(memory, [{ text: '{"x":', tensor }, { text: '}' }]);
  kernels.run(job.ptr);
  const text = Buffer.from(job.view());
  job.release();
  return text;
}

function note(list: number[], pattern: number): void {
  if (list.length < SHOWN_MAX) list.push(float32(pattern));
}

function checkText(text: Buffer, patterns: Uint32Array, findings: DecimalFindings): void {
  let at = '{"x":['.length;
  for (const pattern of patterns) {
    const start = at;
    let digits = 0;
    let exponent = 0;
    let isFraction = false;
    for (;;) {
      const byte = text[at++];
      if (byte === undefined) throw new Error('the text ends within a number');
      if (byte >= ZERO && byte <= ZERO + 9) {
        // Zeros at the end of an integer need no precision: they become its exponent below.
        digits = digits * 10 + (byte - ZERO);
        if (isFraction) exponent--;
      } else if (byte === POINT) {
        isFraction = true;
      } else {
        if (byte === E) {
          const exponentStart = at;
          while (text[at] !== COMMA && text[at] !== CLOSE) at++;
          exponent += Number(text.toString('latin1', exponentStart, at));
          at++;
        }
        break;
      }
    }
    while (digits >= 1e9) {
      digits /= 10;
      exponent++;
    }
    const written = () => text.toString('latin1', start, at - 1);
    checkDecimal(Math.round(digits), exponent, pattern, written, findings);
    if (pattern % REFERENCE_STRIDE === 0 && written() !== String(shortest(float32(pattern)))) {
      note(findings.notTheReference, pattern);
    }
  }
}

function checkDecimal(
  digits: number,
  exponent: number,
  pattern: number,
  written: () => string,
  findings: DecimalFindings,
): void {
  const value = float32(pattern);
  if (value === 0) {
    if (written() !== '0') note(findings.notRead, pattern);
    return;
  }
  // The interval of the reals that round to the value; its end is 2^128 for the largest.
  const low = (value + float32(pattern - 1)) / 2;
  const high = pattern + 1 === FINITE_END ? value + (value - low) : (value + float32(pattern + 1)) / 2;
  const unit = POWERS[exponent - POWER_MIN]!;
  const decimal = digits * unit;
  if (!(decimal > low * ABOVE && decimal < high * BELOW) && Math.fround(Number(written())) !== value) {
    note(findings.notRead, pattern);
  }
  while (digits % 10 === 0) {
    digits /= 10;
    exponent++;
  }
  if (digits >= 10) {
    const down = Math.floor(digits / 10);
    const tens = POWERS[exponent + 1 - POWER_MIN]!;
    const isOutside =
      (down * tens < low * BELOW || !readsBack(down, exponent + 1, value)) &&
      ((down + 1) * tens > high * ABOVE || !readsBack(down + 1, exponent + 1, value));
    if (!isOutside) note(findings.notShortest, pattern);
  }
  const ones = POWERS[exponent - POWER_MIN]!;
  if (Math.abs(decimal - value) > 0.5 * ones * (1 + 1e-6)) {
    const nearer = decimal > value ? digits - 1 : digits + 1;
    if (readsBack(nearer, exponent, value)) note(findings.notNearest, pattern);
  }
}

function readsBack(digits: number, exponent: number, value: number): boolean {
  return Math.fround(Number(`${digits}e${exponent}`)) === value;
}

function checkReading(text: Buffer, patterns: Uint32Array, findings: DecimalFindings): void {
  const block = new ByteBlock(memory, text.length);
  block.append(text);
  const job = new ReadJob(memory, block, {
    names,
    numbersMax: patterns.length,
    outsideBytesMax: text.length,
  });
  kernels.run(job.ptr);
  const numbers = job.skeleton() && job.tensors()[0]?.numbers();
  const read = numbers && new Uint32Array(numbers.buffer, numbers.byteOffset, numbers.length);
  patterns.forEach((pattern, i) => {
    if (read?.[i] !== pattern) note(findings.readDifferently, pattern);
  });
  job.release();
  block.release();
}

function checkNegative(
  positive: Buffer,
  negative: Buffer,
  patterns: Uint32Array,
  findings: DecimalFindings,
): void {
  let at = '{"x":['.length;
  let negativeAt = at;
  for (const pattern of patterns) {
    const start = negativeAt;
    let same = negative[negativeAt++] === MINUS;
    for (;;) {
      const byte = positive[at++];
      if (negative[negativeAt++] !== byte) same = false;
      if (byte === COMMA || byte === CLOSE) break;
    }
    if (!same) return note(findings.notMinusTheSame, pattern);
    if (negativeAt <= start) return;
  }
}

/** The lists of findings that are not empty. */
export function brokenPromises(findings: DecimalFindings): Record<string, readonly number[]> {
  return Object.fromEntries(
    Object.entries(findings).filter(([, list]) => Array.isArray(list) && list.length > 0),
  );
}
