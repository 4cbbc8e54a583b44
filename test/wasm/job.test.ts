import { describe, expect, test } from 'vitest';
import {
  JOB_N,
  JOB_PAIRS,
  JOB_PAIRS_MAX,
  JOB_ROWS,
  ROW_BYTES,
  ROW_STEPS,
  SCRATCH_PAIRS,
} from '../../src/kernels/layout.ts';
import { type LayerSpec, tanhLayers } from '../../src/layers.ts';
import { Job, type JobShape, type PackedModel } from '../../src/wasm/job.ts';
import { placeModel } from '../../src/wasm/packed-model.ts';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';
import { randomLayers } from '../../src/wasm/random-layers.ts';
import { kernels, memory } from '../helpers/kernels.ts';
import { runs } from '../helpers/long.ts';
import { fc } from '../helpers/seed.ts';
import { fillStackJob, layersOf, stackCases } from '../helpers/stack-cases.ts';

/** Its weights are zeros. */
function model(D: number, H: number, O = 0): PackedModel {
  const zeros = (count: number) => new Float32Array(count);
  const weights = { D, H, W_x: zeros(D * H), W_h: zeros(H * H), b: zeros(H) };
  const readout = O > 0 ? { O, W_y: zeros(H * O), b_y: zeros(O) } : undefined;
  return placeModel(memory, tanhLayers(weights, readout));
}

function freeModel({ ptr }: PackedModel): void {
  memory.free(ptr);
}

const shapesUpTo = (stepsMax: number, rowsMax: number) =>
  fc
    .record({
      T: fc.integer({ min: 1, max: stepsMax }),
      N: fc.integer({ min: 1, max: rowsMax }),
      D: fc.integer({ min: 1, max: 60 }),
      H: fc.integer({ min: 1, max: 60 }),
    })
    .chain((shape) => {
      const length = fc.integer({ min: 0, max: shape.T });
      const lengths = fc.array(length, { minLength: shape.N, maxLength: shape.N });
      return fc.record({
        shape: fc.constant(shape),
        lengths: fc.option(lengths, { nil: undefined }),
        wanted: fc.integer({ min: 1, max: 16 }),
      });
    });

/** A NaN with a payload of its own. */
const UNWRITTEN = 0xffc0_dead;

