// The promises about exp, sigmoid and tanh, checked on every n-th float32: at most 1 ulp from the correctly rounded
// result; non-decreasing; 1 and infinity where the rounded result is; NaN for NaN; tanh is odd; and the plain reference
// has the kernel's bits.
import { exp32, sigmoid32, tanh32 } from '../../src/wasm/reference/functions.ts';
import { type RoundedFunction, exp, sigmoid, tanh } from '../helpers/correctly-rounded.ts';
import { kernels, memory } from '../helpers/kernels.ts';

interface Checked {
  readonly exact: RoundedFunction;
  readonly reference: (x: number) => number;
  /** f(-x) = -f(x) */
  readonly isOdd: boolean;
  /** For x = 2^-24, exp is 1, and correctly rounded it is the next float. All else is 1 for exactly the same x. */
  readonly has1Elsewhere: boolean;
}

const FUNCTIONS = {
  exp: { exact: exp, reference: exp32, isOdd: false, has1Elsewhere: true },
  sigmoid: { exact: sigmoid, reference: sigmoid32, isOdd: false, has1Elsewhere: false },
  tanh: { exact: tanh, reference: tanh32, isOdd: true, has1Elsewhere: false },
} as const satisfies Record<string, Checked>;

export type FunctionName = keyof typeof FUNCTIONS;
export const FUNCTION_NAMES = Object.keys(FUNCTIONS) as readonly FunctionName[];

export interface Findings {
  inputs: number;
  /** Results that are a neighbour of the correctly rounded float, and results further away. */
  oneUlpOff: number;
  furtherOff: number;
  decreasing: number;
  notOdd: number;
  /** 1 where the rounded result is not, or the other way round. */
  wrongOne: number;
  /** The same of infinity. */
  wrongInfinity: number;
  wrongNaN: number;
  referenceDiffers: number;
  /** Largest error against the exact value, in units in the last place of the result. */
  worst: { x: number; got: number; want: number; ulps: number };
}

export interface CheckOptions {
  /** Magnitudes, the bit patterns of positive floats: from `first`, below `end`; each with both signs. */
  readonly first?: number;
  readonly end?: number;
  /** Every stride-th magnitude, 1 for all. */
  readonly stride: number;
  /** The plain reference on every so-manieth of those. */
  readonly referenceStride: number;
  /** As Kernels[name]; another one is a control. */
  readonly kernel?: (source: number, target: number, count: number) => void;
}

/** All bit patterns of positive floats, infinity and NaN. */
export const MAGNITUDES = 0x8000_0000;
const SIGN = 0x8000_0000;
const INFINITE = 0x7f80_0000;
const MINUS_INFINITE = 0xff80_0000;
const BLOCK = 1 << 16;

const sourcePtr = memory.allocate(BLOCK * 4);
const targetPtr = memory.allocate(BLOCK * 4);
const x = memory.f32(sourcePtr, BLOCK);
const xBits = memory.u32(sourcePtr, BLOCK);
const y = memory.f32(targetPtr, BLOCK);
const yBits = memory.u32(targetPtr, BLOCK);
const correct = new Float32Array(BLOCK);
const correctBits = new Uint32Array(correct.buffer);
const copied = [Buffer.alloc(4096), Buffer.alloc(4096)] as const;

const float = new Float32Array(1);
const floatBits = new Uint32Array(float.buffer);
const bitsOf = (value: number): number => {
  float[0] = value;
  return floatBits[0]!;
};

export function noFindings(): Findings {
  const counts = { inputs: 0, oneUlpOff: 0, furtherOff: 0, decreasing: 0, notOdd: 0, wrongOne: 0, wrongInfinity: 0 };
  return { ...counts, wrongNaN: 0, referenceDiffers: 0, worst: { x: 0, got: 0, want: 0, ulps: 0 } };
}

export function checkFunction(
  name: FunctionName,
  { first = 0, end = MAGNITUDES, stride, referenceStride, kernel = kernels[name] }: CheckOptions,
): Findings {
  const checked = FUNCTIONS[name];
  const findings = noFindings();
  const positive = new Uint32Array(BLOCK);
  /** The results of the magnitude before, for x > 0 and x < 0. */
  let [above, below] = first === 0 ? [-Infinity, Infinity] : resultsAt(first - stride, kernel);
  for (let block = first; block < end; block += BLOCK * stride) {
    const count = Math.min(BLOCK, Math.ceil((end - block) / stride));
    fill(block, stride, count);
    run(kernel, BLOCK);
    const differing = checkRounding(findings, checked, count);
    checkReference(findings, checked, count, referenceStride);
    const atZero = y[0]!;
    above = checkIncreasing(findings, count, above, differing);
    if (checked.isOdd) positive.set(yBits);

    negate();
    run(kernel, BLOCK);
    if (checked.isOdd) {
      // Then rounding and order are right, too, where they are for positive x.
      checkOdd(findings, count, positive);
    } else {
      const differing = checkRounding(findings, checked, count);
      below = checkDecreasing(findings, count, below, differing);
    }
    checkReference(findings, checked, count, referenceStride);
    if (block === 0 && !(y[0]! <= atZero)) findings.decreasing++;
    findings.inputs += 2 * count;
  }
  return findings;
}

