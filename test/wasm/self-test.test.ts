// The self-test of the start notices kernels that are wrong in one number, whatever they were asked for, and processors
// and engines that have no fused multiply-add.
import { describe, expect, test } from 'vitest';
import {
  JOB_N,
  JOB_O,
  JOB_ROWS,
  KIND_JOB,
  KIND_PRINT,
  KIND_READ,
  PRINT_OUTPUT,
  READ_NUMBERS,
  RECORD_KIND,
  ROW_BYTES,
  ROW_HS,
  ROW_HS_MASK,
  ROW_HS_STEP,
  ROW_STEPS,
  ROW_TRACE,
  ROW_TRACE_SIZE,
  ROW_Y,
  ROW_YS,
} from '../../src/kernels/layout.ts';
import { selfTest } from '../../src/wasm/self-test.ts';
import { kernels, memory } from '../helpers/kernels.ts';

const ALL_STATES = 0xffff_ffff;

/** What is spoilt when a record has been done: the address of a word of the result, or 0 for none. */
type Fault = (record: DataView, row: DataView, secondRow: DataView) => number;

const kindOf = (record: DataView) => record.getUint32(RECORD_KIND, true);
const u32 = (view: DataView, at: number) => view.getUint32(at, true);
/** A fault of jobs. */
const ofJob =
  (fault: Fault): Fault =>
  (record, row, second) =>
    kindOf(record) === KIND_JOB ? fault(record, row, second) : 0;
/** Where the state after so many steps is. */
const stateAfter = (row: DataView, steps: number) =>
  u32(row, ROW_HS) + (((steps - 1) & u32(row, ROW_HS_MASK)) >>> 0) * u32(row, ROW_HS_STEP);
const trace = (index: number) =>
  ofJob((_, row) => u32(row, ROW_TRACE) && u32(row, ROW_TRACE) + index * u32(row, ROW_TRACE_SIZE));

const FAULTS: Record<string, Fault> = {
  'a state': ofJob((_, row) => (u32(row, ROW_HS_MASK) === ALL_STATES ? stateAfter(row, 1) : 0)),
  'the ring of last states': ofJob((_, row) => {
    const steps = u32(row, ROW_STEPS);
    return steps > u32(row, ROW_HS_MASK) + 1 ? stateAfter(row, steps) : 0;
  }),
  'rows of unequal length': ofJob((record, row, second) => {
    const isRagged = u32(record, JOB_N) > 1 && u32(row, ROW_STEPS) > u32(second, ROW_STEPS);
    return isRagged && u32(row, ROW_HS_MASK) === ALL_STATES ? stateAfter(second, u32(row, ROW_STEPS)) : 0;
  }),
  'the readout of the last state': ofJob((record, row) => u32(record, JOB_O) && u32(row, ROW_Y)),
  'the readouts of all states': ofJob((record, row) => u32(record, JOB_O) && u32(row, ROW_YS)),
  'the traced h W_h': trace(0),
  'the traced x W_x': trace(1),
  'the traced z': trace(2),
  'a number that is read': (record) => (kindOf(record) === KIND_READ ? u32(record, READ_NUMBERS) : 0),
  'a number that is printed': (record) => (kindOf(record) === KIND_PRINT ? u32(record, PRINT_OUTPUT) : 0),
};

/** The kernels, which spoil the lowest bit of one word of each result that the fault finds. */
function spoilt(fault: Fault): { readonly kernels: typeof kernels; readonly spoiltCount: () => number } {
  let count = 0;
  const view = (ptr: number) => new DataView(memory.memory.buffer, ptr);
  const run = (ptr: number) => {
    kernels.run(ptr);
    const record = view(ptr);
    const rows = kindOf(record) === KIND_JOB ? u32(record, JOB_ROWS) : 0;
    const at = fault(record, view(rows), view(rows + ROW_BYTES));
    if (at === 0) return;
    count++;
    view(at).setUint32(0, u32(view(at), 0) ^ 1, true);
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
