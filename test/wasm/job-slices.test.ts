// A job computed in slices, split anywhere, has the bits of the same job computed at once.
import { describe, expect, test } from 'vitest';
import { tanhLayers } from '../../src/layers.ts';
import { Job } from '../../src/wasm/job.ts';
import { JobSlices } from '../../src/wasm/job-slices.ts';
import { placeModel } from '../../src/wasm/packed-model.ts';
import { kernels, memory } from '../helpers/kernels.ts';
import { runs } from '../helpers/long.ts';
import { randomRecurrence } from '../helpers/recurrence.ts';
import { fc } from '../helpers/seed.ts';
import { type JobBits, type StackCase, bitsOfJob, differences, fillStackJob, layersOf, stackCases } from '../helpers/stack-cases.ts';

const cases = fc
  .record({
    T: fc.integer({ min: 1, max: 70 }),
    N: fc.integer({ min: 1, max: 40 }),
    D: fc.integer({ min: 1, max: 70 }),
    H: fc.integer({ min: 1, max: 70 }),
    O: fc.integer({ min: 0, max: 20 }),
    keepsStates: fc.boolean(),
    trace: fc.boolean(),
    seed: fc.nat(1e6),
  })
  .chain((one) =>
    fc.record({
      one: fc.constant(one),
      lengths: fc.option(
        fc.array(fc.integer({ min: 0, max: one.T }), { minLength: one.N, maxLength: one.N }),
        { nil: undefined },
      ),
      shares: fc.array(fc.double({ min: 0, max: 0.6, noNaN: true }), { minLength: 1, maxLength: 20 }),
      parts: fc.integer({ min: 1, max: 4 }),
    }),
  );

type Case = typeof cases extends fc.Arbitrary<infer Value> ? Value : never;

function computed({ one, lengths }: Case, run: (job: Job) => void): JobBits {
  const { T, N, D, H, O, keepsStates, trace, seed } = one;
  const { weights, x, h } = randomRecurrence({ T, N, D, H }, seed);
  const numbers = (count: number) => Float32Array.from({ length: count }, (_, i) => Math.sin(i + seed));
  const readout = O > 0 ? { O, W_y: numbers(H * O), b_y: numbers(O) } : undefined;
  const model = placeModel(memory, tanhLayers(weights, readout));
  const job = new Job(memory, model, { T, N, lengths, keepsStates, trace });
  job.x.set(x);
  job.states[0]!.h.set(h);
  run(job);
  const bits = bitsOfJob(job);
  job.release();
  memory.free(model.ptr);
  return bits;
}

function computedStack(one: StackCase, run: (job: Job) => void): JobBits {
  const model = placeModel(memory, layersOf(one));
  const job = new Job(memory, model, one.shape);
  fillStackJob(job, one);
  run(job);
  const bits = bitsOfJob(job);
  job.release();
  memory.free(model.ptr);
  return bits;
}

/** Runs the parts alternately, as if on several threads; returns the number of slices. */
function runSlices(job: Job, { shares, parts }: Pick<Case, 'shares' | 'parts'>): number {
  let count = 0;
  let waiting = job.slice(Math.min(parts, job.partsMax));
  while (waiting.length > 0) {
    waiting = waiting.filter((part) => {
      kernels.run(part.next(shares[count++ % shares.length]!).ptr);
      return !part.isDone;
    });
  }
  return count;
}

describe('a job in slices', () => {
  test('a job of any layers in slices has the same bits, too', () => {
    const ways = fc.record({
      shares: fc.array(fc.double({ min: 0, max: 0.6, noNaN: true }), { minLength: 1, maxLength: 20 }),
      parts: fc.integer({ min: 1, max: 4 }),
    });
    let [slices, jobs] = [0, 0];
    const check = fc.property(stackCases, ways, (one, way) => {
      const whole = computedStack(one, (job) => kernels.run(job.ptr));
      const sliced = computedStack(one, (job) => (slices += runSlices(job, way)));
      jobs++;
      expect(differences(sliced, whole)).toEqual([]);
    });
    fc.assert(check, { numRuns: runs(150) });
    expect(slices).toBeGreaterThan(2 * jobs);
  });

  test('a job in slices has the same bits wherever it is split', () => {
    let slices = 0;
    const check = fc.property(cases, (one) => {
      const whole = computed(one, (job) => kernels.run(job.ptr));
      const sliced = computed(one, (job) => (slices += runSlices(job, one)));
      expect(differences(sliced, whole)).toEqual([]);
    });
    fc.assert(check, { numRuns: runs(150) });
    expect(slices).toBeGreaterThan(10 * runs(150));
  });

  test('control: a slice without the one before it has other bits', () => {
    const one: Case = {
      one: { T: 9, N: 2, D: 3, H: 5, O: 0, keepsStates: false, trace: false, seed: 1 },
      lengths: undefined,
      shares: [0.3],
      parts: 1,
    };
    // First: the memory of the whole one has its states.
    const lastOnly = computed(one, (job) => {
      const [part] = job.slice(1);
      let { ptr } = part!.next(0.3);
      while (!part!.isDone) ({ ptr } = part!.next(0.3));
      kernels.run(ptr);
    });
    const whole = computed(one, (job) => kernels.run(job.ptr));
    expect(differences(lastOnly, whole)).toContain('h.0');
  });

  /** The shares of the slices of a job whose rows have T steps each. */
  function sharesOf({ T, N, isForward = true }: { T: number; N: number; isForward?: boolean }, share: (n: number) => number, shareMin?: number): number[] {
    const slices = new JobSlices({ lengths: Array<number>(N).fill(T), firstRow: 0, endRow: N, timeBlock: 8, isForward, write: () => 0 });
    const shares: number[] = [];
    while (!slices.isDone) shares.push(slices.next(share(shares.length), shareMin).share);
    return shares;
  }

  test('rows with all of their steps are no more than a slice should have', () => {
    const shares = sharesOf({ T: 100, N: 400, isForward: false }, () => 0.05);
    expect(shares).toHaveLength(20);
    expect(Math.max(...shares)).toBeLessThanOrEqual(0.05);
  });

  test('a slice can be shorter than the one before it, as short as was announced', () => {
    const shares = sharesOf({ T: 10, N: 4_000 }, (n) => (n === 0 ? 0.2 : 0.02), 0.02);
    // Whole time blocks.
    expect(shares[0]).toBeCloseTo(0.16, 2);
    expect(Math.max(...shares.slice(1))).toBeLessThanOrEqual(0.021);
    // Control: of what was not announced one step has more.
    const others = sharesOf({ T: 10, N: 4_000 }, (n) => (n === 0 ? 0.2 : 0.02));
    expect(others[1]).toBeGreaterThan(0.05);
  });

  test('few steps of many rows are split into rows', () => {
    const { weights } = randomRecurrence({ T: 1, N: 1, D: 4, H: 4 }, 1);
    const model = placeModel(memory, tanhLayers(weights));
    const job = new Job(memory, model, { T: 1, N: 100, keepsStates: false, trace: false });
    const [part] = job.slice(1);
    const shares: number[] = [];
    while (!part!.isDone) shares.push(part!.next(0.2).share);
    expect(shares).toEqual([0.2, 0.2, 0.2, 0.2, 0.2]);
    job.release();
    memory.free(model.ptr);
  });
});