/** `count` positive x, every stride-th from a magnitude on; the last one again in the rest of the block. */
function fill(magnitude: number, stride: number, count: number): void {
  for (let i = 0; i < count; i++) xBits[i] = magnitude + i * stride;
  xBits.fill(xBits[count - 1]!, count);
}

function negate(): void {
  for (let i = 0; i < BLOCK; i++) xBits[i]! |= SIGN;
}

/**
 * V8 leaves the upper halves of the 256-bit registers in use after a kernel, and then the 128-bit code of Math.exp
 * takes five times as long. Copying memory clears them: the C library ends such functions by vzeroupper.
 */
function run(kernel: NonNullable<CheckOptions['kernel']>, count: number): void {
  kernel(sourcePtr, targetPtr, count);
  copied[0].copy(copied[1]);
}

function resultsAt(magnitude: number, kernel: NonNullable<CheckOptions['kernel']>): [number, number] {
  xBits.fill(magnitude);
  xBits[1] = magnitude | SIGN;
  run(kernel, 8);
  return [y[0]!, y[1]!];
}

/** @returns how many bits of results differ from the correctly rounded ones */
function checkRounding(findings: Findings, { exact, has1Elsewhere }: Checked, count: number): number {
  exact.round(x, correct);
  let differing = 0;
  for (let i = 0; i < count; i++) {
    if (yBits[i] === correctBits[i]) continue;
    differing++;
    const [got, want] = [y[i]!, correct[i]!];
    if (Number.isNaN(want)) {
      if (!Number.isNaN(got)) findings.wrongNaN++;
      continue;
    }
    // Patterns of positive floats count the floats.
    const distance = Math.abs(yBits[i]! - correctBits[i]!);
    if (distance === 1) findings.oneUlpOff++;
    else findings.furtherOff++;
    if (want === 1 || (got === 1 && !has1Elsewhere)) findings.wrongOne++;
    if (want === Infinity || got === Infinity) findings.wrongInfinity++;
    noteError(findings, x[i]!, got, want, exact.close(x[i]!));
  }
  return differing;
}

function noteError(findings: Findings, at: number, got: number, want: number, close: number): void {
  const ulp = 2 ** (Math.max(-126, Math.floor(Math.log2(close))) - 23);
  const ulps = Math.abs(Math.min(got, 2 ** 128) - close) / ulp;
  if (!(ulps <= findings.worst.ulps)) findings.worst = { x: at, got, want, ulps };
}

/**
 * The results of growing x do not decrease; correctly rounded ones do not, so that a block without others is in order
 * if its first result is. @returns the last result other than NaN
 */
function checkIncreasing(findings: Findings, count: number, before: number, differing: number): number {
  let previous = before;
  if (differing === 0 && xBits[count - 1]! <= INFINITE) {
    if (!(y[0]! >= previous)) findings.decreasing++;
    return y[count - 1]!;
  }
  for (let i = 0; i < count && xBits[i]! <= INFINITE; i++) {
    const got = y[i]!;
    if (!(got >= previous)) findings.decreasing++;
    previous = got;
  }
  return previous;
}

/** The same of negative x, further from 0 each, whose results do not increase. */
function checkDecreasing(findings: Findings, count: number, before: number, differing: number): number {
  let previous = before;
  if (differing === 0 && xBits[count - 1]! <= MINUS_INFINITE) {
    if (!(y[0]! <= previous)) findings.decreasing++;
    return y[count - 1]!;
  }
  for (let i = 0; i < count && xBits[i]! <= MINUS_INFINITE; i++) {
    const got = y[i]!;
    if (!(got <= previous)) findings.decreasing++;
    previous = got;
  }
  return previous;
}

function checkOdd(findings: Findings, count: number, positive: Uint32Array): void {
  for (let i = 0; i < count; i++) {
    if (xBits[i]! > MINUS_INFINITE) {
      if (!Number.isNaN(y[i]!)) findings.wrongNaN++;
    } else if (yBits[i] !== (positive[i]! | SIGN) >>> 0) {
      findings.notOdd++;
    }
  }
}

function checkReference(findings: Findings, { reference }: Checked, count: number, stride: number): void {
  for (let i = 0; i < count; i += stride) {
    const got = reference(x[i]!);
    if (Number.isNaN(got) ? !Number.isNaN(y[i]!) : bitsOf(got) !== yBits[i]) findings.referenceDiffers++;
  }
}

/** Adds the findings about other inputs. */
export function merge(all: Findings, more: Findings): void {
  for (const key of Object.keys(all) as (keyof Findings)[]) {
    if (key !== 'worst') all[key] += more[key];
  }
  if (more.worst.ulps > all.worst.ulps) all.worst = more.worst;
}

/** The findings that break a promise. */
export function brokenPromises(findings: Findings): Partial<Findings> {
  const { inputs: _inputs, oneUlpOff: _oneUlpOff, worst: _worst, ...broken } = findings;
  return Object.fromEntries(Object.entries(broken).filter(([, count]) => count > 0));
}