describe('the parts of a job', () => {
  test('the parts of a job divide its rows, longest first', () => {
    const check = fc.property(shapesUpTo(200, 200), ({ shape: { T, N, D, H }, lengths, wanted }) => {
      const weights = model(D, H);
      const job = new Job(memory, weights, { T, N, lengths, keepsStates: false, trace: false });
      const parts = job.split(Math.min(wanted, job.partsMax)).map((ptr) => {
        const record = memory.u32(ptr, 16);
        return { rows: record[JOB_ROWS / 4]!, count: record[JOB_N / 4]!, pairsMax: record[JOB_PAIRS_MAX / 4]! };
      });
      expect(parts.reduce((sum, { count }) => sum + count, 0)).toBe(N);
      for (const [i, { rows, count, pairsMax }] of parts.entries()) {
        expect(pairsMax).toBeGreaterThanOrEqual(2 * count + SCRATCH_PAIRS);
        if (i > 0) expect(rows).toBe(parts[i - 1]!.rows + parts[i - 1]!.count * ROW_BYTES);
      }
      const steps = memory.u32(parts[0]!.rows, (N * ROW_BYTES) / 4);
      for (let n = 1; n < N; n++) {
        const at = (n * ROW_BYTES + ROW_STEPS) / 4;
        expect(steps[at]).toBeLessThanOrEqual(steps[at - ROW_BYTES / 4]!);
      }
      job.release();
      freeModel(weights);
    });
    fc.assert(check, { numRuns: runs(300) });
  });

  const fillTanhJob = (job: Job) => {
    job.x.fill(0.5);
    job.states[0]!.h.fill(0.25);
  };

  /** From each part, run alone, to the words of the job's block that it has written. */
  function wordsWritten(
    shape: Omit<JobShape, 'xPtr' | 'hPtr'>,
    weights: PackedModel,
    wanted: number,
    fill: (job: Job) => void = fillTanhJob,
  ) {
    const bytesBefore = memory.bytesUsed;
    const job = new Job(memory, weights, shape);
    const block = memory.u32(job.ptr, (memory.bytesUsed - bytesBefore) / 4);
    const parts = job.split(Math.min(wanted, job.partsMax));
    // Whatever is not a record: a number that no kernel writes.
    block.fill(UNWRITTEN, (memory.u32(parts[0]!, 16)[JOB_PAIRS / 4]! - job.ptr) / 4);
    fill(job);
    const before = block.slice();
    const written = parts.map((ptr) => {
      block.set(before);
      kernels.run(ptr);
      return [...block.keys()].filter((word) => block[word] !== before[word]);
    });
    job.release();
    return written;
  }

  const repeated = (written: readonly number[][]) => {
    const all = written.flat();
    return all.length - new Set(all).size;
  };

  const jobs = fc.record({
    cut: shapesUpTo(5, 40),
    keepsStates: fc.boolean(),
    trace: fc.boolean(),
    O: fc.integer({ min: 0, max: 20 }),
  });

  test('the parts write to no memory in common: states, traces, readouts and intermediate results', () => {
    let partsSeen = 0;
    const check = fc.property(jobs, ({ cut: { shape, lengths, wanted }, keepsStates, trace, O }) => {
      const { T, N, D, H } = shape;
      const weights = model(D, H, O);
      const written = wordsWritten({ T, N, lengths, keepsStates, trace }, weights, wanted);
      freeModel(weights);
      partsSeen += written.length;
      expect(repeated(written)).toBe(0);
      const statesMin = lengths ? lengths.filter((length) => length > 0).length : N;
      expect(written.flat().length).toBeGreaterThanOrEqual(statesMin * H + N * O);
    });
    fc.assert(check, { numRuns: runs(200) });
    expect(partsSeen, 'several parts in many jobs').toBeGreaterThan(runs(200));
  });

  test('the parts of a job of any layers write to no memory in common', () => {
    let [parts, jobs] = [0, 0];
    const check = fc.property(stackCases, fc.integer({ min: 1, max: 16 }), (one, wanted) => {
      // Rows for several parts, of few steps.
      const { T, N } = { T: Math.min(one.shape.T, 5), N: 3 * one.shape.N };
      const lengths = one.shape.lengths && Array.from({ length: N }, (_, n) => one.shape.lengths![n % one.shape.N]! % (T + 1));
      const weights = placeModel(memory, layersOf(one));
      const written = wordsWritten({ ...one.shape, T, N, lengths }, weights, wanted, (job) => fillStackJob(job, one));
      memory.free(weights.ptr);
      parts += written.length;
      jobs++;
      expect(repeated(written)).toBe(0);
    });
    fc.assert(check, { numRuns: runs(100) });
    expect(parts, 'several parts in many jobs').toBeGreaterThan(jobs);
  });

  test('control: two parts with the same rows are found', () => {
    const weights = model(3, 5);
    const [written] = wordsWritten({ T: 2, N: 8, keepsStates: true, trace: false }, weights, 1);
    freeModel(weights);
    expect(repeated([written!, written!])).toBeGreaterThanOrEqual(2 * 8 * 5);
  });
});

test('65,536 steps of several layers need little more memory than their inputs', () => {
  const specs: LayerSpec[] = [
    { type: 'dense', I: 1, O: 4, activation: 'relu' },
    { type: 'lstm', D: 4, H: 32, direction: 'forward' },
    { type: 'affine', D: 32 },
    { type: 'gru', reset: 'after', D: 32, H: 16, direction: 'forward' },
    { type: 'dense', I: 16, O: 2, activation: 'softmax' },
  ];
  const weights = placeModel(memory, randomLayers(specs, pseudoRandom(1)));
  const before = memory.bytesUsed;
  const job = new Job(memory, weights, { T: 65_536, N: 1, keepsStates: false, trace: false });
  expect(memory.bytesUsed - before - 65_536 * 4).toBeLessThan(128 * 1024);
  job.release();
  freeModel(weights);
});

test('65,536 steps need little more memory than their inputs, unless all states are kept', () => {
  const weights = model(1, 64);
  const before = memory.bytesUsed;
  const job = new Job(memory, weights, { T: 65_536, N: 1, keepsStates: false, trace: false });
  expect(memory.bytesUsed - before - 65_536 * 4).toBeLessThan(64 * 1024);
  job.release();
  freeModel(weights);
});
