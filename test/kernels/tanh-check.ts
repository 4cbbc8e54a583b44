// The promise about tanh, checked on every n-th float32: odd, non-decreasing, exactly ±1 where the
// rounded result is, NaN for NaN, at most 1 ulp from the correctly rounded result; and the scalar
// reference has the kernel's bits.
import { tanh32 } from '../../src/wasm/reference/functions.ts';
import type { Kernels } from '../../src/wasm/load.ts';
import { kernels, memory } from '../helpers/kernels.ts';
import { tanhCorrectlyRounded } from '../helpers/tanh-correctly-rounded.ts';

export interface TanhFindings {
  inputs: number;
  /** Results that are a neighbour of the correctly rounded float, and results further away. */
  oneUlpOff: number;
  furtherOff: number;
  notOdd: number;
  decreasing: number;
  /** 1 where the rounded result is not, or the other way round. */
  wrongOne: number;
  wrongNaN: number;
  referenceDiffers: number;
  /** Largest error against the exact value, in units in the last place of the result. */
  worst: { x: number; got: number; want: number; ulps: number };
}

export interface CheckOptions {
  readonly tanh?: Kernels['tanh'];
  readonly onProgress?: (part: number) => void;
}

const BLOCK = 1 << 16;
const NAN_FIRST = 0x7f80_0001;
const POSITIVE_END = 0x8000_0000;

const sourcePtr = memory.allocate(BLOCK * 4);
const targetPtr = memory.allocate(BLOCK * 4);
const x = memory.f32(sourcePtr, BLOCK);
const xBits = memory.u32(sourcePtr, BLOCK);
const y = memory.f32(targetPtr, BLOCK);
const yBits = memory.u32(targetPtr, BLOCK);

const float = new Float32Array(1);
const floatBits = new Uint32Array(float.buffer);
const bitsOf = (value: number): number => {
  float[0] = value;
  return floatBits[0]!;
};

/**
 * @param stride            every stride-th pattern, 1 for all 2^32
 * @param referenceStride   the scalar reference on every so-manieth of those
 */
export function checkTanh(
  stride: number,
  referenceStride: number,
  { tanh = kernels.tanh, onProgress = () => {} }: CheckOptions = {},
): TanhFindings {
  const findings: TanhFindings = {
    inputs: 0,
    oneUlpOff: 0,
    furtherOff: 0,
    notOdd: 0,
    decreasing: 0,
    wrongOne: 0,
    wrongNaN: 0,
    referenceDiffers: 0,
    worst: { x: 0, got: 0, want: 0, ulps: 0 },
  };
  const positive = new Uint32Array(BLOCK);
  let previous = 0;
  for (let first = 0; first < POSITIVE_END; first += BLOCK * stride) {
    const count = Math.min(BLOCK, Math.ceil((POSITIVE_END - first) / stride));
    for (let i = 0; i < BLOCK; i++) xBits[i] = first + Math.min(i, count - 1) * stride;
    tanh(sourcePtr, targetPtr, BLOCK);
    previous = checkPositive(findings, count, previous);
    checkReference(findings, count, referenceStride);

    positive.set(yBits);
    for (let i = 0; i < count; i++) xBits[i]! |= POSITIVE_END;
    tanh(sourcePtr, targetPtr, BLOCK);
    checkNegative(findings, count, positive);
    checkReference(findings, count, referenceStride);
    findings.inputs += 2 * count;
    onProgress(first / POSITIVE_END);
  }
  return findings;
}

function checkPositive(findings: TanhFindings, count: number, before: number): number {
  let previous = before;
  for (let i = 0; i < count; i++) {
    const got = y[i]!;
    if (xBits[i]! >= NAN_FIRST) {
      if (!Number.isNaN(got)) findings.wrongNaN++;
      continue;
    }
    const want = tanhCorrectlyRounded(x[i]!);
    if (!Object.is(got, want)) noteDifference(findings, x[i]!, got, want);
    if (!(got >= previous)) findings.decreasing++;
    previous = got;
  }
  return previous;
}

function noteDifference(findings: TanhFindings, at: number, got: number, want: number): void {
  // Patterns of positive floats count the floats.
  const distance = Math.abs(bitsOf(got) - bitsOf(want));
  if (distance === 1) findings.oneUlpOff++;
  else findings.furtherOff++;
  if ((got === 1) !== (want === 1)) findings.wrongOne++;

  const ulp = 2 ** Math.max(-149, Math.floor(Math.log2(Math.min(want, 1 - 2 ** -24))) - 23);
  const ulps = Math.abs(got - Math.tanh(at)) / ulp;
  if (ulps > findings.worst.ulps) findings.worst = { x: at, got, want, ulps };
}

function checkNegative(findings: TanhFindings, count: number, positive: Uint32Array): void {
  for (let i = 0; i < count; i++) {
    if ((xBits[i]! & 0x7fff_ffff) >= NAN_FIRST) {
      if (!Number.isNaN(y[i]!)) findings.wrongNaN++;
    } else if (yBits[i] !== (positive[i]! | POSITIVE_END) >>> 0) {
      findings.notOdd++;
    }
  }
}

function checkReference(findings: TanhFindings, count: number, stride: number): void {
  for (let i = 0; i < count; i += stride) {
    const got = tanh32(x[i]!);
    if (Number.isNaN(got) ? !Number.isNaN(y[i]!) : bitsOf(got) !== yBits[i]) {
      findings.referenceDiffers++;
    }
  }
}

/** The findings that break the promise. */
export function brokenPromises(findings: TanhFindings): Partial<TanhFindings> {
  const { inputs: _inputs, oneUlpOff: _oneUlpOff, worst: _worst, ...broken } = findings;
  return Object.fromEntries(Object.entries(broken).filter(([, count]) => count > 0));
}
