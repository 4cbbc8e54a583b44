// The self-test of the start notices kernels that are wrong in one number, whatever they were asked for, and processors
// and engines that have no fused multiply-add.
import { describe, expect, test } from 'vitest';
import {
  AFFINE,
  DENSE,
  EMBEDDING,
  GRU_AFTER,
  GRU_BEFORE,
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
  LAYER_ACTIVATION,
  LAYER_B,
  LAYER_BYTES,
  LAYER_KIND,
  LAYER_NARROW,
  LAYER_REVERSE,
  LAYER_W_H,
  LAYER_W_X,
  LINEAR,
  LSTM,
  MODEL_BYTES,
  MODEL_LAYERS,
  NR,
  PRINT_OUTPUT,
  READ_NUMBERS,
  RECORD_KIND,
  RELU,
  RNN,
  ROW_BYTES,
  ROW_N,
  ROW_STEPS,
  RUN_BYTES,
  RUN_C,
  RUN_FINAL_ROW,
  RUN_H_FINAL,
  RUN_OUT,
  RUN_PRODUCTS,
  RUN_PRODUCTS_SIZE,
  RUN_TRACE,
  SEQUENCE_AT,
  SEQUENCE_MASK,
  SEQUENCE_ROW,
  SEQUENCE_STEP,
  SIGMOID,
  SOFTMAX,
  TANH,
} from '../../src/kernels/layout.ts';
import { selfTest } from '../../src/wasm/self-test.ts';
import { kernels, memory } from '../helpers/kernels.ts';
import { sample } from '../helpers/long.ts';

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

