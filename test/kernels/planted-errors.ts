// Kernels with one wrong result each, for controls of function-check.ts: every promise must be seen broken.
import { kernels, memory } from '../helpers/kernels.ts';
import type { Findings, FunctionName } from './function-check.ts';

export interface PlantedError {
  readonly what: string;
  readonly kernel: (source: number, target: number, count: number) => void;
  /** What the check must find with PLANTED_STRIDE. */
  readonly expected: Partial<Findings>;
}

/** Of the magnitudes. */
export const PLANTED_STRIDE = 99_991;
/** Bit patterns of floats that the check meets. */
const HALF = PLANTED_STRIDE * Math.round(0x3f00_0000 / PLANTED_STRIDE);
const MINUS_HALF = (0x8000_0000 | HALF) >>> 0;
const HUGE = PLANTED_STRIDE * Math.round(0x7f00_0000 / PLANTED_STRIDE);
const NOT_A_NUMBER = PLANTED_STRIDE * Math.ceil(0x7fc0_0000 / PLANTED_STRIDE);

export function plantErrors(name: FunctionName): readonly PlantedError[] {
  const planted = (what: string, at: number, wrong: (bits: number) => number, expected: Partial<Findings>) => ({
    what,
    kernel: (source: number, target: number, count: number) => {
      kernels[name](source, target, count);
      const x = memory.u32(source, count);
      const y = memory.u32(target, count);
      for (let i = 0; i < count; i++) if (x[i] === at) y[i] = wrong(y[i]!);
    },
    expected,
  });
  /** Of tanh, results for x < 0 are compared with those for -x alone. */
  const ofNegative = (expected: Partial<Findings>) => (name === 'tanh' ? { notOdd: 1 } : expected);
  return [
    planted('a result 2 ulp off or more', HALF, (bits) => bits + 3, { furtherOff: 1, referenceDiffers: 1 }),
    planted('a result 2 ulp off or more, x < 0', MINUS_HALF, (bits) => bits + 3, ofNegative({ furtherOff: 1 })),
    planted('a result out of order', HALF, (bits) => bits + 0x10_0000, { decreasing: 1 }),
    planted('a result out of order, x < 0', MINUS_HALF, (bits) => bits - 0x10_0000, ofNegative({ decreasing: 1 })),
    planted('a result of 1', HALF, () => 0x3f80_0000, name === 'exp' ? { furtherOff: 1 } : { wrongOne: 1 }),
    planted('another number than 1', 0, () => 0x3f80_0001, name === 'exp' ? { wrongOne: 1 } : { furtherOff: 1 }),
    ...(name === 'exp' ? [planted('a number for infinity', HUGE, (bits) => bits - 1, { wrongInfinity: 1 })] : []),
    planted('a number for NaN', NOT_A_NUMBER, () => 0, { wrongNaN: 1 }),
  ];
}
