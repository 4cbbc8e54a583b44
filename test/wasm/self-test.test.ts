// The self-test of the start notices kernels that are wrong in one number, whatever they were asked for, and processors
// and engines that have no fused multiply-add.
import { describe, expect, test } from 'vitest';
import {
  JOB_FINAL,
  JOB_FINAL_ROW,
  JOB_HEAD,
  JOB_MODEL,
  JOB_N,
  JOB_ROWS,
  JOB_RUNS,
  JOB_Y,
  JOB_Y_ROW,
  KIND_JOB,
  KIND_PRINT,
  KIND_READ,
  MODEL_LAYERS,
  PRINT_OUTPUT,
  READ_NUMBERS,
  RECORD_KIND,
  ROW_BYTES,
  ROW_N,
  ROW_STEPS,
  RUN_BYTES,
  RUN_OUT,
  RUN_PRODUCTS,
  RUN_PRODUCTS_SIZE,
  SEQUENCE_AT,
  SEQUENCE_MASK,
  SEQUENCE_ROW,
  SEQUENCE_STEP,
} from '../../src/kernels/layout.ts';
import { selfTest } from '../../src/wasm/self-test.ts';
import { kernels, memory } from '../helpers/kernels.ts';

const ALL_STATES = 0xffff_ffff;

/** What is spoilt when a record has been done: the address of a word of the result, or 0 for none. */
type Fault = (ptr: number) => number;

const u32 = (ptr: number) => new DataView(memory.memory.buffer).getUint32(ptr, true);
const kindOf = (record: number) => u32(record + RECORD_KIND);

interface JobWithRows {
  readonly job: number;
  /** The run of the last recurrent layer. */
  readonly run: number;
  /** The run of the last layer of the head; 0 if there is none. */
  readonly headRun: number;
  readonly row: number;
  readonly second: number;
}

/** A fault of jobs. */
const ofJob =
  (fault: (job: JobWithRows) => number): Fault =>
  (job) => {
    if (kindOf(job) !== KIND_JOB) return 0;
    const [runs, head, count] = [u32(job + JOB_RUNS), u32(job + JOB_HEAD), u32(u32(job + JOB_MODEL) + MODEL_LAYERS)];
    const run = runs + (head - 1) * RUN_BYTES;
    const headRun = head === count ? 0 : runs + (count - 1) * RUN_BYTES;
    const row = u32(job + JOB_ROWS);
    return fault({ job, run, headRun, row, second: row + ROW_BYTES });
  };

/** Where the vector of a row at step t is in a sequence; 0 if there is no such sequence. */
function vectorAt(sequence: number, row: number, t: number): number {
  const at = u32(sequence + SEQUENCE_AT);
  const slot = (t & u32(sequence + SEQUENCE_MASK)) >>> 0;
  return at && at + slot * u32(sequence + SEQUENCE_STEP) + u32(row + ROW_N) * u32(sequence + SEQUENCE_ROW);
}

const hasAllStates = ({ run }: JobWithRows) => u32(run + RUN_OUT + SEQUENCE_MASK) === ALL_STATES;
const finalAt = ({ job, row }: JobWithRows) => u32(job + JOB_FINAL) + u32(row + ROW_N) * u32(job + JOB_FINAL_ROW);
/** One of the three products: h W_h, x W_x and z. */
const trace = (index: number) =>
  ofJob(({ run, row }) => {
    const at = vectorAt(run + RUN_PRODUCTS, row, 0);
    return at && at + index * u32(run + RUN_PRODUCTS_SIZE);
  });

const FAULTS: Record<string, Fault> = {
  'a state': ofJob((all) => (hasAllStates(all) ? vectorAt(all.run + RUN_OUT, all.row, 0) : 0)),
  'the last state': ofJob((all) => (hasAllStates(all) ? finalAt(all) : 0)),
  'the last state after a ring': ofJob((all) => {
    const isRound = u32(all.row + ROW_STEPS) > u32(all.run + RUN_OUT + SEQUENCE_MASK) + 1;
    return isRound ? finalAt(all) : 0;
  }),
  'rows of unequal length': ofJob((all) => {
    const { job, run, row, second } = all;
    const steps = u32(row + ROW_STEPS);
    const isRagged = u32(job + JOB_N) > 1 && steps > u32(second + ROW_STEPS);
    return isRagged && hasAllStates(all) ? vectorAt(run + RUN_OUT, second, steps - 1) : 0;
  }),
  'the readout of the last state': ofJob(({ job, headRun, row }) =>
    headRun && u32(job + JOB_Y) + u32(row + ROW_N) * u32(job + JOB_Y_ROW),
  ),
  'the readouts of all states': ofJob(({ headRun, row }) => headRun && vectorAt(headRun + RUN_OUT, row, 0)),
  'the traced h W_h': trace(0),
  'the traced x W_x': trace(1),
  'the traced z': trace(2),
  'a number that is read': (ptr) => (kindOf(ptr) === KIND_READ ? u32(ptr + READ_NUMBERS) : 0),
  'a number that is printed': (ptr) => (kindOf(ptr) === KIND_PRINT ? u32(ptr + PRINT_OUTPUT) : 0),
};

/** The kernels, which spoil the lowest bit of one word of each result that the fault finds. */
function spoilt(fault: Fault): { readonly kernels: typeof kernels; readonly spoiltCount: () => number } {
  let count = 0;
  const run = (ptr: number) => {
    kernels.run(ptr);
    const at = fault(ptr);
    if (at === 0) return;
    count++;
    new DataView(memory.memory.buffer).setUint32(at, u32(at) ^ 1, true);
  };
  return { kernels: { ...kernels, run }, spoiltCount: () => count };
}

describe('the self-test', () => {
  test('the self-test passes with correct kernels, and frees its memory', () => {
    const before = memory.bytesUsed;
    selfTest(kernels, memory);
    expect(memory.bytesUsed).toBe(before);
  });

  test.each(Object.keys(FAULTS))('the self-test finds one wrong bit in %s', (name) => {
    const { kernels: wrong, spoiltCount } = spoilt(FAULTS[name]!);
    expect(() => selfTest(wrong, memory)).toThrow(/^Self-test failed: /);
    expect(spoiltCount()).toBeGreaterThan(0);
  });

  test('refuses a multiply-add that rounds the product, in one line that names the reason', () => {
    const { fround } = Math;
    const multiplyAdd = (a: number, b: number, c: number) => fround(fround(a * b) + c);
    expect(() => selfTest({ ...kernels, multiplyAdd }, memory)).toThrow(
      /^Self-test failed: .* has no fused multiply-add: .* is 5\.96\S+e-8 .* computed 0\. .* FMA3, or arm64\.$/,
    );
  });
});