/** The run of the first layer for which `accepts` is not 0; 0 if there is none. */
function firstRun(job: number, accepts: (run: number, layer: number) => number): number {
  const model = u32(job + JOB_MODEL);
  const count = u32(model + MODEL_LAYERS);
  const runs = Array.from({ length: count }, (_, k) => u32(job + JOB_RUNS) + k * RUN_BYTES);
  return runs.find((run, k) => accepts(run, model + MODEL_BYTES + k * LAYER_BYTES) !== 0) ?? 0;
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
  'a state of a layer before the last': ofJob(({ job, run, row }) => {
    const first = firstRun(job, (at) => u32(at + RUN_H_FINAL));
    return first === run ? 0 : u32(first + RUN_H_FINAL) + u32(row + ROW_N) * u32(first + RUN_FINAL_ROW);
  }),
  'a state of the reverse direction': ofJob(({ job, row }) => {
    const reversed = firstRun(job, (_, layer) => u32(layer + LAYER_REVERSE));
    return reversed && u32(reversed + RUN_H_FINAL) + u32(row + ROW_N) * u32(reversed + RUN_FINAL_ROW);
  }),
  'a cell state': ofJob(({ job }) => {
    const lstm = firstRun(job, (at) => u32(at + RUN_C));
    return lstm && u32(lstm + RUN_C);
  }),
  'the traced z of a gate': ofJob(({ job, row }) => {
    const traced = firstRun(job, (at) => u32(at + RUN_TRACE));
    return traced && vectorAt(traced + RUN_TRACE, row, 0);
  }),
  'a traced gate': ofJob(({ job, row }) => {
    const traced = firstRun(job, (at) => u32(at + RUN_TRACE));
    // The gates follow their z.
    return traced && vectorAt(traced + RUN_TRACE, row, 0) + u32(traced + RUN_TRACE + SEQUENCE_ROW) / 2;
  }),
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

/** Kinds of layers, with the weights that they have. */
const WEIGHTS = {
  embedding: [EMBEDDING, { E: LAYER_W_X }],
  affine: [AFFINE, { scale: LAYER_W_X, offset: LAYER_B }],
  dense: [DENSE, { W: LAYER_W_X, b: LAYER_B }],
  rnn: [RNN, { W_x: LAYER_W_X, W_h: LAYER_W_H, b: LAYER_B }],
  'gru after': [GRU_AFTER, { W_x: LAYER_W_X, W_h: LAYER_W_H, b: LAYER_B }],
  'gru before': [GRU_BEFORE, { W_x: LAYER_W_X, W_h: LAYER_W_H, b: LAYER_B }],
  lstm: [LSTM, { W_x: LAYER_W_X, W_h: LAYER_W_H, b: LAYER_B }],
} as const;

/** The word and its bits that are changed before a job, and back after it, by the record of a layer. */
type ModelFault = (layer: number, model: number) => readonly [at: number, bits: number] | undefined;

/** One part in 2^12 of a float32 or a float64. */
const WEIGHT_FAULTS = Object.entries(WEIGHTS).flatMap(([type, [kind, fields]]) =>
  Object.entries(fields).map(([name, field]): [string, ModelFault] => [
    `${name} of ${type}`,
    (layer, model) => {
      if (u32(layer + LAYER_KIND) !== kind) return undefined;
      // Row 3 of E, of up to NR columns: the self-test need not use row 0.
      const at = model + u32(layer + field) + (kind === EMBEDDING ? 3 * NR * Float32Array.BYTES_PER_ELEMENT : 0);
      return u32(layer + LAYER_NARROW) ? [at + 4, 1 << 8] : [at, 1 << 11];
    },
  ]),
);

const MODEL_FAULTS: Record<string, ModelFault> = {
  ...Object.fromEntries(WEIGHT_FAULTS),
  'the direction of a layer': (layer) => (u32(layer + LAYER_KIND) >= RNN ? [layer + LAYER_REVERSE, 1] : undefined),
  'the activation of an rnn': (layer) =>
    u32(layer + LAYER_KIND) === RNN ? [layer + LAYER_ACTIVATION, RELU ^ TANH] : undefined,
  'relu of a dense layer': (layer) => activationFault(layer, RELU),
  'tanh of a dense layer': (layer) => activationFault(layer, TANH),
  'sigmoid of a dense layer': (layer) => activationFault(layer, SIGMOID),
  'softmax of a dense layer': (layer) => activationFault(layer, SOFTMAX),
};

function activationFault(layer: number, activation: number): readonly [number, number] | undefined {
  const isDense = u32(layer + LAYER_KIND) === DENSE;
  const at = layer + LAYER_ACTIVATION;
  return isDense && u32(at) === activation ? [at, activation ^ LINEAR] : undefined;
}

/** The kernels, for which one word of each model is changed if the fault finds a layer for it. */
function misled(fault: ModelFault): { readonly kernels: typeof kernels; readonly spoiltCount: () => number } {
  let count = 0;
  const change = (at: number, bits: number) => new DataView(memory.memory.buffer).setUint32(at, u32(at) ^ bits, true);
  const run = (ptr: number) => {
    const model = kindOf(ptr) === KIND_JOB ? u32(ptr + JOB_MODEL) : 0;
    const length = model && u32(model + MODEL_LAYERS);
    const layers = Array.from({ length }, (_, k) => model + MODEL_BYTES + k * LAYER_BYTES);
    const found = layers.map((layer) => fault(layer, model)).find((one) => one !== undefined);
    if (found) count++;
    if (found) change(...found);
    kernels.run(ptr);
    if (found) change(...found);
  };
  return { kernels: { ...kernels, run }, spoiltCount: () => count };
}

describe('the self-test', () => {
  test('the self-test passes with correct kernels, and frees its memory', () => {
    const before = memory.bytesUsed;
    selfTest(kernels, memory);
    expect(memory.bytesUsed).toBe(before);
  });

  test.each(sample(Object.keys(FAULTS), 6))('the self-test finds one wrong bit in %s', (name) => {
    const { kernels: wrong, spoiltCount } = spoilt(FAULTS[name]!);
    expect(() => selfTest(wrong, memory)).toThrow(/^Self-test failed: /);
    expect(spoiltCount()).toBeGreaterThan(0);
  });

  test.each(sample(Object.keys(MODEL_FAULTS), 4))('the self-test finds kernels that compute with another value of %s', (name) => {
    const { kernels: wrong, spoiltCount } = misled(MODEL_FAULTS[name]!);
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
